import { CURVE_BYTES, type CurveName, type KeyKind } from '../signing/public-key.ts';

const rsa = (modulusBits: number): KeyKind => ({ type: 'RSA', modulusBits, modulusBytes: modulusBits / 8 });
const ec = (curve: CurveName): KeyKind => ({ type: 'EC', curve, orderBytes: CURVE_BYTES[curve] });

/** What the kinds of keys that are made are called on the command line. */
export const KEY_TYPE_NAMES = ['p256', 'p384', 'p521', 'rsa2048', 'rsa3072', 'rsa4096', 'ed25519'] as const;
export type KeyTypeName = (typeof KEY_TYPE_NAMES)[number];

export const KEY_TYPES: Readonly<Record<KeyTypeName, KeyKind>> = {
  p256: ec('P-256'),
  p384: ec('P-384'),
  p521: ec('P-521'),
  rsa2048: rsa(2048),
  rsa3072: rsa(3072),
  rsa4096: rsa(4096),
  ed25519: { type: 'ED25519' },
};

/** What OpenVPN, servers and nearly all tokens take, and what a token makes in no time. */
export const USUAL_KEY_TYPE: KeyTypeName = 'p256';
