import type { KeyObject } from 'node:crypto';
import { AgentError } from '../errors.ts';

/** A curve, of NIST's by its name in FIPS 186, with the length in bytes of its order (and of r and of s). */
export type CurveName =
  | 'P-256'
  | 'P-384'
  | 'P-521'
  | 'secp256k1'
  | 'brainpoolP256r1'
  | 'brainpoolP384r1'
  | 'brainpoolP512r1';
export const CURVE_BYTES: Readonly<Record<CurveName, number>> = {
  'P-256': 32,
  'P-384': 48,
  'P-521': 66,
  secp256k1: 32,
  brainpoolP256r1: 32,
  brainpoolP384r1: 48,
  brainpoolP512r1: 64,
};

/** Shorter ones can be factored by whoever wants to. */
const LEAST_RSA_BITS = 1024;
/** Shorter ones are not taken by OpenSSL at its usual level of security (2), so by most servers. */
const USUAL_RSA_BITS = 2048;

const CURVE_BY_OPENSSL_NAME = new Map<string, CurveName>([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
  ['secp256k1', 'secp256k1'],
  ['brainpoolP256r1', 'brainpoolP256r1'],
  ['brainpoolP384r1', 'brainpoolP384r1'],
  ['brainpoolP512r1', 'brainpoolP512r1'],
]);

/** The kind of a key, as far as signature schemes depend on it. */
export type KeyKind =
  | { readonly type: 'RSA'; readonly modulusBits: number; readonly modulusBytes: number }
  | { readonly type: 'EC'; readonly curve: CurveName; readonly orderBytes: number }
  | { readonly type: 'ED25519' }
  | { readonly type: 'ED448' };

/**
 * The kind of a public or private key.
 * @throws AgentError ERR_KEY_UNSUPPORTED for kinds that OpenVPN can't use from outside (DSA, RSA-PSS's own OID, other curves), and RSA below 1024 bits
 */
export function keyKind(key: KeyObject): KeyKind {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength === undefined) break;
      if (modulusLength < LEAST_RSA_BITS) {
        throw new AgentError('ERR_KEY_UNSUPPORTED', `RSA key of ${modulusLength} bits`, {
          hint: 'use 2048 bits or more',
        });
      }
      return { type: 'RSA', modulusBits: modulusLength, modulusBytes: Math.ceil(modulusLength / 8) };
    case 'ec': {
      const curve = CURVE_BY_OPENSSL_NAME.get(namedCurve ?? '');
      if (curve === undefined) {
        throw new AgentError('ERR_KEY_UNSUPPORTED', `EC key on ${namedCurve ?? 'an unnamed curve'}`, {
          hint: 'use P-256, P-384, P-521, secp256k1 or brainpoolP256r1, P384r1, P512r1',
        });
      }
      return { type: 'EC', curve, orderBytes: CURVE_BYTES[curve] };
    }
    case 'ed25519':
      return { type: 'ED25519' };
    case 'ed448':
      return { type: 'ED448' };
    default:
  }
  throw new AgentError('ERR_KEY_UNSUPPORTED', `key of type ${key.asymmetricKeyType ?? 'unknown'}`, {
    hint: 'use RSA, P-256, P-384, P-521, Ed25519 or Ed448',
  });
}

/** Why servers may refuse a key of this kind; undefined if they take it. */
export function weakness(kind: KeyKind): string | undefined {
  if (kind.type !== 'RSA' || kind.modulusBits >= USUAL_RSA_BITS) return undefined;
  return `an RSA key of ${kind.modulusBits} bits is weak, and most servers refuse it`;
}

/** For log lines and error messages: `RSA-2048`, `P-256`, `ED25519`. */
export function keyKindName(kind: KeyKind): string {
  return kind.type === 'RSA' ? `RSA-${kind.modulusBits}` : kind.type === 'EC' ? kind.curve : kind.type;
}
