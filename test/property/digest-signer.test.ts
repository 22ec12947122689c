import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DigestSigner } from '../../src/keyfile/digest-signer.ts';
import { secretProduct, toDigits } from '../../src/keyfile/secret-product.ts';
import { CURVES, inverse, toBytes, toInteger } from '../../src/signing/curves.ts';
import { verifyEcdsaDigest } from '../../src/signing/ecdsa.ts';
import type { CurveName } from '../../src/signing/public-key.ts';
import { AS_GIVEN, NOBLE, RUNS } from '../support/noble.ts';

/** An ECPrivateKey (RFC 5915) of a scalar, read by OpenSSL. */
function privateKeyOf(name: CurveName, scalar: Buffer): KeyObject {
  const { oid } = CURVES[name];
  const parts = [Buffer.of(2, 1, 1, 4, scalar.length), scalar, Buffer.of(0xa0, oid.length), oid];
  const content = Buffer.concat(parts);
  const key = Buffer.concat([Buffer.of(0x30, content.length), content]);
  return createPrivateKey({ key, format: 'der', type: 'sec1' });
}

describe.each(Object.keys(CURVES) as CurveName[])('%s', (name) => {
  const { n, length, opensslName, hash } = CURVES[name];
  const numRuns = Number(process.env['PROPERTY_RUNS'] ?? RUNS[name]);
  const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size }).map((each) => Buffer.from(each));
  const scalars = fc.oneof(
    { weight: 4, arbitrary: bytes(length).map((each) => (toInteger(each) % (n - 1n)) + 1n) },
    fc.constantFrom(1n, 2n, 255n, 256n, n - 1n, n - 2n, (n - 1n) / 2n),
  );
  const digests = fc.integer({ min: 20, max: 64 }).chain((size) =>
    fc.oneof(
      { weight: 4, arbitrary: bytes(size) },
      fc.constantFrom(1, 0x7f, 0x80, 0xff).map((byte) => Buffer.alloc(size, byte)),
    ),
  );

  it('multiplies as BigInt does', () => {
    const radix = inverse(256n ** BigInt(length) % n, n);
    const digits = (value: bigint) => toDigits(toBytes(value, length));
    fc.assert(
      fc.property(fc.oneof(scalars, fc.constant(0n)), scalars, (a, b) => {
        const product = secretProduct(digits(a), digits(b), digits(n));
        expect(product).toEqual(toBytes((a * b * radix) % n, length));
      }),
      { numRuns: 20 * numRuns },
    );
  });

  it('signs what noble verifies, whatever the key and the digest', () => {
    fc.assert(
      fc.property(scalars, digests, (d, digest) => {
        const scalar = toBytes(d, length);
        const point = NOBLE[name].getPublicKey(scalar, false);
        const signer = new DigestSigner(name, privateKeyOf(name, scalar));
        const signature = signer.sign(digest);
        expect(signature).toHaveLength(2 * length);
        expect(NOBLE[name].verify(signature, digest, point, AS_GIVEN)).toBe(true);
      }),
      { numRuns },
    );
  });

  it('signs each time with another nonce', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: opensslName });
    const signer = new DigestSigner(name, privateKey);
    const digest = randomBytes(hash.length);
    const first = new Set(Array.from({ length: 20 }, () => signer.sign(digest).toString('hex', 0, length)));
    expect(first.size).toBe(20);
  });

  it.each(['zero', 'the order'])('refuses a digest that is %s, which says nothing of who signed', (what) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: opensslName });
    const digest =
      what === 'zero' ? Buffer.alloc(hash.length) : toBytes(n << BigInt((8 - (n.toString(2).length % 8)) % 8), length);
    expect(() => new DigestSigner(name, privateKey).sign(digest)).toThrow(
      expect.objectContaining({ code: 'ERR_SCHEME_UNSUPPORTED' }),
    );
  });

  it('has nothing of the key any more once it is destroyed', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: opensslName });
    const signer = new DigestSigner(name, privateKey);
    const digest = randomBytes(hash.length);
    expect(verifyEcdsaDigest(name, digest, signer.sign(digest), publicKey)).toBe(true);
    signer.destroy();
    // as if by the key zero, if OpenSSL does that
    const after = (): boolean => verifyEcdsaDigest(name, digest, signer.sign(digest), publicKey);
    let isStillThere = false;
    try {
      isStillThere = after();
    } catch {}
    expect(isStillThere).toBe(false);
  });
});
