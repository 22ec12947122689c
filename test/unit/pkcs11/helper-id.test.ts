import { expect, test } from 'vitest';
import { namesTokenObject, parseTokenObject } from '../../../src/pkcs11/helper-id.ts';

test("pkcs11-helper's id", () => {
  const text = String.raw`piv_II/PKCS\x20#15\x20emulated/0123\x2f45/PIV\x5cCard\xc3\xbc/0aFF`;
  expect(namesTokenObject(text)).toBe(true);
  expect(parseTokenObject(text)).toEqual({
    manufacturer: 'piv_II',
    model: 'PKCS #15 emulated',
    serial: '0123/45',
    token: 'PIV\\Cardü',
    id: Buffer.from('0aff', 'hex'),
  });
});

test.each([
  './a/b/c/d/01',
  '/a/b/c/d/01',
  '~/b/c/d/01',
  'a/b/c/d/key.pem',
  'a/b/c/d/1',
  'a/b/c/01',
  String.raw`a\y/b/c/d/01`,
])('%s is a path', (text) => {
  expect(namesTokenObject(text)).toBe(false);
});

test('a pkcs11: URI stays what it is', () => {
  expect(parseTokenObject('pkcs11:token=a;id=%01')).toEqual({ token: 'a', id: Buffer.from([1]) });
});
