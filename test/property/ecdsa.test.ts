import { createECDH, createHash, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addPoints, CURVES, inverse, toBytes, toInteger } from '../../src/signing/curves.ts';
import { verifyByMovedKey } from '../../src/signing/ecdsa.ts';
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
});
