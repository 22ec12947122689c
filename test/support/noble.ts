import type { ECDSA } from '@noble/curves/abstract/weierstrass.js';
import { brainpoolP256r1, brainpoolP384r1, brainpoolP512r1 } from '@noble/curves/misc.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { CurveName } from '../../src/signing/public-key.ts';

/** Another implementation of each curve, to compare with. */
export const NOBLE: Readonly<Record<CurveName, ECDSA>> = {
  ...{ 'P-256': p256, 'P-384': p384, 'P-521': p521 },
  ...{ secp256k1, brainpoolP256r1, brainpoolP384r1, brainpoolP512r1 },
};
/** How it takes digests and signatures as they are: r‖s, nothing hashed, s not made small. */
export const AS_GIVEN = { prehash: false, lowS: false, format: 'compact' } as const;

/** Runs of a property: the larger curves take longer. */
export const RUNS: Readonly<Record<CurveName, number>> = {
  ...{ 'P-256': 40, 'P-384': 20, 'P-521': 10 },
  ...{ secp256k1: 20, brainpoolP256r1: 20, brainpoolP384r1: 10, brainpoolP512r1: 10 },
};
