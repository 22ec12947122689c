import { AgentError } from '../errors.ts';
import { CONSTRUCTED_OCTET_STRING, OCTET_STRING, readBer, SEQUENCE } from './ber.ts';
import { HASHES, type Hash } from './hashes.ts';

/** A DigestInfo (or MD5-SHA1's bare 36 bytes), taken apart. */
export interface DigestInfo {
  readonly hash: Hash;
  readonly digest: Buffer;
  /** The bytes that EMSA-PKCS1-v1_5 pads and CKM_RSA_PKCS signs. */
  readonly encoded: Buffer;
}

/** DER of a DigestInfo, RFC 8017 section 9.2 step 2. The digest's length is the caller's to check. */
export function encodeDigestInfo(hash: Hash, digest: Uint8Array): DigestInfo {
  return { hash, digest: Buffer.from(digest), encoded: Buffer.concat([hash.digestInfoPrefix, digest]) };
}

/**
 * MD5-SHA1 has no DigestInfo around it: a daemon that asks for the signature of a bare digest could choose 36 bytes that a lax
 * verifier takes for another hash's DigestInfo in BER, such as MD5's, whose 34 bytes a longer length makes 36. What spans
 * all bytes as a SEQUENCE or an OCTET STRING is refused, and a SEQUENCE of any length that starts as a DigestInfo does.
 * One in some 16,000 true digests looks like that: the next handshake has another one.
 * @throws AgentError ERR_REQUEST_DIGEST_INFO
 */
function refuseAsn1(bytes: Buffer): void {
  const element = readBer(bytes);
  const isWhole = element?.length === bytes.length && WRAPPERS.has(element.tag);
  // whatever length it claims
  const [tag, length = 0] = bytes;
  const isDigestInfo = tag === SEQUENCE && bytes[length > 0x80 ? 2 + (length & 0x7f) : 2] === SEQUENCE;
  if (!isWhole && !isDigestInfo) return;
  throw new AgentError(
    'ERR_REQUEST_DIGEST_INFO',
    'not an MD5-SHA1 digest: 36 bytes that could be read as another hash',
    { hint: 'the next handshake has another digest' },
  );
}

const WRAPPERS: ReadonlySet<number> = new Set([SEQUENCE, OCTET_STRING, CONSTRUCTED_OCTET_STRING]);

/**
 * Reads a DigestInfo, the inverse of {@link encodeDigestInfo}. It must be exact: DER, a known hash, NULL parameters, the
 * digest's length, no byte more. Anything else under RSA would make the agent sign what was never hashed.
 * @throws AgentError ERR_REQUEST_DIGEST_INFO
 */
export function parseDigestInfo(encoded: Uint8Array): DigestInfo {
  const bytes = Buffer.from(encoded);
  for (const hash of Object.values(HASHES)) {
    const { digestInfoPrefix: prefix, length } = hash;
    if (bytes.length === prefix.length + length && bytes.subarray(0, prefix.length).equals(prefix)) {
      if (prefix.length === 0) refuseAsn1(bytes);
      return { hash, digest: bytes.subarray(prefix.length), encoded: bytes };
    }
  }
  throw new AgentError(
    'ERR_REQUEST_DIGEST_INFO',
    `not a DigestInfo: ${bytes.length} bytes that fit neither a known hash nor MD5-SHA1`,
  );
}

/**
 * EMSA-PKCS1-v1_5 (RFC 8017 section 9.2): `00 01 FF… 00 DigestInfo`, `modulusLength` bytes.
 * @throws AgentError ERR_REQUEST_LENGTH if the modulus is too short for it
 */
export function encodeEmsaPkcs1(digestInfo: Uint8Array, modulusLength: number): Buffer {
  const padding = modulusLength - digestInfo.length - 3;
  if (padding < 8) {
    throw new AgentError('ERR_REQUEST_LENGTH', `a modulus of ${modulusLength} bytes is too short for this DigestInfo`);
  }
  return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(padding, 0xff), Buffer.from([0]), digestInfo]);
}

/** The DigestInfo inside a whole EMSA-PKCS1-v1_5 block; undefined if the block is anything else. */
export function decodeEmsaPkcs1(block: Uint8Array): DigestInfo | undefined {
  const bytes = Buffer.from(block);
  const end = bytes.indexOf(0, 2);
  if (end < 10 || bytes[0] !== 0 || bytes[1] !== 1) return undefined;
  if (!bytes.subarray(2, end).every((byte) => byte === 0xff)) return undefined;
  try {
    return parseDigestInfo(bytes.subarray(end + 1));
  } catch {
    return undefined;
  }
}
