import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allWords, parseHint, parseWords } from '../../../src/certificates/words.ts';
import { derBmpString, derInteger, derOid, derSequence, makeCertificate } from '../../support/certificates.ts';

const CA = makeCertificate({
  subject: [
    ['O', 'Corp'],
    ['CN', 'Corp VPN CA'],
  ],
});
const TEMPLATE = '1.3.6.1.4.1.311.21.8.1234567.7654321.1';
const { certificate: JANE } = makeCertificate({
  issuer: CA,
  subject: [
    ['C', 'DE'],
    ['O', 'Müller, Söhne + Co'],
    ['OU', 'Bau'],
    ['OU', 'Nord'],
    ['CN', 'Jane Doe'],
  ],
  serial: Buffer.from('00b1c2d3', 'hex'),
  usages: ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.20.2.2'],
  extensions: [
    { id: '1.3.6.1.4.1.311.21.7', value: derSequence(derOid(TEMPLATE), derInteger(100), derInteger(3)) },
    { id: '1.3.6.1.4.1.311.20.2', value: derBmpString('VPN User') },
  ],
});
const { certificate: PLAIN } = makeCertificate({ subject: [['CN', 'plain']] });
const hash = (name: string): string => createHash(name).update(JANE.raw).digest('hex');
const spaced = (hex: string): string => hex.replace(/../g, '$& ').trim();

const fits = (...texts: string[]): boolean => parseWords(texts).fits(JANE);

describe('words', () => {
  test.each([
    'SUBJ:Jane Doe',
    'SUBJ:jane doe',
    'subj:JANE',
    'SUBJ:CN=Jane Doe',
    'SUBJ:C=DE, O=Müller, Söhne + Co',
    'SUBJ:CN=Jane Doe,OU=Nord,OU=Bau',
    'SUBJ:DE, Müller, Söhne + Co, Bau, Nord, Jane',
    'SUBJ:Jane Doe, Nord',
    'ISSUER:vpn ca',
    'ISSUER:O=Corp',
    'SERIAL:b1c2d3',
    'SERIAL:00:B1:C2:D3',
    'EKU:clientAuth',
    'EKU:CLIENTAUTH',
    'EKU:smartcardLogon',
    'EKU:1.3.6.1.5.5.7.3.2',
    `TMPL:${TEMPLATE}`,
    'TMPL:vpn user',
    'SUBJ:Jane ISSUER:Corp EKU:clientAuth',
    `THUMB:${hash('sha1')}`,
    `THUMB:${spaced(hash('sha1')).toUpperCase()}`,
    `THUMB:${hash('sha256')}`,
    'macosx-keychain:SUBJECT:cn=jane doe',
    'macosx-keychain:subject: c = DE / ou = Bau / ou = Nord ISSUER:o=Corp',
    `macosx-keychain:SHA1: ${spaced(hash('sha1'))}`,
    `macosx-keychain:MD5:${hash('md5')}`,
    'macosx-keychain:Serial:00 B1 C2 D3',
  ])('%s fits', (text) => {
    expect(fits(text)).toBe(true);
  });

  test.each([
    'SUBJ:Janet',
    'SUBJ:OU=Jane',
    'SUBJ:Corp VPN CA',
    'ISSUER:Jane',
    'SERIAL:b1c2',
    'EKU:serverAuth',
    'EKU:1.3.6.1.5.5.7.3',
    'TMPL:1.3.6.1.4.1.311.21.8.1234567.7654321',
    'TMPL:VPN',
    'SUBJ:Jane EKU:serverAuth',
    'SUBJ:Janet EKU:clientAuth',
    `THUMB:${'0'.repeat(40)}`,
    'macosx-keychain:SUBJECT:cn=jane',
    'macosx-keychain:SUBJECT:ou=Bau',
    'macosx-keychain:SUBJECT:cn=jane doe ISSUER:o=Other',
  ])('%s does not', (text) => {
    expect(fits(text)).toBe(false);
  });

  test('of several texts must all fit', () => {
    expect(fits('SUBJ:Jane', 'ISSUER:Corp')).toBe(true);
    expect(fits('SUBJ:Jane', 'ISSUER:Other')).toBe(false);
    const both = allWords(parseWords(['SUBJ:Jane']), undefined, parseWords(['ISSUER:Other']));
    expect(both).toMatchObject({ text: 'SUBJ:Jane ISSUER:Other' });
    expect(both?.fits(JANE)).toBe(false);
    expect(allWords(undefined)).toBeUndefined();
  });

  test('fit no certificate that does not say', () => {
    expect(parseWords(['EKU:clientAuth']).fits(PLAIN)).toBe(false);
    expect(parseWords(['TMPL:VPN User']).fits(PLAIN)).toBe(false);
  });

  test.each([
    ['Jane', /^no word in 'Jane': known are SUBJ:, ISSUER:, THUMB:, SERIAL:, EKU:, TMPL:$/],
    ['', /^no word in ''/],
    ['SUBJECT:Jane', /^no word/],
    ['SUBJ:', /^nothing stands behind SUBJ:$/],
    ['SUBJ: ISSUER:x', /^nothing stands behind SUBJ:$/],
    ['THUMB:xy', /^'xy' behind THUMB: is not in hex digits$/],
    ['THUMB:ab', /^'ab' behind THUMB: is no thumbprint/],
    ['SERIAL:x', /not in hex digits/],
    ['EKU:vpn', /^unknown purpose 'vpn' behind EKU:/],
    ['macosx-keychain:cn=x', /^no word/],
    ['macosx-keychain:SUBJECT:x', /is not TYPE=VALUE/],
  ])('%j is refused', (text, line) => {
    expect(() => parseWords([text])).toThrow(
      expect.objectContaining({ code: 'ERR_USAGE', line: expect.stringMatching(line) }),
    );
  });
});

describe('a hint', () => {
  test.each(['Jane Doe', '', 'pksigd', 'SUBJECT:Jane', 'my SUBJ:Jane', 'macosx-keychain:auto'])(
    "'%s' is a name for people",
    (hint) => {
      expect(parseHint(hint)).toBeUndefined();
    },
  );

  test('may have words', () => {
    expect(parseHint('SUBJ:Jane ISSUER:Corp')?.fits(JANE)).toBe(true);
    expect(() => parseHint('THUMB:zz')).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
  });

  test('whatever it is, is read or refused in good order', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('SUBJ:', ' EKU:', 'THUMB:', 'macosx-keychain:', 'SUBJECT:', ' '),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        try {
          parseHint(pieces.join(''))?.fits(JANE);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_USAGE' });
        }
      }),
    );
  });
});

test('any value of a subject is found by itself', () => {
  const value = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((text) => !/[\p{C}\s:]/u.test(text));
  fc.assert(
    fc.property(value, value, (first, second) => {
      const { certificate } = makeCertificate({
        subject: [
          ['O', first],
          ['CN', second],
        ],
        key: CA.privateKey,
      });
      expect(parseWords([`SUBJ:${first}`]).fits(certificate)).toBe(true);
      expect(parseWords([`SUBJ:CN=${second}, O=${first}`]).fits(certificate)).toBe(true);
    }),
    { numRuns: 60 },
  );
});
