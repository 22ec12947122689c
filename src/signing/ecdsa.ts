import type { KeyObject } from 'node:crypto';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { AgentError } from '../errors.ts';
import { CURVE_BYTES, type CurveName } from './public-key.ts';

// node:crypto hashes whatever ECDSA is to sign or verify; a ready digest needs the curve itself
const CURVES = { 'P-256': p256, 'P-384': p384, 'P-521': p521 } as const;
const AS_GIVEN = { prehash: false, lowS: false, format: 'compact' } as const;

/** Verifies r‖s over a ready digest with an EC public key on that curve. */
export function verifyEcdsaDigest(curve: CurveName, digest: Buffer, signature: Buffer, key: KeyObject): boolean {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const length = CURVE_BYTES[curve];
  const coordinates = [x, y].map((part) => Buffer.from(part, 'base64url'));
  if (coordinates.some((part) => part.length !== length)) {
    throw new AgentError('ERR_KEY_UNSUPPORTED', `the public key is not a point on ${curve}`);
  }
  const point = Buffer.concat([Buffer.from([4]), ...coordinates]);
  return CURVES[curve].verify(signature, digest, point, AS_GIVEN);
}

/** Signs a ready digest with the private scalar `d` (big-endian, as long as the order); returns r‖s. */
export function signEcdsaDigest(curve: CurveName, digest: Buffer, d: Buffer): Buffer {
  return Buffer.from(CURVES[curve].sign(digest, d, AS_GIVEN));
}
