import {
  createECDH,
  createHash,
  createPublicKey,
  ECDH,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CURVES, mod, toBytes, toInteger } from '../../../src/signing/curves.ts';
import { provenVerifyDigest, verifyByMovedKey, verifyEcdsaDigest } from '../../../src/signing/ecdsa.ts';
import { publicKeyOn } from '../../../src/signing/ec-point.ts';
import { derSequence } from '../../support/certificates.ts';

type VerifyDigest = NonNullable<Parameters<typeof provenVerifyDigest>[0]>;

const MESSAGE = Buffer.from('message');

/** base^exponent: by Fermat, another way to an inverse than that of the code. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let [square, left] = [base, exponent]; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

describe.each(Object.values(CURVES))('$name', (curve) => {
  const { name, n, length, opensslName, hash } = curve;
  const half = (value: bigint): Buffer => toBytes(value, length);
  const signatureOf = (r: bigint, s: bigint): Buffer => Buffer.concat([half(r), half(s)]);
  const inverse = (value: bigint): bigint => power(mod(value, n), n - 2n, n);
  const pointOf = (factor: bigint): Buffer => {
    const ecdh = createECDH(opensslName);
    ecdh.setPrivateKey(half(factor));
    return ecdh.getPublicKey();
  };
  const publicKeyOf = (d: bigint): KeyObject => publicKeyOn(curve, pointOf(d));
  // any nonce: these are no secrets
  const k = 0x10001n;
  const r = toInteger(pointOf(k).subarray(1, 1 + length)) % n;
  const sOf = (e: bigint, d: bigint): bigint => mod((e + r * d) * inverse(k), n);
  const standIn = (bytes: number): bigint => toInteger(createHash('sha256').update(Buffer.alloc(bytes)).digest());
  /** e as a digest that is as long as the order: the bits that are cut are set. */
  const digestOf = (e: bigint): Buffer => {
    const surplus = BigInt(8 * length - curve.orderBits);
    return half((e << surplus) + 2n ** surplus - 1n);
  };
  const verifies = (digest: Buffer, signature: Buffer, key: KeyObject): boolean =>
    verifyByMovedKey(curve, digest, signature, key);

  test.each(['sha1', 'sha256', 'sha384', 'sha512'])(
    "a signature of OpenSSL's over %s fits, and no other digest",
    (hashed) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: opensslName });
      const signature = sign(hashed, MESSAGE, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      const digest = createHash(hashed).update(MESSAGE).digest();
      expect(verifies(digest, signature, publicKey)).toBe(true);
      // a second time, by what was kept of the key
      expect(verifies(digest, signature, publicKey)).toBe(true);
      expect(verifies(createHash(hashed).digest(), signature, publicKey)).toBe(false);
      const { publicKey: other } = generateKeyPairSync('ec', { namedCurve: opensslName });
      expect(verifies(digest, signature, other)).toBe(false);
    },
  );

  test('a key fits whose point is written in short', () => {
    const d = 0xabcdefn;
    const whole = publicKeyOf(d).export({ format: 'der', type: 'spki' });
    // the lengths of the longest have a byte more
    const more = whole[1] === 0x81 ? 1 : 0;
    const algorithm = whole.subarray(2 + more, -(2 * length + 4 + more));
    const point = ECDH.convertKey(pointOf(d), opensslName, undefined, undefined, 'compressed') as Buffer;
    const bits = Buffer.concat([Buffer.of(0x03, point.length + 1, 0), point]);
    const shortKey = createPublicKey({ key: derSequence(algorithm, bits), format: 'der', type: 'spki' });
    const signature = signatureOf(r, sOf(7n, d));
    expect(verifies(digestOf(7n), signature, shortKey)).toBe(true);
    expect(verifies(digestOf(8n), signature, shortKey)).toBe(false);
  });

  test('r and s that are zero, n or more, and other lengths do not fit', () => {
    const [e, d] = [7n, 5n];
    const [key, digest, s] = [publicKeyOf(d), digestOf(e), sOf(e, d)];
    expect(verifies(digest, signatureOf(r, s), key)).toBe(true);
    expect(verifies(digest, signatureOf(r, n - s), key)).toBe(true);
    const most = 256n ** BigInt(length) - 1n;
    for (const bad of [0n, n, n + 1n, most]) {
      expect(verifies(digest, signatureOf(bad, s), key)).toBe(false);
      expect(verifies(digest, signatureOf(r, bad), key)).toBe(false);
      expect(verifies(digest, signatureOf(bad, bad), key)).toBe(false);
    }
    if (s + n <= most) expect(verifies(digest, signatureOf(r, s + n), key)).toBe(false);
    if (r + n <= most) expect(verifies(digest, signatureOf(r + n, s), key)).toBe(false);
    const whole = signatureOf(r, s);
    for (const other of [whole.subarray(1), Buffer.concat([whole, Buffer.alloc(1)]), Buffer.alloc(0)]) {
      expect(verifies(digest, other, key)).toBe(false);
    }
  });

  describe('where the moved key is none, or the same point twice', () => {
    const anyone = n / 3n;
    const [first, second] = [standIn(0), standIn(1)];
    // the step t·G from the key, t = (e − stand-in) / r
    test.each<[string, bigint, bigint]>([
      ['t = 0', first, anyone],
      ['Q for the first, t = 0 for the second', second, mod((second - first) * inverse(r), n)],
      ['t·G = Q', mod(first + r * anyone, n), anyone],
      ['t·G = −Q', mod(first - r * anyone, n), anyone],
      ['t·G = Q for the second', mod(second + r * anyone, n), anyone],
      ['t·G = −Q for the second', mod(second - r * anyone, n), anyone],
      [
        'Q for the first, −Q for the second',
        mod((first + second) * inverse(2n), n),
        mod((second - first) * inverse(2n * r), n),
      ],
      [
        '−Q for the first, Q for the second',
        mod((first + second) * inverse(2n), n),
        mod((first - second) * inverse(2n * r), n),
      ],
    ])('%s', (_, e, d) => {
      const [key, digest, s] = [publicKeyOf(d), digestOf(e), sOf(e, d)];
      expect(verifies(digest, signatureOf(r, s), key)).toBe(true);
      expect(verifies(digest, signatureOf(r, (s % (n - 1n)) + 1n), key)).toBe(false);
      expect(verifies(digestOf(mod(e + 1n, n)), signatureOf(r, s), key)).toBe(false);
      // −Q: the same x
      expect(verifies(digest, signatureOf(r, s), publicKeyOf(n - d))).toBe(false);
    });
  });

  describe("by a Node's own verifyDigest", () => {
    const d = 7n;
    const signed = (digest: Buffer): Buffer => signatureOf(r, sOf(toInteger(digest.subarray(0, length)), d));

    test('digests up to the length of the hash are padded to it', () => {
      const key = publicKeyOf(d);
      const asked: unknown[][] = [];
      const noting: VerifyDigest = (...words) => {
        asked.push(words);
        return words[0] === hash.name;
      };
      for (const size of [20, hash.length - 1, hash.length]) {
        const digest = Buffer.alloc(size, 7);
        const signature = signed(digest);
        expect(verifyEcdsaDigest(name, digest, signature, key, noting)).toBe(true);
        const padded = Buffer.concat([Buffer.alloc(hash.length - size), digest]);
        expect(asked.pop()).toEqual([hash.name, padded, { key, dsaEncoding: 'ieee-p1363' }, signature]);
      }
      expect(verifyEcdsaDigest(name, Buffer.alloc(20), Buffer.alloc(2 * length), key, () => false)).toBe(false);
    });

    test('is not asked of longer ones', () => {
      const digest = Buffer.alloc(hash.length + 2, 7);
      const never: VerifyDigest = () => {
        throw new Error('asked');
      };
      // P-521 has more bits than its hash
      const surplus = BigInt(Math.max(0, 8 * digest.length - curve.orderBits));
      const signature = signatureOf(r, sOf(toInteger(digest) >> surplus, d));
      expect(verifyEcdsaDigest(name, digest, signature, publicKeyOf(d), never)).toBe(true);
      expect(verifyEcdsaDigest(name, digest.fill(8), signature, publicKeyOf(d), never)).toBe(false);
    });
  });
});

test.each([
  ['P-256', 'P-384'],
  ['P-384', 'P-256'],
  ['P-521', 'secp256k1'],
] as const)('a signature on %s is not looked at with a key on %s', (name, other) => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: CURVES[other].opensslName });
  expect(() =>
    verifyByMovedKey(CURVES[name], Buffer.alloc(32), Buffer.alloc(2 * CURVES[name].length, 1), publicKey),
  ).toThrow(expect.objectContaining({ code: 'ERR_KEY_UNSUPPORTED' }));
});

test("a Node's verifyDigest is believed only if it knows right from wrong", () => {
  const right: VerifyDigest = (hash, digest, { key, dsaEncoding }, signature) =>
    hash === 'sha256' &&
    (dsaEncoding as string) === 'ieee-p1363' &&
    verifyByMovedKey(CURVES['P-256'], digest, signature, key);
  expect(provenVerifyDigest(right)).toBe(right);
  expect(provenVerifyDigest(undefined)).toBe(undefined);
  expect(provenVerifyDigest(() => true)).toBe(undefined);
  expect(provenVerifyDigest(() => false)).toBe(undefined);
  expect(provenVerifyDigest((...words) => !right(...words))).toBe(undefined);
  // it hashes what is a digest
  expect(provenVerifyDigest((hash, digest, key, signature) => verify(hash, digest, key, signature))).toBe(undefined);
  expect(
    provenVerifyDigest(() => {
      throw new TypeError('another API');
    }),
  ).toBe(undefined);
});
