import { CURVES, digestToInteger, mod, type Curve } from './curves.ts';
import { hashByLength, PLAIN_HASHES, type Hash } from './hashes.ts';
import type { KeyKind } from './public-key.ts';
import type { EcdsaRequest, SignatureRequest } from './request.ts';

/** What a signature's strength hangs on beside the key. */
export interface RequestHash {
  /** Undefined for EdDSA, whose hash is its own, and for bytes as long as no hash. */
  readonly hash: Hash | undefined;
  /** In bytes, of RSASSA-PSS. */
  readonly saltLength?: number;
}

/**
 * ECDSA signs a number modulo the order: zeros before a digest are not seen in the signature, nor what the curve cuts off behind
 * it, nor the order that was added. So SHA-1's behind twelve zeros has the signature of SHA-1, whatever it is called. One in 2³²
 * true digests looks like a shorter hash's.
 */
function hashOfDigest({ tbs, digest }: EcdsaRequest, curve: Curve): Hash | undefined {
  const value = mod(digestToInteger(curve, digest), curve.n);
  // the shortest one stands first
  const fitting = PLAIN_HASHES.find(({ length }) => value < 1n << BigInt(8 * length));
  return fitting && fitting.length < digest.length ? fitting : hashByLength(tbs.length);
}

/** The hash that a request is made with: as it says, or as the data's shape does. */
export function hashOfRequest(request: SignatureRequest, kind: KeyKind): RequestHash {
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING':
      return { hash: request.digestInfo.hash };
    case 'RSA_PKCS1_PSS_PADDING':
    case 'RSA_NO_PADDING':
      return { hash: request.hash, saltLength: request.saltLength };
    case 'ECDSA':
      if (request.message || kind.type !== 'EC') return { hash: request.hash };
      return { hash: hashByLength(request.tbs.length) && hashOfDigest(request, CURVES[kind.curve]) };
    case 'ED25519':
    case 'ED448':
      return { hash: undefined };
  }
}
