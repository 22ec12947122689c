import { describe, expect, it } from 'vitest';
import { formatPkcs11Uri, parsePkcs11Uri, pkcs11UriName } from '../../../src/pkcs11/uri.ts';

describe('parsePkcs11Uri', () => {
  it('takes all attributes', () => {
    const text =
      'pkcs11:token=My%20Token;manufacturer=Snake%20Oil%2C%20Inc.;model=1.0;serial=DECC0401648;slot-id=327;' +
      'object=my%C3%A9;id=%69%95%3E%5C;type=private?module-path=/usr/lib/libmypkcs11.so.1&module-name=my&pin-source=file:/etc/token';
    expect(parsePkcs11Uri(text)).toEqual({
      token: 'My Token',
      manufacturer: 'Snake Oil, Inc.',
      model: '1.0',
      serial: 'DECC0401648',
      slotId: 327,
      object: 'myé',
      id: Buffer.from('69953e5c', 'hex'),
      type: 'private',
      modulePath: '/usr/lib/libmypkcs11.so.1',
      moduleName: 'my',
      pinSource: 'file:/etc/token',
    });
  });

  it.each(['pkcs11:', 'PKCS11:object=x', 'pkcs11:?module-name=x', 'pkcs11:object=', "pkcs11:id=raw'id"])(
    'takes %s',
    (text) => {
      expect(parsePkcs11Uri(formatPkcs11Uri(parsePkcs11Uri(text)))).toEqual(parsePkcs11Uri(text));
    },
  );

  it.each([
    ['http://example.org', /does not start/],
    ['pkcs11:foo=1', /unknown attribute 'foo'/],
    ['pkcs11:token', /no value/],
    ['pkcs11:token=a;token=b', /twice/],
    ['pkcs11:token=a b', /percent-encoded/],
    ['pkcs11:token=a%2', /percent-encoded/],
    ['pkcs11:object=%FF', /UTF-8/],
    ['pkcs11:slot-id=one', /no number/],
    ['pkcs11:type=secret', /unknown type/],
    ['pkcs11:module-path=/x', /unknown attribute 'module-path'/],
    ['pkcs11:token=a?object=b', /unknown attribute 'object'/],
  ])('refuses %s', (text, message) => {
    expect(() => parsePkcs11Uri(text)).toThrow(
      expect.objectContaining({ code: 'ERR_URI', message: expect.stringMatching(message) }),
    );
  });

  it('refuses pin-value, says what to do and does not repeat it', () => {
    expect(() => parsePkcs11Uri('pkcs11:token=a?pin-value=8472')).toThrow(
      expect.objectContaining({ code: 'ERR_URI', line: expect.stringMatching(/^(?!.*8472).*pin-source=file:/) }),
    );
  });

  it('names itself without the query', () => {
    expect(pkcs11UriName(parsePkcs11Uri('pkcs11:token=a;id=%01?pin-source=file:/p&module-name=m'))).toBe(
      'pkcs11:token=a;id=%01',
    );
  });
});
