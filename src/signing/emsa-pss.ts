import { randomBytes } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { PLAIN_HASHES, type Hash } from './hashes.ts';

const TRAILER = 0xbc;

/**
 * The zeros that must stand before `01` in the unmasked DB of a block that was encoded elsewhere. With a salt that fills
 * the block, DB is random but for one byte: a daemon that can ask for signatures could blind any ciphertext some ten thousand
 * times until it looks like such a block, and have it decrypted. Eight zeros put that out of reach; TLS, whose salt is
 * as long as the hash (RFC 8446 section 4.2.3), leaves far more in every key of 1024 bits and up.
 */
const MIN_ZEROS = 8;

/** MGF1, RFC 8017 appendix B.2.1. */
function mgf1(hash: Hash, seed: Buffer, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let counter = 0; counter * hash.length < length; counter++) {
    const suffix = Buffer.alloc(4);
    suffix.writeUInt32BE(counter);
    parts.push(hash.digest(Buffer.concat([seed, suffix])));
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** Length in bytes of an encoded message for a modulus: one bit shorter than it, RFC 8017 section 8.1.1. */
function encodedLength(modulusBits: number): number {
  return Math.ceil((modulusBits - 1) / 8);
}

/** The longest salt that fits; negative if not even none does. */
export function maxSaltLength(hash: Hash, modulusBits: number): number {
  return encodedLength(modulusBits) - hash.length - 2;
}

/** Applies DB's mask and clears the bits above the modulus: the same operation both ways. */
function maskDb(db: Buffer, hash: Hash, h: Buffer, modulusBits: number): Buffer {
  const mask = mgf1(hash, h, db.length);
  const masked = Buffer.from(db.map((byte, index) => byte ^ (mask[index] ?? 0)));
  masked[0] = (masked[0] ?? 0) & unusedBitsMask(modulusBits);
  return masked;
}

function unusedBitsMask(modulusBits: number): number {
  return 0xff >> (8 * encodedLength(modulusBits) - (modulusBits - 1));
}

function hashOfSalted(hash: Hash, digest: Uint8Array, salt: Uint8Array): Buffer {
  return hash.digest(Buffer.concat([Buffer.alloc(8), digest, salt]));
}

/**
 * EMSA-PSS-ENCODE (RFC 8017 section 9.1.1) of a ready digest, MGF1 with the same hash. As long as the modulus, so that it
 * can go to a raw RSA operation as it is.
 * @throws AgentError ERR_REQUEST_SALT if the salt does not fit
 */
export function encodeEmsaPss(hash: Hash, digest: Uint8Array, saltLength: number, modulusBits: number): Buffer {
  const zeros = maxSaltLength(hash, modulusBits) - saltLength;
  if (zeros < 0) {
    throw new AgentError('ERR_REQUEST_SALT', `a salt of ${saltLength} bytes does not fit a ${modulusBits}-bit modulus`);
  }
  const salt = randomBytes(saltLength);
  const h = hashOfSalted(hash, digest, salt);
  const db = Buffer.concat([Buffer.alloc(zeros), Buffer.from([1]), salt]);
  const encoded = Buffer.concat([maskDb(db, hash, h, modulusBits), h, Buffer.from([TRAILER])]);
  return Buffer.concat([Buffer.alloc(Math.ceil(modulusBits / 8) - encoded.length), encoded]);
}

/** The parts of an encoded block under one hash; undefined if it is not one. `block` is as long as the modulus. */
function openBlock(hash: Hash, block: Uint8Array, modulusBits: number): { h: Buffer; salt: Buffer } | undefined {
  const offset = Math.ceil(modulusBits / 8) - encodedLength(modulusBits);
  const encoded = Buffer.from(block).subarray(offset);
  const dbLength = encoded.length - hash.length - 1;
  if (dbLength < 1 || encoded.at(-1) !== TRAILER || (offset === 1 && block[0] !== 0)) return undefined;
  if (((encoded[0] ?? 0) & ~unusedBitsMask(modulusBits)) !== 0) return undefined;
  const h = encoded.subarray(dbLength, -1);
  const db = maskDb(encoded.subarray(0, dbLength), hash, h, modulusBits);
  const one = db.findIndex((byte) => byte !== 0);
  return one >= 0 && db[one] === 1 ? { h, salt: db.subarray(one + 1) } : undefined;
}

/** EMSA-PSS-VERIFY (RFC 8017 section 9.1.2) with a known salt length. */
export function verifyEmsaPss(
  hash: Hash,
  digest: Uint8Array,
  saltLength: number,
  block: Uint8Array,
  modulusBits: number,
): boolean {
  const opened = openBlock(hash, block, modulusBits);
  return opened?.salt.length === saltLength && hashOfSalted(hash, digest, opened.salt).equals(opened.h);
}

/**
 * What a block, encoded elsewhere over a message that we never see, was made with; undefined if it is no EMSA-PSS block.
 * The trailer alone proves nothing: DB must unmask to zeros, 01, salt, with at least {@link MIN_ZEROS} zeros.
 */
export function readEmsaPss(
  block: Uint8Array,
  modulusBits: number,
): { readonly hash: Hash; readonly saltLength: number } | undefined {
  for (const hash of PLAIN_HASHES) {
    const salt = openBlock(hash, block, modulusBits)?.salt;
    if (salt && maxSaltLength(hash, modulusBits) - salt.length >= MIN_ZEROS) return { hash, saltLength: salt.length };
  }
  return undefined;
}
