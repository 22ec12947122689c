import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { certificateFields, requestFields } from '../../../src/signing/certificate-fields.ts';
import { derOid, derSequence, makeCertificate } from '../../support/certificates.ts';

const der = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag, content.length), content]);
};
const name = (text: string): Buffer =>
  derSequence(der(0x31, derSequence(derOid('2.5.4.3'), der(0x0c, Buffer.from(text)))));
const NAMES = der(0x30, der(0x82, Buffer.from('vpn.example.net')));
const SAN = '2.5.29.17';
const CA = makeCertificate({ subject: [['CN', 'ca']], isCa: true });
const serial = Buffer.of(0x00, 0x9a, 0xbc);
/** Of the first version, up to the subject. */
const FIELDS = [der(0x02, serial), derSequence(), name('ca'), derSequence(), name('jane')];

describe('of a certificate', () => {
  const made = makeCertificate({
    subject: [['CN', 'jane']],
    issuer: CA,
    serial,
    usages: ['1.3.6.1.5.5.7.3.2'],
    extensions: [
      { id: '1.2.3.4', value: der(0x30) },
      { id: SAN, value: NAMES },
    ],
  }).certificate;

  test('names, number and other names are told to the byte', () => {
    expect(certificateFields(made.raw)).toEqual({
      subject: name('jane'),
      issuer: name('ca'),
      serialNumber: Buffer.concat([Buffer.of(0x02, 3), serial]),
      alternativeNames: NAMES,
    });
  });

  test('other names are told beside that they are critical', () => {
    const critical = derSequence(derOid(SAN), der(0x01, Buffer.of(0xff)), der(0x04, NAMES));
    const tbs = derSequence(
      ...[der(0xa0, der(0x02, Buffer.of(2))), der(0x02, serial), derSequence()],
      ...[name('ca'), derSequence(), name('jane'), derSequence()],
      der(0xa3, derSequence(critical)),
    );
    expect(certificateFields(derSequence(tbs))?.alternativeNames).toEqual(NAMES);
  });

  test('there are none where it has none', () => {
    const bare = makeCertificate({ subject: [['CN', 'jane']], issuer: CA, isBare: true }).certificate;
    expect(certificateFields(bare.raw)?.alternativeNames).toBe(undefined);
    expect(certificateFields(CA.certificate.raw)).toMatchObject({ alternativeNames: undefined, issuer: name('ca') });
  });

  test('of the first version, without the field that says so', () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const time = der(0x17, Buffer.from('260101000000Z'));
    const tbs = derSequence(
      der(0x02, serial),
      derSequence(derOid('1.3.101.112')),
      name('ca'),
      derSequence(time, time),
      name('jane'),
      publicKey.export({ type: 'spki', format: 'der' }),
    );
    const old = derSequence(tbs, derSequence(derOid('1.3.101.112')), der(0x03, Buffer.alloc(65)));
    expect(new X509Certificate(old).subject).toBe('CN=jane');
    expect(certificateFields(old)).toEqual({
      subject: name('jane'),
      issuer: name('ca'),
      serialNumber: der(0x02, serial),
      alternativeNames: undefined,
    });
  });

  test('are read where they stand in a SEQUENCE', () => {
    expect(certificateFields(derSequence(derSequence(...FIELDS)))).toMatchObject({ subject: name('jane') });
  });

  test.for([
    ['nothing', Buffer.of()],
    ['cut', made.raw.subarray(0, -1)],
    ['another kind of element', Buffer.concat([Buffer.of(0x31), made.raw.subarray(1)])],
    ['one with nothing in it', derSequence()],
    ['one with another kind of element in it', derSequence(der(0x31))],
    ['one whose fields stand in another kind of element', derSequence(der(0x31, ...FIELDS))],
    ['one with a number alone', derSequence(derSequence(der(0x02, serial)))],
    ['one without names', derSequence(derSequence(der(0x02, serial), derSequence(), der(0x04), der(0x04), der(0x04)))],
    ['one without a subject', derSequence(derSequence(der(0x02, serial), derSequence(), derSequence()))],
    [
      'one without an issuer',
      derSequence(derSequence(der(0x02, serial), derSequence(), der(0x04), derSequence(), derSequence())),
    ],
    ['one with nothing signed', derSequence(derSequence())],
  ] as const)('there are none of %s', ([, bytes]) => {
    expect(certificateFields(bytes)).toBe(undefined);
  });
});

describe('of a request', () => {
  const info = (...attributes: readonly Buffer[]): Buffer =>
    derSequence(
      derSequence(der(0x02, Buffer.of(0)), name('jane'), derSequence(), der(0xa0, ...attributes)),
      derSequence(),
      der(0x03, Buffer.of(0)),
    );
  const extensions = (...each: readonly Buffer[]): Buffer => derSequence(...each);
  const san = derSequence(derOid(SAN), der(0x04, NAMES));
  const wanted = (value: Buffer): Buffer => derSequence(derOid('1.2.840.113549.1.9.14'), value);

  test('the name, and the other names that it wants', () => {
    expect(requestFields(info(wanted(der(0x31, extensions(san)))))).toEqual({
      subject: name('jane'),
      alternativeNames: NAMES,
    });
  });

  test('among other attributes and extensions', () => {
    const other = derSequence(derOid('1.2.840.113549.1.9.7'), der(0x31, der(0x0c, Buffer.from('secret'))));
    const usage = derSequence(derOid('2.5.29.15'), der(0x04, Buffer.of(3, 2, 5, 0xa0)));
    expect(requestFields(info(other, wanted(der(0x31, extensions(usage, san)))))?.alternativeNames).toEqual(NAMES);
  });

  test.for([
    ['without attributes', info()],
    ['with other attributes', info(derSequence(derOid('1.2.3'), der(0x31, extensions(san))))],
    ['with what is no set', info(wanted(der(0x30, extensions(san))))],
    ['with an attribute without values', info(wanted(Buffer.of()))],
    ['with other extensions', info(wanted(der(0x31, extensions(derSequence(derOid('1.2.3'), der(0x04, NAMES))))))],
    ['with an attribute of nothing', info(derSequence())],
    ['with an extension of nothing', info(wanted(der(0x31, extensions(derSequence()))))],
    [
      'with other names under what is no OBJECT IDENTIFIER',
      info(wanted(der(0x31, extensions(derSequence(der(0x04, Buffer.from('551d11', 'hex')), der(0x04, NAMES)))))),
    ],
    ['with other names that are no OCTET STRING', info(wanted(der(0x31, extensions(derSequence(derOid(SAN), NAMES)))))],
  ] as const)('the name alone: %s', ([, bytes]) => {
    expect(requestFields(bytes)).toEqual({ subject: name('jane'), alternativeNames: undefined });
  });

  test('there is none of what is no request', () => {
    expect(requestFields(Buffer.of())).toBe(undefined);
    expect(requestFields(derSequence(derSequence(der(0x02, Buffer.of(0)), der(0x31))))).toBe(undefined);
  });
});
