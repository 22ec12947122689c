import { beforeEach, expect, test } from 'vitest';
import { CKA, CKM } from '../../../../src/pkcs11/constants.ts';
import type { Module } from '../../../../src/pkcs11/host/module.ts';
import { peekAtCertificate, peekAtKey } from '../../../../src/pkcs11/key/peek.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH } from '../fake-modules.ts';
import { certificate, makeKey, putCertificate, putPrivateKey, putPublicKey } from './fake-objects.ts';

const KEY = makeKey();
const CARD = fakeToken('card', FLAG.LOGIN);
const URI = { object: 'vpn' };

let modules: FakeModules;
let host: Module;

beforeEach(async () => {
  modules = new FakeModules(CARD);
  host = await modules.get(PATH);
});

test('a private key that is hidden: what is public of it', async () => {
  putPrivateKey(modules, 'vpn', KEY.attributes);
  expect(await peekAtKey(host, CARD, URI)).toEqual({
    privateKey: undefined,
    publicKey: undefined,
    certificates: [],
    mechanisms: new Set([CKM.ECDSA]),
  });
  putPublicKey(modules, 'vpn', KEY.attributes);
  expect((await peekAtKey(host, CARD, URI)).publicKey?.equals(KEY.publicKey)).toBe(true);
  expect(modules.count('login')).toBe(0);
});

test('a private key that all may see: how it wants its PIN, too', async () => {
  putPrivateKey(modules, 'vpn', { ...KEY.attributes, [CKA.ALWAYS_AUTHENTICATE]: '01' }, { isPublic: true });
  const { privateKey, publicKey } = await peekAtKey(host, CARD, URI);
  expect(privateKey?.alwaysAuthenticate).toBe(true);
  expect(publicKey?.equals(KEY.publicKey)).toBe(true);
});

test('a certificate', async () => {
  await expect(peekAtCertificate(host, CARD, URI)).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
  putCertificate(modules, 'vpn');
  expect((await peekAtCertificate(host, CARD, URI)).serialNumber).toBe(certificate.serialNumber);
});

test('no session is left, whatever happens', async () => {
  modules.fail('find', ckr('CKR_DEVICE_ERROR', 'C_FindObjects'));
  await expect(peekAtKey(host, CARD, URI)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
  expect(modules.openSessions).toBe(0);
});
