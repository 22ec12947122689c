import { p256, p384, p521 } from '@noble/curves/nist.js';
import type { CurveName } from '../signing/public-key.ts';

// node:crypto hashes whatever ECDSA is to sign; a ready digest needs the curve itself
const CURVES = { 'P-256': p256, 'P-384': p384, 'P-521': p521 } as const;

/** Signs a ready digest with the private scalar `d` (big-endian, as long as the order); returns r‖s. */
export function signEcdsaDigest(curve: CurveName, digest: Buffer, d: Buffer): Buffer {
  return Buffer.from(CURVES[curve].sign(digest, d, { prehash: false, lowS: false, format: 'compact' }));
}
