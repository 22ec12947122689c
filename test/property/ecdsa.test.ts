import { createECDH, createHash, randomBytes, verify, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addPoints, CURVES, inverse, mod, toBytes, toInteger } from '../../src/signing/curves.ts';
import { provenVerifyDigest, verifyByMovedKey, verifyEcdsaDigest } from '../../src/signing/ecdsa.ts';
import { publicKeyOn } from '../../src/signing/ec-point.ts';
import type { CurveName } from '../../src/signing/public-key.ts';
import { AS_GIVEN, NOBLE, RUNS } from '../support/noble.ts';

const NAMES = Object.keys(CURVES) as CurveName[];

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each));
/** Digests as requests have them: 20 to 64 bytes, of special values too. */
const digests = fc.integer({ min: 20, max: 64 }).chain((length) =>
  fc.oneof(
    { weight: 4, arbitrary: bytes(length) },
    fc.constantFrom(0, 1, 0x7f, 0x80, 0xff).map((byte) => Buffer.alloc(length, byte)),
  ),
);

/** With one other bit. */
function flip(original: Buffer, place: number): Buffer {
  return Buffer.from(
    original.map((byte, index) => (index === place % original.length ? byte ^ (1 << (place % 8)) : byte)),
  );
}

/** The public key d·G. */
function publicKeyOf(name: CurveName, d: bigint): KeyObject {
  const { length, opensslName } = CURVES[name];
  const ecdh = createECDH(opensslName);
  ecdh.setPrivateKey(toBytes(d, length));
  const point = ecdh.getPublicKey();
  return publicKeyOn(CURVES[name], point);
}

/** As noble sees it: digests cut to the order's bits, r and s from 1 to n − 1. */
function nobleVerifies(name: CurveName, digest: Buffer, signature: Buffer, d: bigint): boolean {
  const { length } = CURVES[name];
  const publicKey = NOBLE[name].getPublicKey(toBytes(d, length), false);
  return NOBLE[name].verify(signature, digest, publicKey, AS_GIVEN);
}

describe.each(NAMES)('%s', (name) => {
  const curve = CURVES[name];
  const { n, p, length } = curve;
  const numRuns = Number(process.env['PROPERTY_RUNS'] ?? RUNS[name]);
  const scalars = fc.oneof(
    { weight: 4, arbitrary: bytes(length).map((each) => (toInteger(each) % (n - 1n)) + 1n) },
    fc.constantFrom(1n, 2n, 3n, n - 1n, n - 2n, (n - 1n) / 2n),
  );
  const half = (value: bigint): Buffer => toBytes(value, length);
  const sign = (digest: Buffer, d: bigint): Buffer => Buffer.from(NOBLE[name].sign(digest, half(d), AS_GIVEN));
  const split = (signature: Buffer): [bigint, bigint] => [
    toInteger(signature.subarray(0, length)),
    toInteger(signature.subarray(length)),
  ];
  const verifies = (digest: Buffer, signature: Buffer, key: KeyObject): boolean =>
    verifyByMovedKey(curve, digest, signature, key);

  it('is the curve that noble knows', () => {
    expect([p, n]).toEqual([NOBLE[name].Point.CURVE().p, NOBLE[name].Point.CURVE().n]);
    expect(curve.orderBits).toBe(n.toString(2).length);
    expect(curve.hash).toEqual({
      name: curve.hash.name,
      length: createHash(curve.hash.name).digest().length,
    });
  });

  it('inverses', () => {
    const lengths = fc.integer({ min: 1, max: curve.orderBits - 1 });
    fc.assert(
      fc.property(
        fc.oneof(
          scalars,
          lengths.map((bits) => 2n ** BigInt(bits) - 1n),
        ),
        (value) => {
          for (const modulus of [n, p]) expect((inverse(value, modulus) * value) % modulus).toBe(1n);
        },
      ),
      { numRuns: 50 * numRuns },
    );
  });

  it('adds points', () => {
    fc.assert(
      fc.property(scalars, scalars, (first, second) => {
        fc.pre(first !== second && first + second !== n);
        const [a, b] = [first, second].map((each) => NOBLE[name].Point.BASE.multiply(each));
        if (a && b) expect(addPoints(curve, a.toAffine(), b.toAffine())).toEqual(a.add(b).toAffine());
      }),
      { numRuns },
    );
  });

  it('takes what fits, s and n − s; and refuses everything else, as noble does', () => {
    fc.assert(
      fc.property(scalars, digests, digests, fc.nat(), (d, digest, other, place) => {
        const key = publicKeyOf(name, d);
        const signature = sign(digest, d);
        const [r, s] = split(signature);
        expect(verifies(digest, signature, key)).toBe(true);
        expect(verifies(digest, Buffer.concat([half(r), half(n - s)]), key)).toBe(true);
        const wrong: [Buffer, Buffer, bigint][] = [
          [digest, flip(signature, place), d],
          [flip(digest, place % Math.min(digest.length, length)), signature, d],
          [digest, Buffer.concat([half(s), half(r)]), d],
          [digest, Buffer.concat([half(n - r), half(s)]), d],
          [digest, Buffer.concat([half((r % (n - 1n)) + 1n), half(s)]), d],
          [digest, Buffer.concat([half(r), half((s % (n - 1n)) + 1n)]), d],
          [digest, signature, (d % (n - 1n)) + 1n],
          // −Q: the same x
          [digest, signature, n - d],
        ];
        for (const [hashed, given, scalar] of wrong) {
          expect(verifies(hashed, given, publicKeyOf(name, scalar))).toBe(nobleVerifies(name, hashed, given, scalar));
        }
        expect(verifies(other, signature, key)).toBe(nobleVerifies(name, other, signature, d));
      }),
      { numRuns },
    );
  });

  it('refuses r and s that are zero, n or more, and other lengths', () => {
    const d = 5n;
    const key = publicKeyOf(name, d);
    const digest = randomBytes(32);
    const signature = sign(digest, d);
    const [r, s] = split(signature);
    const most = 256n ** BigInt(length) - 1n;
    for (const bad of [0n, n, n + 1n, most]) {
      expect(verifies(digest, Buffer.concat([half(bad), half(s)]), key)).toBe(false);
      expect(verifies(digest, Buffer.concat([half(r), half(bad)]), key)).toBe(false);
      expect(verifies(digest, Buffer.concat([half(bad), half(bad)]), key)).toBe(false);
    }
    for (const [first, second] of [
      [r + n, s],
      [r, s + n],
      [r + n, s + n],
    ] as const) {
      if (first <= most && second <= most) {
        expect(verifies(digest, Buffer.concat([half(first), half(second)]), key)).toBe(false);
      }
    }
    for (const other of [signature.subarray(1), Buffer.concat([signature, Buffer.alloc(1)]), Buffer.alloc(0)]) {
      expect(verifies(digest, other, key)).toBe(false);
    }
  });

  describe('where the moved key is none, or the same point twice', () => {
    const standIn = (bytesOfIt: number): bigint =>
      toInteger(createHash('sha256').update(Buffer.alloc(bytesOfIt)).digest());
    /** e as a digest that is as long as the order: the bits that are cut are set. */
    const asDigest = (e: bigint): Buffer => {
      const surplus = BigInt(8 * length - curve.orderBits);
      return half((e << surplus) + 2n ** surplus - 1n);
    };
    const k = toInteger(randomBytes(length)) % n;
    const r = NOBLE[name].Point.BASE.multiply(k).toAffine().x % n;
    const signedWith = (e: bigint, d: bigint): Buffer =>
      Buffer.concat([half(r), half(mod((e + r * d) * inverse(k, n), n))]);
    const anyone = toInteger(randomBytes(length)) % n;
    const [first, second] = [standIn(0), standIn(1)];
    // the step t·G from the key, t = (e − stand-in) / r
    it.each<[string, bigint, bigint]>([
      ['t = 0', first, anyone],
      ['Q for the first, t = 0 for the second', second, mod((second - first) * inverse(r, n), n)],
      ['t·G = Q', mod(first + r * anyone, n), anyone],
      ['t·G = −Q', mod(first - r * anyone, n), anyone],
      ['t·G = Q for the second', mod(second + r * anyone, n), anyone],
      ['t·G = −Q for the second', mod(second - r * anyone, n), anyone],
      [
        'Q for the first, −Q for the second',
        mod((first + second) * inverse(2n, n), n),
        mod((second - first) * inverse(mod(2n * r, n), n), n),
      ],
      [
        '−Q for the first, Q for the second',
        mod((first + second) * inverse(2n, n), n),
        mod((first - second) * inverse(mod(2n * r, n), n), n),
      ],
    ])('%s', (_, e, d) => {
      const key = publicKeyOf(name, d);
      const digest = asDigest(e);
      const signature = signedWith(e, d);
      expect(nobleVerifies(name, digest, signature, d)).toBe(true);
      expect(verifies(digest, signature, key)).toBe(true);
      const [, s] = split(signature);
      const wrong = Buffer.concat([half(r), half((s % (n - 1n)) + 1n)]);
      expect(verifies(digest, wrong, key)).toBe(false);
      expect(verifies(asDigest(mod(e + 1n, n)), signature, key)).toBe(false);
      expect(verifies(digest, signature, publicKeyOf(name, n - d))).toBe(nobleVerifies(name, digest, signature, n - d));
    });
  });

  describe("by a Node's own verifyDigest", () => {
    type VerifyDigest = NonNullable<Parameters<typeof provenVerifyDigest>[0]>;
    /** As proposed for Node: a digest of another length than the hash's is an error. */
    const right: VerifyDigest = (hash, digest, { key }, signature) => {
      if (createHash(hash).digest().length !== digest.length) throw new RangeError('Invalid digest length');
      return verifyByMovedKey(CURVES[name], digest, signature, key);
    };

    it('is used for digests of any length', () => {
      let calls = 0;
      const counted: VerifyDigest = (...words) => {
        calls += 1;
        return right(...words);
      };
      const key = publicKeyOf(name, 7n);
      for (let size = 20; size <= curve.hash.length; size += 1) {
        const digest = randomBytes(size);
        const signature = sign(digest, 7n);
        expect(verifyEcdsaDigest(name, digest, signature, key, counted)).toBe(true);
        expect(verifyEcdsaDigest(name, digest, flip(signature, length - 1), key, counted)).toBe(false);
      }
      expect(calls).toBe(2 * (curve.hash.length - 19));
    });

    it('is not asked what it can not be asked', () => {
      const digest = randomBytes(curve.hash.length + 2);
      const never: VerifyDigest = () => {
        throw new Error('asked');
      };
      expect(verifyEcdsaDigest(name, digest, sign(digest, 7n), publicKeyOf(name, 7n), never)).toBe(true);
    });
  });
});

it("a Node's verifyDigest is believed only if it knows right from wrong", () => {
  const right = (hash: string, digest: Buffer, { key }: { key: KeyObject }, signature: Buffer): boolean =>
    hash === 'sha256' && verifyByMovedKey(CURVES['P-256'], digest, signature, key);
  expect(provenVerifyDigest(right)).toBe(right);
  expect(provenVerifyDigest(undefined)).toBeUndefined();
  expect(provenVerifyDigest(() => true)).toBeUndefined();
  expect(provenVerifyDigest(() => false)).toBeUndefined();
  expect(provenVerifyDigest((hash, digest, key, signature) => verify(hash, digest, key, signature))).toBeUndefined();
  expect(
    provenVerifyDigest(() => {
      throw new TypeError('another API');
    }),
  ).toBeUndefined();
});
