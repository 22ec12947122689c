import type { DataKind } from './algorithm-text.ts';
import type { DigestInfo } from './emsa-pkcs1.ts';
import type { Hash } from './hashes.ts';

interface RequestBase {
  /** The data to sign, as the daemon sent them. */
  readonly tbs: Buffer;
  readonly dataKind: DataKind;
  /** The algorithm text, given or deduced, for the log. */
  readonly algorithmText: string;
  /** The whole message, where the daemon sent one: for keys that insist on hashing themselves. */
  readonly message?: Buffer;
}

/** RSASSA-PKCS1-v1_5 over a ready DigestInfo. */
export interface RsaPkcs1Request extends RequestBase {
  readonly scheme: 'RSA_PKCS1_PADDING';
  readonly digestInfo: DigestInfo;
}

/** RSASSA-PSS over a ready digest, MGF1 with the same hash, `saltLength` in bytes. */
export interface RsaPssRequest extends RequestBase {
  readonly scheme: 'RSA_PKCS1_PSS_PADDING';
  readonly hash: Hash;
  readonly digest: Buffer;
  readonly saltLength: number;
}

/** A raw RSA operation on a finished EMSA-PSS block as long as the modulus. */
export interface RsaBlockRequest extends RequestBase {
  readonly scheme: 'RSA_NO_PADDING';
  readonly block: Buffer;
  /** What it was made with, and how many bytes of salt. */
  readonly hash: Hash;
  readonly saltLength: number;
}

/** ECDSA over a ready digest, already truncated to the length of the curve's order. */
export interface EcdsaRequest extends RequestBase {
  readonly scheme: 'ECDSA';
  readonly digest: Buffer;
  readonly hash?: Hash;
}

/** Ed25519 or Ed448 (pure, no context; RFC 8032) over the message. */
export interface EddsaRequest extends RequestBase {
  readonly scheme: 'ED25519' | 'ED448';
  readonly message: Buffer;
}

/** One thing to be signed: checked, complete, fit for its key. Made only by parseSignatureRequest. */
export type SignatureRequest = RsaPkcs1Request | RsaPssRequest | RsaBlockRequest | EcdsaRequest | EddsaRequest;
