import { beforeEach, describe, expect, test } from 'vitest';
import { parseWords } from '../../../src/certificates/words.ts';
import type { AgentError } from '../../../src/errors.ts';
import type { KeyOptions, Pkcs11Options } from '../../../src/keys/key-options.ts';
import { openKey } from '../../../src/keys/open-key.ts';
import { processMemory } from '../../../src/pkcs11/index.ts';
import { Tokens } from '../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../src/secret.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH } from '../pkcs11/fake-modules.ts';
import { certificate, makeKey, putCertificate, putPrivateKey } from '../pkcs11/key/fake-objects.ts';

const KEY = makeKey();
const CARD = fakeToken('card', FLAG.LOGIN);
const URI = 'pkcs11:token=card;object=vpn';
const WRONG = ckr('CKR_PIN_INCORRECT', 'C_Login');

let modules: FakeModules;
let tokens: Tokens;
/** For each time that the PIN was asked for: for what, by which source, how. */
let asked: unknown[][];

beforeEach(() => {
  modules = new FakeModules(CARD);
  tokens = new Tokens({ hosts: modules });
  asked = [];
  putPrivateKey(modules, 'vpn', KEY.attributes);
});

function options(more: Partial<KeyOptions> = {}, pkcs11: Partial<Pkcs11Options> = {}): KeyOptions {
  return {
    keys: [URI],
    pkcs11: { tokens, defaultModule: PATH, ...pkcs11 },
    askSecret: (...words) => {
      asked.push(words.slice(0, 3));
      return Promise.resolve(new Secret('1234'));
    },
    deadline: 60_000,
    ...more,
  };
}

test('a key in a token is opened with the PIN, by the module that serves where none is named', async () => {
  await using opened = await openKey(options());
  expect(opened.signer.publicKey.equals(KEY.publicKey)).toBe(true);
  expect(modules.pins).toEqual(['1234']);
  expect(asked).toEqual([["PIN of token 'card'", undefined, 'ask']]);
  await expect(openKey(options({}, { defaultModule: undefined }))).rejects.toThrow();
});

test('a key that is done with lets go of its token', async () => {
  const opened = await openKey(options());
  expect(modules.openSessions).toBe(1);
  await opened[Symbol.asyncDispose]();
  expect(modules.openSessions).toBe(0);
});

test('the PIN comes from the source that the URI names', async () => {
  await using opened = await openKey(options({ keys: [`${URI}?pin-source=file:/pin`] }));
  expect(opened.signer.name).toContain('token=card');
  expect(asked).toEqual([["PIN of token 'card'", 'file:/pin', 'ask']]);
});

test('a certificate in the token tells the public half of a key that does not', async () => {
  modules.objects.clear();
  putPrivateKey(modules, 'vpn', {}, { id: '07' });
  putCertificate(modules, 'other', { id: '08' });
  await using opened = await openKey(options({ certificate: 'pkcs11:token=card;object=other;type=cert' }));
  expect(opened.signer.publicKey.equals(certificate.publicKey)).toBe(true);
  expect(opened.certificates.map(String)).toEqual([String(certificate)]);
});

test('words say which of several keys is meant', async () => {
  const other = makeKey();
  putPrivateKey(modules, 'vpn', other.attributes, { id: '02' });
  await expect(openKey(options())).rejects.toMatchObject({ code: 'ERR_KEY_AMBIGUOUS' });
  modules.objects.clear();
  putPrivateKey(modules, 'vpn', {}, { id: '01' });
  putPrivateKey(modules, 'vpn', {}, { id: '02' });
  const [jane, john] = ['jane', 'john'].map((name) => makeCertificate({ subject: [['CN', name]] }).certificate);
  putCertificate(modules, 'one', { id: '01', ...(jane && { of: jane }) });
  putCertificate(modules, 'two', { id: '02', ...(john && { of: john }) });
  await using opened = await openKey(options({ words: parseWords(['SUBJ:john']) }));
  expect(opened.certificates.map(({ subject }) => subject)).toEqual(['CN=john']);
});

describe('a PIN that the token refused', () => {
  test('is asked for again while a person is there', async () => {
    modules.fail('login', WRONG, 1);
    let answers = ['0000', '1234'];
    await using opened = await openKey(
      options({
        askSecret: (what, uriSource, manner) => {
          asked.push([what, uriSource, manner]);
          const [answer = '', ...rest] = answers;
          answers = rest;
          return Promise.resolve(new Secret(answer));
        },
        mayAskAgain: (error) => (error as AgentError).code === 'ERR_PIN_INCORRECT',
      }),
    );
    expect(opened.signer.publicKey.equals(KEY.publicKey)).toBe(true);
    expect(asked.map(([, , manner]) => manner)).toEqual(['ask', 'ask again']);
    expect(modules.pins).toEqual(['1234']);
  });

  test('is remembered for as long as the tokens are used', async () => {
    modules.fail('login', WRONG, 1);
    await expect(openKey(options())).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    await expect(openKey(options())).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(1);
    // others have a memory of their own
    await using opened = await openKey(options({}, { tokens: new Tokens({ hosts: modules }) }));
    expect(opened.signer.publicKey.equals(KEY.publicKey)).toBe(true);
    expect(modules.count('login')).toBe(2);
  });

  test('is remembered where it is said to be', async () => {
    const refusedPins = processMemory();
    modules.fail('login', WRONG, 1);
    await expect(openKey(options({}, { refusedPins }))).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    const others = { tokens: new Tokens({ hosts: modules }), refusedPins };
    await expect(openKey(options({}, others))).rejects.toMatchObject({ code: 'ERR_PIN_INCORRECT' });
    expect(modules.count('login')).toBe(1);
    // and there alone
    await using opened = await openKey(options());
    expect(opened.signer.publicKey.equals(KEY.publicKey)).toBe(true);
    expect(modules.count('login')).toBe(2);
  });
});

test('the last try is used where it may be, only', async () => {
  modules.tokens = [fakeToken('card', FLAG.LOGIN | FLAG.FINAL_TRY)];
  await expect(openKey(options())).rejects.toMatchObject({ code: 'ERR_PIN_FINAL_TRY' });
  await using opened = await openKey(options({}, { useFinalPinTry: true }));
  expect(opened.signer.publicKey.equals(KEY.publicKey)).toBe(true);
  expect(modules.pins).toEqual(['1234']);
});
