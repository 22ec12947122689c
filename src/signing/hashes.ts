import { hash as hashOnce } from 'node:crypto';
import { AgentError } from '../errors.ts';

/** The hashes that OpenVPN and TLS ask signatures over, by the short names that OpenVPN writes (`hashalg=`). */
export const HASH_NAMES = ['MD5-SHA1', 'SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const;
export type HashName = (typeof HASH_NAMES)[number];

/** Everything the schemes need to know about one hash, in one place. */
export interface Hash {
  readonly name: HashName;
  /** The digest's length in bytes. */
  readonly length: number;
  /**
   * What stands before the digest in a DER DigestInfo (RFC 8017 section 9.2, note 1). Empty for MD5-SHA1, the 36 bytes
   * that TLS 1.0 and 1.1 sign without a DigestInfo (RFC 4346 section 4.7).
   */
  readonly digestInfoPrefix: Buffer;
  digest(message: Uint8Array): Buffer;
}

function hash(name: HashName, length: number, prefix: string, ...algorithms: string[]): Hash {
  return {
    name,
    length,
    digestInfoPrefix: Buffer.from(prefix, 'hex'),
    digest: (message) => {
      const [first = '', ...more] = algorithms;
      const digest = hashOnce(first, message, 'buffer');
      return more.length === 0
        ? digest
        : Buffer.concat([digest, ...more.map((name) => hashOnce(name, message, 'buffer'))]);
    },
  };
}

export const HASHES: Readonly<Record<HashName, Hash>> = {
  'MD5-SHA1': hash('MD5-SHA1', 36, '', 'md5', 'sha1'),
  SHA1: hash('SHA1', 20, '3021300906052b0e03021a05000414', 'sha1'),
  SHA224: hash('SHA224', 28, '302d300d06096086480165030402040500041c', 'sha224'),
  SHA256: hash('SHA256', 32, '3031300d060960864801650304020105000420', 'sha256'),
  SHA384: hash('SHA384', 48, '3041300d060960864801650304020205000430', 'sha384'),
  SHA512: hash('SHA512', 64, '3051300d060960864801650304020305000440', 'sha512'),
};

/** Those that RSASSA-PSS and ECDSA go with: all but MD5-SHA1, which has no meaning there. */
export const PLAIN_HASHES: readonly Hash[] = Object.values(HASHES).filter((entry) => entry.name !== 'MD5-SHA1');

/**
 * The hash of a `hashalg=` value. OpenSSL's other spellings (`SHA2-256`, `SHA-256`, lower case) mean the same.
 * @throws AgentError ERR_REQUEST_HASH
 */
export function hashByName(text: string): Hash {
  const name = text
    .toUpperCase()
    .replace(/^SHA2-/, 'SHA')
    .replace(/^SHA-/, 'SHA');
  const found = Object.values(HASHES).find((entry) => entry.name === name);
  if (!found) throw new AgentError('ERR_REQUEST_HASH', `unknown hash '${text}' in the algorithm text`);
  return found;
}

/** The hash whose digest has this length; undefined if none has. Lengths are unique among {@link PLAIN_HASHES}. */
export function hashByLength(length: number): Hash | undefined {
  return PLAIN_HASHES.find((entry) => entry.length === length);
}
