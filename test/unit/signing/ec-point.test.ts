import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CURVES } from '../../../src/signing/curves.ts';
import { publicKeyOn } from '../../../src/signing/ec-point.ts';

describe.each(Object.values(CURVES))('a point on $name', (curve) => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: curve.opensslName });
  const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-1 - 2 * curve.length);

  test('is a public key', () => {
    expect(point[0]).toBe(0x04);
    expect(publicKeyOn(curve, point).equals(publicKey)).toBe(true);
  });

  test('is an error if it is not on the curve', () => {
    const other = Buffer.from(point);
    other[2 * curve.length] = (other[2 * curve.length] ?? 0) ^ 1;
    expect(() => publicKeyOn(curve, other)).toThrow();
  });
});
