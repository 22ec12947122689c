import { beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { CKA, CKM } from '../../../../src/pkcs11/constants.ts';
import { TokenKey, type TokenKeyOptions } from '../../../../src/pkcs11/key/token-key.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import type { Pkcs11Uri } from '../../../../src/pkcs11/uri.ts';
import { Secret } from '../../../../src/secret.ts';
import { parseSignatureRequest } from '../../../../src/signing/parse-request.ts';
import { keyKind } from '../../../../src/signing/public-key.ts';
import type { SignatureRequest } from '../../../../src/signing/request.ts';
import { verifySignature } from '../../../../src/signing/signer.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH } from '../fake-modules.ts';
import { certificate, makeKey, makeRsaKey, putCertificate, putPrivateKey, putPublicKey } from './fake-objects.ts';

const KEY = makeKey();
const CARD = fakeToken('card', FLAG.LOGIN);
const URI: Pkcs11Uri = { token: 'card', object: 'vpn', modulePath: PATH };
const DIGEST = Buffer.alloc(32, 7);

let modules: FakeModules;
let tokens: Tokens;

beforeEach(() => {
  modules = new FakeModules(CARD);
  tokens = new Tokens({ hosts: modules });
});

async function open(uri = URI, options: Partial<TokenKeyOptions> = {}): Promise<TokenKey> {
  const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
  return await TokenKey.open(uri, { tokens, pin, ...options });
}

function requestFor(key: TokenKey, algorithm: string): SignatureRequest {
  return parseSignatureRequest(DIGEST.toString('base64'), algorithm, keyKind(key.publicKey));
}

describe('opening a key', () => {
  test('logs in, and reads the public key and its newest certificate', async () => {
    putPrivateKey(modules, 'vpn', KEY.attributes);
    const key = await open();
    expect(key.publicKey.equals(KEY.publicKey)).toBe(true);
    expect(key.name).toBe('pkcs11:token=card;object=vpn;id=%01');
    expect(modules.pins).toEqual(['1234']);
    // of another key, though with its CKA_ID
    putCertificate(modules, 'vpn');
    expect((await open()).certificates).toEqual([]);
  });

  test('of a token that tells no public key: from its public half, its certificate, or the one that is given', async () => {
    putPrivateKey(modules, 'half', {}, { id: '02' });
    putPublicKey(modules, 'half', KEY.attributes, { id: '02' });
    expect((await open({ ...URI, object: 'half' })).publicKey.equals(KEY.publicKey)).toBe(true);
    putPrivateKey(modules, 'certified', {}, { id: '03' });
    putCertificate(modules, 'other label', { id: '03' });
    const certified = await open({ ...URI, object: 'certified' });
    expect(certified.publicKey.equals(certificate.publicKey)).toBe(true);
    expect(certified.certificates.map(({ serialNumber }) => serialNumber)).toEqual([certificate.serialNumber]);
    putPrivateKey(modules, 'bare', {}, { id: '04' });
    const bare = { ...URI, object: 'bare' };
    expect((await open(bare, { certificate })).publicKey.equals(certificate.publicKey)).toBe(true);
    await expect(open(bare)).rejects.toMatchObject({ code: 'ERR_KEY_UNSUPPORTED' });
  });

  test('that fails leaves the token', async () => {
    await expect(open()).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
    expect(modules.openSessions).toBe(0);
  });

  test('without a label of its own finds it by that of its certificate', async () => {
    putPrivateKey(modules, '', KEY.attributes, { id: '05' });
    putCertificate(modules, 'vpn', { id: '05' });
    expect((await open()).publicKey.equals(KEY.publicKey)).toBe(true);
  });

  test('that several fit says how to name one', async () => {
    putPrivateKey(modules, 'vpn', KEY.attributes, { id: '01' });
    putPrivateKey(modules, 'vpn', KEY.attributes, { id: '02' });
    await expect(open()).rejects.toMatchObject({
      code: 'ERR_KEY_AMBIGUOUS',
      hint: 'say which: object=vpn;id=%01, object=vpn;id=%02',
    });
  });

  test('is for private keys', async () => {
    await expect(open({ ...URI, type: 'cert' })).rejects.toMatchObject({ code: 'ERR_URI' });
    expect(modules.calls).toEqual([]);
  });
});

describe('signing', () => {
  test('by the mechanism that the token lists', async () => {
    putPrivateKey(modules, 'vpn', KEY.attributes);
    const key = await open();
    const request = requestFor(key, 'ECDSA');
    expect(key.canSign(request)).toBe(true);
    const signature = await key.sign(request);
    expect(signature.mechanism).toBe('CKM_ECDSA');
    expect(verifySignature(key, request, signature)).toBe(signature);
  });

  const PSS = 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest';

  test('by the next way where the key refuses one, which is not tried again', async () => {
    modules.mechanisms = [CKM.RSA_PKCS_PSS, CKM.RSA_X_509];
    putPrivateKey(modules, 'vpn', makeRsaKey().attributes);
    const key = await open();
    const request = requestFor(key, PSS);
    modules.fail('sign', ckr('CKR_MECHANISM_INVALID', 'C_SignInit'), 1);
    expect((await key.sign(request)).mechanism).toBe('EMSA-PSS + CKM_RSA_X_509');
    expect((await key.sign(request)).mechanism).toBe('EMSA-PSS + CKM_RSA_X_509');
    expect(modules.count('sign')).toBe(3);
  });

  test('in no way: says what to change', async () => {
    modules.mechanisms = [CKM.RSA_PKCS];
    putPrivateKey(modules, 'vpn', makeRsaKey().attributes);
    const key = await open();
    const request = requestFor(key, PSS);
    expect(key.canSign(request)).toBe(false);
    modules.fail('sign', ckr('CKR_MECHANISM_INVALID', 'C_SignInit'));
    await expect(key.sign(request)).rejects.toMatchObject({ code: 'ERR_SCHEME_UNSUPPORTED' });
  });

  test('with the PIN each time where the key wants it', async () => {
    putPrivateKey(modules, 'vpn', { ...KEY.attributes, [CKA.ALWAYS_AUTHENTICATE]: '01' });
    const key = await open();
    await key.sign(requestFor(key, 'ECDSA'));
    await key.sign(requestFor(key, 'ECDSA'));
    expect(modules.pins).toEqual(['1234', '1234', '1234']);
  });

  test('in a new session finds the key anew, and refuses another in its place', async () => {
    const handle = putPrivateKey(modules, 'vpn', KEY.attributes);
    const key = await open();
    const request = requestFor(key, 'ECDSA');
    await (await modules.get(PATH)).stop();
    await key.sign(request);
    modules.objects.delete(handle);
    putPrivateKey(modules, 'vpn', makeKey().attributes);
    await key.sign(request); // in the session that is open
    await (await modules.get(PATH)).stop();
    await expect(key.sign(request)).rejects.toThrow('is another key than before');
  });
});

describe('many signatures at once', () => {
  /** So many signatures, asked for in one go. */
  const signAtOnce = (key: TokenKey, request: SignatureRequest, number: number): Promise<unknown> =>
    Promise.all(Array.from({ length: number }, () => key.sign(request)));
  const made = (call: string): number => modules.calls.filter((each) => each === call).length;

  test('are spread over two sessions, each of which finds the key once', async () => {
    putPrivateKey(modules, 'vpn', KEY.attributes);
    const key = await open();
    const request = requestFor(key, 'ECDSA');
    await key.sign(request);
    await signAtOnce(key, request, 20);
    await expect
      .poll(async () => {
        await signAtOnce(key, request, 2);
        return made('2 sign');
      })
      .toBeGreaterThan(0);
    const before = [made('1 sign'), made('2 sign')] as const;
    await signAtOnce(key, request, 20);
    expect([made('1 sign') - before[0], made('2 sign') - before[1]]).toEqual([10, 10]);
    expect(made('2 find')).toBe(made('1 find'));
    // what a key refuses, the first session says alone
    modules.fail('sign', ckr('CKR_FUNCTION_FAILED', 'C_Sign'), 1);
    const both = await Promise.all([key.sign(request), key.sign(request)]);
    expect(both.map(({ mechanism }) => mechanism)).toEqual(['CKM_ECDSA', 'CKM_ECDSA']);
  });

  test('that want the PIN each time, or were never made before, go to the first session', async () => {
    putPrivateKey(modules, 'vpn', { ...KEY.attributes, [CKA.ALWAYS_AUTHENTICATE]: '01' });
    const key = await open();
    const request = requestFor(key, 'ECDSA');
    await Promise.all(Array.from({ length: 40 }, () => key.sign(request)));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(modules.count('slot')).toBe(0);
    expect(modules.furtherHosts).toEqual([]);
  });
});

test('a key tells of its token, until it is disposed of', async () => {
  putPrivateKey(modules, 'vpn', KEY.attributes);
  const key = await open();
  const lost: string[] = [];
  key.availability.onLost(() => lost.push('lost'));
  await key.availability.ready();
  modules.tokens = [];
  modules.fail('sign', new AgentError('ERR_MODULE_DIED', 'it died'), 1);
  await expect(key.sign(requestFor(key, 'ECDSA'))).rejects.toMatchObject({ code: 'ERR_TOKEN_ABSENT' });
  expect(lost).toEqual(['lost']);
  await key[Symbol.asyncDispose]();
  await expect(key.sign(requestFor(key, 'ECDSA'))).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect(lost).toEqual(['lost']);
});
