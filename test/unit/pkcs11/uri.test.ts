import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AgentError } from '../../../src/errors.ts';
import { formatPkcs11Uri, idHint, parsePkcs11Uri, pkcs11UriName } from '../../../src/pkcs11/uri.ts';

describe('parsePkcs11Uri', () => {
  it('takes all attributes', () => {
    const text =
      'pkcs11:token=My%20Token;manufacturer=Snake%20Oil%2C%20Inc.;model=1.0;serial=DECC0401648;slot-id=327;' +
      'slot-manufacturer=Reader%20Co;slot-description=Reader%200;library-manufacturer=Lib%20Co;' +
      'library-description=A%20module;library-version=2.40;' +
      'object=my%C3%A9;id=%69%95%3E%5C;type=private?module-path=/usr/lib/libmypkcs11.so.1&module-name=my&pin-source=file:/etc/token';
    expect(parsePkcs11Uri(text)).toEqual({
      token: 'My Token',
      manufacturer: 'Snake Oil, Inc.',
      model: '1.0',
      serial: 'DECC0401648',
      slotId: 327,
      slotManufacturer: 'Reader Co',
      slotDescription: 'Reader 0',
      libraryManufacturer: 'Lib Co',
      libraryDescription: 'A module',
      libraryVersion: { major: 2, minor: 40 },
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

  it('keeps a byte order mark: a label without it is another one', () => {
    const { token } = parsePkcs11Uri('pkcs11:token=%EF%BB%BFx');
    expect(token).toBe('\u{feff}x');
  });

  it('takes a version without a minor number for minor number 0', () => {
    expect(parsePkcs11Uri('pkcs11:library-version=3').libraryVersion).toEqual({ major: 3, minor: 0 });
  });

  it.each([
    ['http://example.org', /does not start/],
    ['pkcs11:foo=1', /unknown attribute 'foo'/],
    ['pkcs11:token', /no value/],
    ['pkcs11:token=a;token=b', /twice/],
    ['pkcs11:token=a b', /percent-encoded/],
    ['pkcs11:token=a%2', /percent-encoded/],
    ['pkcs11:object=%FF', /UTF-8/],
    ['pkcs11:slot-id=one', /not a number/],
    ['pkcs11:type=secret', /unknown type/],
    ['pkcs11:library-version=2.', /library-version is not/],
    ['pkcs11:library-version=256', /library-version is not/],
    ['pkcs11:library-version=', /library-version is not/],
    ['pkcs11:module-path=/x', /unknown attribute 'module-path'/],
    ['pkcs11:token=a?object=b', /unknown attribute 'object'/],
  ])('refuses %s', (text, message) => {
    expect(() => parsePkcs11Uri(text)).toThrow(
      expect.objectContaining({ code: 'ERR_URI', message: expect.stringMatching(message) }),
    );
  });

  it.each([
    ['pkcs11:tokn=a', "did you mean 'token'?"],
    ['pkcs11:token=a?modul-path=/x', "did you mean 'module-path'?"],
    ['pkcs11:token=a;type=privat', "did you mean 'private'?"],
    ['pkcs11:token=a?colour=x', 'known are module-path, module-name, pin-source'],
    // beside a source of PINs what is unknown may be a PIN
    ['pkcs11:token=a?pin-source=file:/x&module-pat=1', 'known are module-path, module-name, pin-source'],
  ])('says of %s what was meant', (text, hint) => {
    expect(() => parsePkcs11Uri(text)).toThrow(expect.objectContaining({ code: 'ERR_URI', hint }));
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

describe('says where and what', () => {
  it.each([
    ['pkcs11:token=a b', /^bad pkcs11 URI: ' ' at character 15, in attribute 'token', .*: write %20$/],
    ['pkcs11:token=a;object=%41%zz', /'%zz' at character 26, in attribute 'object', .*: a '%' itself is %25$/],
    ['pkcs11:object=100%', /'%' at character 18, in attribute 'object'/],
    ['pkcs11:object=Straße', /'ß' at character 19, .*write %C3%9F$/],
    ['pkcs11:token=a?module-path=/x&pin-source=file:/a#b', /'#' at character 49, in attribute 'pin-source'/],
  ])('%s', (text, line) => {
    expect(() => parsePkcs11Uri(text)).toThrow(expect.objectContaining({ line: expect.stringMatching(line) }));
  });

  it.each([
    ['pkcs11:id=01', 'for the octets 01 write id=%01'],
    ['pkcs11:id=6a', 'for the octets 6a write id=%6A'],
    ['pkcs11:id=%01', undefined],
    ['pkcs11:id=xy', undefined],
    ['pkcs11:token=01', undefined],
  ])('of the id in %s: %s', (text, hint) => {
    expect(idHint(parsePkcs11Uri(text))).toBe(hint);
  });
});

describe('errors', () => {
  it('repeat nothing of a PIN that was not encoded, or stands in an attribute of another name', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9&;=?/#%+]{6,20}$/);
    const place = fc.constantFrom(
      'token=a?pin-source=',
      'token=a?pin-value=',
      'pin-value=',
      'token=a;',
      'token=a?',
      '',
    );
    fc.assert(
      fc.property(place, secret, (before, text) => {
        try {
          parsePkcs11Uri(`pkcs11:${before}${text}`);
        } catch (error) {
          const { line } = error as AgentError;
          // a name in front of '=' is one, as far as it looks like one
          const pieces = text.split(/[&;=?]/).filter((piece) => piece.length > 3 && /[^a-z]/.test(piece));
          for (const piece of pieces) expect(line).not.toContain(piece);
        }
      }),
    );
  });
});
