import { createECDH } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  addPoints,
  CURVES,
  digestToInteger,
  inverse,
  toBytes,
  toInteger,
  type Curve,
  type Point,
} from '../../../src/signing/curves.ts';

/** By OpenSSL. */
function multiple({ opensslName, length }: Curve, factor: bigint): Point {
  const ecdh = createECDH(opensslName);
  ecdh.setPrivateKey(toBytes(factor, length));
  const point = ecdh.getPublicKey();
  return { x: toInteger(point.subarray(1, 1 + length)), y: toInteger(point.subarray(1 + length)) };
}

/** Numbers of all lengths, with many ones, many zeros, and of no pattern. */
function numbersBelow(modulus: bigint): bigint[] {
  const numbers = [modulus - 1n, modulus - 2n, modulus >> 1n, (modulus >> 1n) + 1n, (modulus * 2n) / 3n];
  let mixed = 7n;
  for (let bits = 1n; 2n ** bits < modulus; bits += 13n) {
    mixed = (mixed * 0x9e3779b97f4a7c15f39cc0605cedc835n + bits) % modulus;
    numbers.push(2n ** bits - 1n, 2n ** bits, mixed, mixed % 2n ** bits);
  }
  return numbers.filter((number) => number > 0n && number < modulus);
}

describe.each(Object.values(CURVES))('$name', (curve) => {
  const { n, p } = curve;

  test('each number has its inverse, of the field and of the order', () => {
    for (const modulus of [n, p]) {
      for (const number of [1n, 2n, 3n, ...numbersBelow(modulus)]) {
        const found = inverse(number, modulus);
        expect((found * number) % modulus, `${number}`).toBe(1n);
        expect(found > 0n && found < modulus, `${number}`).toBe(true);
      }
    }
  });

  test('points add up to the point that OpenSSL has', () => {
    const sums: [bigint, bigint][] = [
      [1n, 2n],
      [2n, 1n],
      [5n, n - 3n],
      [n / 2n, n / 3n],
      [n - 1n, n - 2n],
    ];
    for (const [a, b] of sums) {
      expect(addPoints(curve, multiple(curve, a), multiple(curve, b)), `${a}`).toEqual(multiple(curve, (a + b) % n));
    }
  });
});

// FIPS 186-5 section 6.4.1
test.each([
  ['P-256', 'ff'.repeat(20), 2n ** 160n - 1n],
  ['P-256', 'ff'.repeat(32), 2n ** 256n - 1n],
  ['P-256', `${'00'.repeat(31)}01${'ff'.repeat(32)}`, 1n],
  ['P-521', 'ff'.repeat(64), 2n ** 512n - 1n],
  ['P-521', `${'00'.repeat(65)}80`, 1n],
  ['P-521', `${'00'.repeat(64)}ffff`, 2n ** 9n - 1n],
] as const)('of a digest %s signs the leftmost bits: %s', (name, digest, number) => {
  expect(digestToInteger(CURVES[name], Buffer.from(digest, 'hex'))).toBe(number);
});
