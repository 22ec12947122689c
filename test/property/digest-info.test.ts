import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { errorCode } from '../../src/errors.ts';
import { encodeEmsaPkcs1 } from '../../src/signing/emsa-pkcs1.ts';
import { HASHES } from '../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../src/signing/parse-request.ts';
import { keyKind } from '../../src/signing/public-key.ts';

const kind = keyKind(
  createPublicKey(
    generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' }),
  ),
);

/** All ways in which 36 bytes come to be signed with RSASSA-PKCS1-v1_5. */
const WAYS: readonly (readonly [string | undefined, (data: Buffer) => Buffer])[] = [
  [undefined, (data) => data],
  ['RSA_PKCS1_PADDING', (data) => data],
  ['RSA_PKCS1_PADDING,hashalg=MD5-SHA1', (data) => data],
  ['RSA_NO_PADDING', (data) => encodeEmsaPkcs1(data, 128)],
];

function expectRefused(data: Buffer): void {
  for (const [text, wrap] of WAYS) {
    const ask = () => parseSignatureRequest(wrap(data).toString('base64'), text, kind);
    expect(ask, `${text ?? 'no text'}: ${data.toString('hex')}`).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_REQUEST_(DIGEST_INFO|PADDING|LENGTH)$/) }),
    );
  }
}

/** Ways to write a length in BER: the fewest bytes, more than needed, none (with an end behind the content). */
type Form = 'short' | '81' | '82' | '83' | '84' | 'indefinite';
const FORMS: readonly Form[] = ['short', '81', '82', '83', '84', 'indefinite'];

function element(tag: number, content: Buffer, form: Form): Buffer {
  if (form === 'indefinite') return Buffer.concat([Buffer.from([tag, 0x80]), content, Buffer.alloc(2)]);
  const count = form === 'short' ? 0 : Number(form) - 80;
  const length = Buffer.alloc(count);
  if (count > 0) length.writeUIntBE(content.length, 0, count);
  return Buffer.concat([Buffer.from(count > 0 ? [tag, 0x80 + count] : [tag, content.length]), length, content]);
}

const OIDS = {
  md5: '2a864886f70d0205',
  md2: '2a864886f70d0202',
  sha1: '2b0e03021a',
  sha256: '608648016503040201',
};
const form = fc.constantFrom(...FORMS);

/** A DigestInfo as a lax verifier may read it: odd lengths, parameters there or not, a digest in pieces, bytes behind it. */
const laxDigestInfo = fc
  .record({
    oid: fc.constantFrom(...Object.values(OIDS)),
    digest: fc.uint8Array({ minLength: 0, maxLength: 24 }),
    parameters: fc.constantFrom('', '0500', '058100', '0400', '050100'),
    inPieces: fc.boolean(),
    [0]: form,
    [1]: form,
    [2]: form,
  })
  .map(({ oid, digest, parameters, inPieces, ...forms }) => {
    const name = Buffer.from(oid, 'hex');
    const algorithm = Buffer.concat([element(6, name, 'short'), Buffer.from(parameters, 'hex')]);
    const bytes = Buffer.from(digest);
    const octets = inPieces ? element(0x24, element(4, bytes, 'short'), forms[1]) : element(4, bytes, 'short');
    return element(0x30, Buffer.concat([element(0x30, algorithm, forms[2]), octets]), forms[0]);
  });

test('no DigestInfo in BER is signed as a bare MD5-SHA1 digest', () => {
  const padded = laxDigestInfo
    .filter((bytes) => bytes.length <= 36)
    .chain((bytes) =>
      fc
        .uint8Array({ minLength: 36 - bytes.length, maxLength: 36 - bytes.length })
        .map((rest) => Buffer.concat([bytes, rest])),
    );
  fc.assert(fc.property(padded, expectRefused), { numRuns: 1000 });
});

test.each([
  ['MD5, a length of two bytes twice', '3082002030', '0c06082a864886f70d020505000410'],
  ['MD5, long lengths', '308121', '300c06082a864886f70d0205050004 8110'],
])('%s', (_, start, rest) => {
  const prefix = Buffer.from(`${start}${rest}`.replaceAll(' ', ''), 'hex');
  expectRefused(Buffer.concat([prefix, randomBytes(36)]).subarray(0, 36));
});

test.each(FORMS)('nothing that is a SEQUENCE of 36 bytes (%s)', (each) => {
  const room = 36 - element(0x30, Buffer.alloc(0), each).length;
  expectRefused(element(0x30, element(4, randomBytes(room - 2), 'short'), each));
});

test('nor an OCTET STRING of 36 bytes', () => {
  expectRefused(element(0x04, randomBytes(34), 'short'));
  expectRefused(element(0x24, element(0x04, randomBytes(32), 'short'), 'short'));
});

test('all other digests are signed', () => {
  const digests = fc
    .uint8Array({ minLength: 36, maxLength: 36 })
    .filter(([first]) => first !== 0x30 && first !== 0x04 && first !== 0x24);
  fc.assert(
    fc.property(digests, (digest) => {
      for (const [text, wrap] of WAYS) {
        const request = parseSignatureRequest(wrap(Buffer.from(digest)).toString('base64'), text, kind);
        expect(request).toMatchObject({ scheme: 'RSA_PKCS1_PADDING', digestInfo: { encoded: Buffer.from(digest) } });
      }
    }),
  );
});

test('of a thousand handshakes none needs another digest', () => {
  for (let index = 0; index < 1000; index++) {
    const seed = Buffer.from(`handshake ${index}`);
    const digest = Buffer.concat([createHash('md5').update(seed).digest(), createHash('sha1').update(seed).digest()]);
    expect(parseSignatureRequest(digest.toString('base64'), 'RSA_PKCS1_PADDING', kind).scheme).toBe(
      'RSA_PKCS1_PADDING',
    );
  }
});

test('of the other hashes only the one encoding is signed', () => {
  const hashes = Object.values(HASHES).filter(({ digestInfoPrefix }) => digestInfoPrefix.length > 0);
  const changed = fc
    .tuple(fc.constantFrom(...hashes), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: 3 }))
    .map(([hash, at, flip, behind]) => {
      const { digestInfoPrefix: prefix, length } = hash;
      const bytes = Buffer.concat([prefix, randomBytes(length), behind]);
      if (behind.length === 0) bytes[at % prefix.length] = (bytes[at % prefix.length] ?? 0) ^ flip;
      return bytes;
    });
  fc.assert(
    fc.property(changed, (bytes) => {
      for (const text of ['RSA_PKCS1_PADDING', 'RSA_NO_PADDING']) {
        const data = text === 'RSA_NO_PADDING' ? encodeEmsaPkcs1(bytes, 128) : bytes;
        try {
          parseSignatureRequest(data.toString('base64'), text, kind);
          expect.unreachable(bytes.toString('hex'));
        } catch (error) {
          expect(errorCode(error)).toMatch(/^ERR_REQUEST_(DIGEST_INFO|PADDING)$/);
        }
      }
    }),
  );
});
