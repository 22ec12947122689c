import { hashByLength, type Hash } from './hashes.ts';
import type { SignatureRequest } from './request.ts';

/** What a signature's strength hangs on beside the key. */
export interface RequestHash {
  /** Undefined for EdDSA, whose hash is its own, and for bytes as long as no hash. */
  readonly hash: Hash | undefined;
  /** In bytes, of RSASSA-PSS. */
  readonly saltLength?: number;
}

/** The hash that a request is made with: as it says, or as the data's shape does. */
export function hashOfRequest(request: SignatureRequest): RequestHash {
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING':
      return { hash: request.digestInfo.hash };
    case 'RSA_PKCS1_PSS_PADDING':
    case 'RSA_NO_PADDING':
      return { hash: request.hash, saltLength: request.saltLength };
    case 'ECDSA':
      return { hash: request.hash ?? hashByLength(request.tbs.length) };
    case 'ED25519':
    case 'ED448':
      return { hash: undefined };
  }
}
