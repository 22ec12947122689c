// No PIN is kept longer than it is wanted: not of what was read once, of a key that was closed, or of one that did not open.
import { createPublicKey } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import type { KeyOptions } from '../../../src/keys/key-options.ts';
import { openKey } from '../../../src/keys/open-key.ts';
import { Tokens } from '../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../src/secret.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH } from '../pkcs11/fake-modules.ts';
import { attributesOfEc, putCertificate, putPrivateKey } from '../pkcs11/key/fake-objects.ts';

const MADE = makeCertificate({ subject: [['CN', 'vpn']] });

let modules: FakeModules;
let tokens: Tokens;
let secrets: Secret[];

beforeEach(() => {
  modules = new FakeModules(fakeToken('card', FLAG.LOGIN), fakeToken('hsm'));
  tokens = new Tokens({ hosts: modules });
  secrets = [];
  putPrivateKey(modules, 'vpn', attributesOfEc(createPublicKey(MADE.privateKey)), { isPublic: true });
  putCertificate(modules, 'vpn', { of: MADE.certificate, isPublic: false });
});

const options = (key: string, certificate?: string): KeyOptions => ({
  keys: [key],
  certificate,
  pkcs11: { tokens, defaultModule: PATH },
  askSecret: () => {
    const secret = new Secret('1234');
    secrets.push(secret);
    return Promise.resolve(secret);
  },
  deadline: 60_000,
});
const areZeroed = (): boolean[] => secrets.map(({ bytes }) => bytes.every((byte) => byte === 0));

test('forget: of a certificate that was read from a token which nothing else uses', async () => {
  await using opened = await openKey(
    options('pkcs11:token=hsm;object=vpn', 'pkcs11:token=card;object=vpn?pin-source=/pin'),
  );
  expect(areZeroed()).toEqual([false]);
  await tokens.forget();
  expect(areZeroed()).toEqual([true]);
  await opened.readCertificates?.();
  expect(areZeroed()).toEqual([true, false]);
});

test('a key that is closed', async () => {
  const opened = await openKey(options('pkcs11:token=card;object=vpn'));
  expect(areZeroed()).toEqual([false]);
  await opened[Symbol.asyncDispose]();
  expect(areZeroed()).toEqual([true]);
});

test('a key that can’t be opened', async () => {
  await expect(openKey(options('pkcs11:token=card;object=other'))).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' });
  expect(modules.pins).toEqual(['1234']);
  expect(areZeroed()).toEqual([true]);
});

test('a key that is closed while its session serves others keeps it for their extra sessions, and no longer', async () => {
  const [one, other] = [
    await openKey(options('pkcs11:token=card;object=vpn')),
    await openKey(options('pkcs11:token=card')),
  ];
  await one[Symbol.asyncDispose]();
  expect(areZeroed()).toEqual([false]);
  await other[Symbol.asyncDispose]();
  expect(areZeroed()).toEqual([true]);
});

test('a key that is closed, when its session is opened anew by another one’s PIN', async () => {
  const [one, other] = [
    await openKey(options('pkcs11:token=card;object=vpn')),
    await openKey(options('pkcs11:token=card')),
  ];
  await one[Symbol.asyncDispose]();
  expect(areZeroed()).toEqual([false]);
  modules.fail('find', ckr('CKR_SESSION_HANDLE_INVALID', 'C_FindObjectsInit'), 1);
  await other.readCertificates?.();
  expect(areZeroed()).toEqual([true, false]);
  await other[Symbol.asyncDispose]();
});

test('a key that is closed while a login is made with its PIN', async () => {
  const [one, other] = [
    await openKey(options('pkcs11:token=card;object=vpn')),
    await openKey(options('pkcs11:token=card')),
  ];
  modules.onLogin = async () => {
    modules.onLogin = () => undefined;
    await one[Symbol.asyncDispose]();
  };
  modules.fail('find', ckr('CKR_SESSION_HANDLE_INVALID', 'C_FindObjectsInit'), 1);
  await other.readCertificates?.();
  // extra sessions are logged in by it
  expect(areZeroed()).toEqual([false]);
  await other[Symbol.asyncDispose]();
  expect(areZeroed()).toEqual([true]);
  expect(modules.pins).toEqual(['1234', '1234']);
});
