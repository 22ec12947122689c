import { beforeEach, expect, test } from 'vitest';
import { CKA, CKM } from '../../../../src/pkcs11/constants.ts';
import { peekAtCertificate, peekAtKey, type PeekOptions } from '../../../../src/pkcs11/key/peek.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH } from '../fake-modules.ts';
import { certificate, makeKey, putCertificate, putPrivateKey, putPublicKey } from './fake-objects.ts';

const KEY = makeKey();
const CARD = fakeToken('card', FLAG.LOGIN);

let modules: FakeModules;
let tokens: Tokens;
let place: PeekOptions;

beforeEach(async () => {
  modules = new FakeModules(CARD);
  tokens = new Tokens({ hosts: modules });
  const token = await tokens.await({ token: 'card' }, PATH);
  place = { tokens, modulePath: PATH, token, uri: { object: 'vpn' } };
});

test('a private key that is hidden: what is public of it', async () => {
  putPrivateKey(modules, 'vpn', KEY.attributes);
  expect(await peekAtKey(place)).toEqual({
    privateKey: undefined,
    publicKey: undefined,
    certificates: [],
    mechanisms: new Set([CKM.ECDSA]),
    allowed: undefined,
  });
  putPublicKey(modules, 'vpn', KEY.attributes);
  expect((await peekAtKey(place)).publicKey?.equals(KEY.publicKey)).toBe(true);
  expect(modules.count('login')).toBe(0);
});

test('a private key that all may see: how it wants its PIN, too', async () => {
  putPrivateKey(modules, 'vpn', { ...KEY.attributes, [CKA.ALWAYS_AUTHENTICATE]: '01' }, { isPublic: true });
  const { privateKey, publicKey } = await peekAtKey(place);
  expect(privateKey?.alwaysAuthenticate).toBe(true);
  expect(publicKey?.equals(KEY.publicKey)).toBe(true);
});

test('a certificate', async () => {
  await expect(peekAtCertificate(place)).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
  putCertificate(modules, 'vpn');
  expect((await peekAtCertificate(place)).serialNumber).toBe(certificate.serialNumber);
});

test('no session is left, whatever happens', async () => {
  modules.fail('find', ckr('CKR_DEVICE_ERROR', 'C_FindObjects'));
  await expect(peekAtKey(place)).rejects.toMatchObject({ code: 'ERR_TOKEN_FAILED' });
  expect(modules.openSessions).toBe(0);
});

test('in the session of a token that is in use: it may have no second one', async () => {
  putPrivateKey(modules, 'vpn', KEY.attributes);
  putCertificate(modules, 'vpn');
  const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
  await using user = await tokens.open({ token: 'card' }, PATH, { pin });
  expect((await peekAtKey(place)).publicKey?.equals(KEY.publicKey)).toBe(true);
  await peekAtCertificate(place);
  await user.run(() => Promise.resolve());
  expect(modules.count('openSession')).toBe(1);
  expect(modules.openSessions).toBe(1);
});
