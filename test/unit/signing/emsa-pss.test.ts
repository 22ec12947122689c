import {
  constants,
  createHash,
  generateKeyPairSync,
  privateEncrypt,
  publicDecrypt,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeEmsaPss, maxSaltLength, readEmsaPss, verifyEmsaPss } from '../../../src/signing/emsa-pss.ts';
import { HASHES, PLAIN_HASHES, type Hash } from '../../../src/signing/hashes.ts';

const { RSA_NO_PADDING, RSA_PKCS1_PSS_PADDING } = constants;
const MESSAGE = Buffer.from('message');
/** Of all that the bits above the modulus come to: with 1025 bits the block has a byte less than the modulus. */
const SIZES = [1024, 1025, 1026, 1031] as const;
const KEYS = new Map(SIZES.map((bits) => [bits, generateKeyPairSync('rsa', { modulusLength: bits })]));

describe.each(SIZES)('EMSA-PSS with %i bits', (bits) => {
  const keys = KEYS.get(bits);
  if (!keys) throw new Error('no key');
  const { privateKey, publicKey } = keys;

  test.each(PLAIN_HASHES.map((hash) => [hash.name, hash] as const))('%s is what OpenSSL makes of it', (name, hash) => {
    for (const saltLength of [0, 8, Math.min(hash.length, maxSaltLength(hash, bits) - 8)]) {
      const options = { key: privateKey, padding: RSA_PKCS1_PSS_PADDING, saltLength };
      const signature = sign(name, MESSAGE, options);
      const block = publicDecrypt({ key: publicKey, padding: RSA_NO_PADDING }, signature);
      expect(readEmsaPss(block, bits)).toEqual({ hash, saltLength });
      const digest = hash.digest(MESSAGE);
      expect(verifyEmsaPss(hash, digest, saltLength, block, bits)).toBe(true);
      expect(verifyEmsaPss(hash, digest, saltLength + 1, block, bits)).toBe(false);
      expect(verifyEmsaPss(hash, hash.digest(Buffer.of()), saltLength, block, bits)).toBe(false);
    }
  });

  test.each(PLAIN_HASHES.map((hash) => [hash.name, hash] as const))('%s is what OpenSSL verifies', (name, hash) => {
    for (const saltLength of [0, maxSaltLength(hash, bits)]) {
      const block = encodeEmsaPss(hash, hash.digest(MESSAGE), saltLength, bits);
      expect(block).toHaveLength(Math.ceil(bits / 8));
      const signature = privateEncrypt({ key: privateKey, padding: RSA_NO_PADDING }, block);
      const options = { key: publicKey, padding: RSA_PKCS1_PSS_PADDING, saltLength };
      expect(verify(name, MESSAGE, options, signature)).toBe(true);
    }
  });

  test('eight zeros must stand before the salt of a block that is made elsewhere', () => {
    const { SHA256 } = HASHES;
    const max = maxSaltLength(SHA256, bits);
    const read = (zeros: number) => readEmsaPss(encodeEmsaPss(SHA256, randomBytes(32), max - zeros, bits), bits);
    expect(read(8)).toEqual({ hash: SHA256, saltLength: max - 8 });
    for (const zeros of [0, 1, 7]) expect(read(zeros)).toBe(undefined);
  });

  test('a salt that is too long is refused', () => {
    const { SHA256 } = HASHES;
    const max = maxSaltLength(SHA256, bits);
    expect(() => encodeEmsaPss(SHA256, randomBytes(32), max + 1, bits)).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_SALT' }),
    );
  });
});

/** MGF1 (RFC 8017 appendix B.2.1), by other code. */
function mask(hash: Hash, seed: Buffer, length: number): Buffer {
  let bytes = Buffer.alloc(0);
  for (let counter = 0; bytes.length < length; counter++) {
    const hashed = createHash(hash.name)
      .update(seed)
      .update(Buffer.of(0, 0, 0, counter))
      .digest();
    bytes = Buffer.concat([bytes, hashed]);
  }
  return bytes.subarray(0, length);
}

/** A block of 1024 bits, 32 bytes of salt, and something wrong with it. */
function blockWith({
  zeros = 0,
  one = 1,
  trailer = 0xbc,
  top = 0,
  kept = 0x7f,
}: Partial<Record<string, number>>): Buffer {
  const { SHA256 } = HASHES;
  const salt = Buffer.alloc(32, 7);
  const h = SHA256.digest(Buffer.concat([Buffer.alloc(8), SHA256.digest(MESSAGE), salt]));
  const db = Buffer.concat([Buffer.alloc(128 - 32 - 1 - 33, zeros), Buffer.of(one), salt]);
  const over = mask(SHA256, h, db.length);
  const masked = Buffer.from(db.map((byte, index) => byte ^ (over[index] ?? 0)));
  masked[0] = ((masked[0] ?? 0) & kept) | top;
  return Buffer.concat([masked, h, Buffer.of(trailer)]);
}

describe('a block', () => {
  const isTaken = (block: Buffer, bits = 1024): boolean => {
    const { SHA256 } = HASHES;
    const [read, verified] = [
      readEmsaPss(block, bits) !== undefined,
      verifyEmsaPss(SHA256, SHA256.digest(MESSAGE), 32, block, bits),
    ];
    expect(read).toBe(verified);
    return read;
  };

  test('that is right is taken', () => {
    expect(isTaken(blockWith({}))).toBe(true);
  });

  test.each([
    ['another trailer', { trailer: 0xcc }],
    ['no trailer', { trailer: 0 }],
    ['a bit above the modulus', { top: 0x80 }],
    ['another byte before the salt', { one: 2 }],
    ['nothing before the salt', { one: 0 }],
    ['a padding that is not zero', { zeros: 1 }],
    ['a padding of ones', { zeros: 0xff }],
  ])('with %s is not', (_, spoilt) => {
    for (let times = 0; times < 4; times++) expect(isTaken(blockWith(spoilt))).toBe(false);
  });

  test('of a modulus with one bit in its first byte has a zero there', () => {
    const block = Buffer.concat([Buffer.of(0), blockWith({ kept: 0xff })]);
    expect(isTaken(block, 1025)).toBe(true);
    block[0] = 1;
    expect(isTaken(block, 1025)).toBe(false);
  });

  test('too short for a hash is none', () => {
    const { SHA512 } = HASHES;
    for (const bits of [512, 520, 528]) {
      expect(verifyEmsaPss(SHA512, randomBytes(64), 0, Buffer.alloc(bits / 8, 0xbc), bits)).toBe(false);
    }
  });
});
