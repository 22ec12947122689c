import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeFrame, FrameDecoder, type Frame } from '../../src/pkcs11/host/frames.ts';
import { formatPkcs11Uri, parsePkcs11Uri, type Pkcs11Uri } from '../../src/pkcs11/uri.ts';
import { formatAlgorithm, parseAlgorithmText } from '../../src/signing/algorithm-text.ts';
import { decodeEmsaPkcs1, encodeDigestInfo, encodeEmsaPkcs1 } from '../../src/signing/emsa-pkcs1.ts';
import { encodeEmsaPss, maxSaltLength, verifyEmsaPss } from '../../src/signing/emsa-pss.ts';
import { HASHES, PLAIN_HASHES } from '../../src/signing/hashes.ts';

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 200);
const property = (...words: Parameters<typeof fc.assert>): void => {
  void fc.assert(words[0], { numRuns, ...words[1] });
};

/** Cuts bytes into chunks at the given places. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

it('pkcs11 URIs', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 });
  const uris = fc.record({
    token: optional(text),
    manufacturer: optional(text),
    model: optional(text),
    serial: optional(text),
    object: optional(text),
    id: optional(fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes))),
    slotId: optional(fc.nat()),
    slotManufacturer: optional(text),
    slotDescription: optional(text),
    libraryManufacturer: optional(text),
    libraryDescription: optional(text),
    libraryVersion: optional(fc.record({ major: fc.nat(255), minor: fc.nat(255) })),
    type: optional(fc.constantFrom('private', 'public', 'cert', 'secret-key', 'data')),
    modulePath: optional(text),
    moduleName: optional(text),
    pinSource: optional(text),
  });
  property(
    fc.property(uris, (fields) => {
      const uri = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Pkcs11Uri;
      expect(parsePkcs11Uri(formatPkcs11Uri(uri))).toEqual(uri);
    }),
  );
});

it('algorithm texts', () => {
  const hash = fc.constantFrom(...PLAIN_HASHES);
  const dataKind = fc.constantFrom('digest' as const, 'message' as const);
  const algorithm = fc.oneof(
    fc.record({ scheme: fc.constant('ECDSA' as const), hash, dataKind }),
    fc.record({
      scheme: fc.constant('RSA_PKCS1_PADDING' as const),
      hash: fc.constantFrom(...Object.values(HASHES)),
      dataKind,
    }),
    fc.record({
      scheme: fc.constant('RSA_PKCS1_PSS_PADDING' as const),
      hash,
      saltLength: fc.oneof(fc.constantFrom('digest' as const, 'max' as const), fc.nat(9999)),
      dataKind,
    }),
    fc.record({
      scheme: fc.constantFrom('ED25519' as const, 'ED448' as const),
      dataKind: fc.constant('message' as const),
    }),
  );
  property(
    fc.property(algorithm, (value) => {
      expect(parseAlgorithmText(formatAlgorithm(value))).toEqual(value);
    }),
  );
});

it('frames, in any chunks', () => {
  const frames = fc.array(
    fc.record({ header: fc.dictionary(fc.string(), fc.jsonValue()), payload: fc.uint8Array({ maxLength: 300 }) }),
    {
      maxLength: 5,
    },
  );
  property(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (sent, cuts) => {
      const decoder = new FrameDecoder();
      const bytes = Buffer.concat(sent.map(({ header, payload }) => encodeFrame(header, payload)));
      const received: Frame[] = chunks(bytes, cuts).flatMap((chunk) => decoder.push(chunk));
      expect(received).toEqual(
        sent.map(({ header, payload }) => ({
          header: JSON.parse(JSON.stringify(header)) as unknown,
          payload: Buffer.from(payload),
        })),
      );
    }),
  );
});

it('garbage is no frame', () => {
  expect(() => new FrameDecoder().push(Buffer.from('the module says hello\n'))).toThrow(
    expect.objectContaining({ code: 'ERR_MODULE_DIED' }),
  );
});

it('EMSA-PKCS1-v1_5 blocks', () => {
  property(
    fc.property(
      fc.constantFrom(...Object.values(HASHES)),
      fc.integer({ min: 128, max: 512 }),
      (hash, modulusLength) => {
        const digestInfo = encodeDigestInfo(hash, hash.digest(Buffer.from([modulusLength & 0xff])));
        expect(decodeEmsaPkcs1(encodeEmsaPkcs1(digestInfo.encoded, modulusLength))).toEqual(digestInfo);
      },
    ),
  );
});

it('EMSA-PSS blocks, moduli of any length', () => {
  property(
    fc.property(
      fc.constantFrom(...PLAIN_HASHES),
      fc.integer({ min: 1030, max: 2049 }),
      fc.nat(),
      (hash, bits, salt) => {
        const saltLength = salt % (maxSaltLength(hash, bits) + 1);
        const digest = hash.digest(Buffer.from([bits & 0xff]));
        const block = encodeEmsaPss(hash, digest, saltLength, bits);
        expect(block).toHaveLength(Math.ceil(bits / 8));
        expect(verifyEmsaPss(hash, digest, saltLength, block, bits)).toBe(true);
        const spoiled = Buffer.from(block);
        spoiled[spoiled.length - 2] = (spoiled.at(-2) ?? 0) ^ 1;
        expect(verifyEmsaPss(hash, digest, saltLength, spoiled, bits)).toBe(false);
      },
    ),
    { numRuns: Math.min(numRuns, 200) },
  );
});
