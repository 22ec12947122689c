import { beforeEach, expect, test } from 'vitest';
import { readTokenCertificates } from '../../../../src/pkcs11/key/certificates.ts';
import { Pin } from '../../../../src/pkcs11/pins/pin.ts';
import { Tokens } from '../../../../src/pkcs11/token/tokens.ts';
import type { Pkcs11Uri } from '../../../../src/pkcs11/uri.ts';
import { Secret } from '../../../../src/secret.ts';
import { ckr, FakeModules, fakeToken, FLAG, PATH } from '../fake-modules.ts';
import { certificate, putCertificate } from './fake-objects.ts';

const URI: Pkcs11Uri = { token: 'card', object: 'vpn', modulePath: PATH };

let modules: FakeModules;

beforeEach(() => {
  modules = new FakeModules(fakeToken('card', FLAG.LOGIN));
});

async function read(uri = URI): Promise<string> {
  const pin = new Pin({ ask: () => Promise.resolve(new Secret('1234')) });
  const [own] = await readTokenCertificates(uri, { tokens: new Tokens({ hosts: modules }), pin });
  return own.serialNumber;
}

test('a certificate that all may see takes no login', async () => {
  putCertificate(modules, 'vpn');
  expect(await read()).toBe(certificate.serialNumber);
  expect(modules.pins).toEqual([]);
  expect(modules.openSessions).toBe(0);
});

test('one that is hidden takes one', async () => {
  putCertificate(modules, 'vpn', { isPublic: false });
  expect(await read()).toBe(certificate.serialNumber);
  expect(modules.pins).toEqual(['1234']);
  expect(modules.openSessions).toBe(0);
});

test('a login without an outcome is made once more, in a new module host', async () => {
  putCertificate(modules, 'vpn', { isPublic: false });
  modules.fail('login', ckr('CKR_GENERAL_ERROR', 'C_Login'), 1);
  expect(await read()).toBe(certificate.serialNumber);
  expect(modules.calls.filter((call) => call.endsWith('login'))).toEqual(['1 login', '2 login']);
});

test('its token lies in another slot since it was seen: it is looked for again, and no other gets its PIN', async () => {
  modules.tokens = [fakeToken('card', FLAG.LOGIN), fakeToken('other', FLAG.LOGIN)];
  putCertificate(modules, 'vpn', { isPublic: false });
  modules.changeSlotsAfter('tokens');
  expect(await read()).toBe(certificate.serialNumber);
  expect(modules.opened).toEqual(['card']);
  expect(modules.pins).toEqual(['1234']);
});

test('none: said after a login, which would have shown it', async () => {
  await expect(read()).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_NOT_FOUND' });
  expect(modules.pins).toEqual(['1234']);
});

test('a URI of something else is refused', async () => {
  await expect(read({ ...URI, type: 'private' })).rejects.toMatchObject({ code: 'ERR_URI' });
});
