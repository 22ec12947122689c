import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CURVES } from '../../../../src/signing/curves.ts';
import { verifyByMovedKey, verifyEcdsaDigest } from '../../../../src/signing/ecdsa.ts';
import type { CurveName } from '../../../../src/signing/public-key.ts';

/** Hex, but for names. */
interface Group {
  curve: CurveName;
  hash: string;
  /** An uncompressed point. */
  key: string;
  vectors: [name: string, message: string, signature: string, result: 'valid' | 'invalid'][];
}

const { groups } = JSON.parse(readFileSync(new URL('ecdsa.json', import.meta.url), 'utf8')) as { groups: Group[] };

// the others are held against noble's, in test/property/ecdsa.test.ts
it.each(['P-256', 'P-384', 'P-521'] as const)('what Project Wycheproof has for %s', (name) => {
  const own = groups.filter(({ curve }) => curve === name);
  expect(own.length).toBeGreaterThan(20);
  for (const { hash, key, vectors } of own) {
    const { length } = CURVES[name];
    const point = Buffer.from(key, 'hex');
    const [x, y] = [point.subarray(1, 1 + length), point.subarray(1 + length)].map((each) =>
      each.toString('base64url'),
    );
    const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: name, x: x ?? '', y: y ?? '' } });
    for (const [vector, message, signature, result] of vectors) {
      const digest = createHash(hash.replace('-', '')).update(message, 'hex').digest();
      const given = Buffer.from(signature, 'hex');
      expect(verifyByMovedKey(CURVES[name], digest, given, publicKey), vector).toBe(result === 'valid');
      // a request cuts a digest to whole bytes
      expect(verifyEcdsaDigest(name, digest.subarray(0, length), given, publicKey), vector).toBe(result === 'valid');
    }
  }
});
