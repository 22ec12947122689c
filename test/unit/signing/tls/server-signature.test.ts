import { constants, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isSignedByServer } from '../../../../src/signing/tls/server-signature.ts';
import type { ServerKeyExchange, Transcript } from '../../../../src/signing/tls/transcript.ts';

const RSA = generateKeyPairSync('rsa', { modulusLength: 1536 });
const PSS_KEY = generateKeyPairSync('rsa-pss', { modulusLength: 1536 });
const EC = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const ED25519 = generateKeyPairSync('ed25519');
const ED448 = generateKeyPairSync('ed448');
type Pair = typeof RSA;

const clientRandom = randomBytes(32);
const serverRandom = randomBytes(32);
const params = randomBytes(100);
const SIGNED = Buffer.concat([clientRandom, serverRandom, params]);

function isSigned(key: KeyObject, serverKeyExchange?: ServerKeyExchange): boolean | undefined {
  const other = { serverCertificates: [], clientCertificates: [] };
  const transcript: Transcript = { version: '1.2', clientRandom, serverRandom, ...other };
  return isSignedByServer(serverKeyExchange ? { ...transcript, serverKeyExchange } : transcript, key);
}

const pss = (saltLength: number) => ({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
/** Code of the scheme (RFC 8446 section 4.2.3, RFC 5246 section 7.4.1.4.1), the key, and how that key signs so. */
const SCHEMES: readonly (readonly [string, number | undefined, Pair, string | null, object?])[] = [
  ['rsa_pkcs1_sha1', 0x0201, RSA, 'sha1'],
  ['rsa_pkcs1_sha224', 0x0301, RSA, 'sha224'],
  ['rsa_pkcs1_sha256', 0x0401, RSA, 'sha256'],
  ['rsa_pkcs1_sha384', 0x0501, RSA, 'sha384'],
  ['rsa_pkcs1_sha512', 0x0601, RSA, 'sha512'],
  ['ecdsa_sha1', 0x0203, EC, 'sha1'],
  ['ecdsa_sha256', 0x0403, EC, 'sha256'],
  ['ecdsa_sha384', 0x0503, EC, 'sha384'],
  ['ecdsa_sha512', 0x0603, EC, 'sha512'],
  ['rsa_pss_rsae_sha256', 0x0804, RSA, 'sha256', pss(32)],
  ['rsa_pss_rsae_sha384', 0x0805, RSA, 'sha384', pss(48)],
  ['rsa_pss_rsae_sha512', 0x0806, RSA, 'sha512', pss(64)],
  ['rsa_pss_pss_sha256', 0x0809, PSS_KEY, 'sha256', pss(32)],
  ['rsa_pss_pss_sha384', 0x080a, PSS_KEY, 'sha384', pss(48)],
  ['rsa_pss_pss_sha512', 0x080b, PSS_KEY, 'sha512', pss(64)],
  ['ed25519', 0x0807, ED25519, null],
  ['ed448', 0x0808, ED448, null],
  ['RSA before TLS 1.2', undefined, RSA, 'md5-sha1'],
  ['EC before TLS 1.2', undefined, EC, 'sha1'],
];

describe('a server took part', () => {
  test.for(SCHEMES)('by a signature of %s', ([, scheme, { privateKey, publicKey }, hash, options]) => {
    const signature = sign(hash, SIGNED, { key: privateKey, ...options });
    const by = scheme === undefined ? {} : { scheme };
    expect(isSigned(publicKey, { params, signature, ...by })).toBe(true);
    expect(isSigned(publicKey, { params: randomBytes(100), signature, ...by })).toBe(false);
    expect(isSigned(publicKey, { params, signature: signature.subarray(1), ...by })).toBe(false);
    // by none that this key signs otherwise by
    for (const [other, code, { publicKey: key }, otherHash, otherOptions] of SCHEMES) {
      if (key !== publicKey || (otherHash === hash && otherOptions === options)) continue;
      expect(isSigned(key, { params, signature, ...(code === undefined ? {} : { scheme: code }) }), other).toBe(false);
    }
  });

  test('by a signature as long as the modulus alone', () => {
    for (const [scheme, { privateKey, publicKey }] of [
      [0x0804, RSA],
      [0x0809, PSS_KEY],
    ] as const) {
      // one of 256 begins with a zero
      let signature = Buffer.of(1);
      while (signature[0] !== 0) signature = sign('sha256', SIGNED, { key: privateKey, ...pss(32) });
      expect(isSigned(publicKey, { params, scheme, signature })).toBe(true);
      expect(isSigned(publicKey, { params, scheme, signature: signature.subarray(1) })).toBe(false);
    }
  });

  test('by a salt as long as the hash alone', () => {
    for (const saltLength of [0, 20, 31, 33]) {
      const signature = sign('sha256', SIGNED, { key: RSA.privateKey, ...pss(saltLength) });
      expect(isSigned(RSA.publicKey, { params, scheme: 0x0804, signature })).toBe(false);
    }
  });

  test('by no hash but the one that a key is for alone', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa-pss', { modulusLength: 1536, hashAlgorithm: 'sha512' });
    const signature = sign('sha512', SIGNED, { key: privateKey, ...pss(64) });
    expect(isSigned(publicKey, { params, scheme: 0x080b, signature })).toBe(true);
    expect(isSigned(publicKey, { params, scheme: 0x0809, signature })).toBe(false);
  });

  test('by both random numbers, in their order', () => {
    const { privateKey, publicKey } = EC;
    for (const bytes of [
      Buffer.concat([serverRandom, clientRandom, params]),
      Buffer.concat([clientRandom, params]),
      Buffer.concat([serverRandom, params]),
      params,
    ])
      expect(isSigned(publicKey, { params, scheme: 0x0403, signature: sign('sha256', bytes, privateKey) })).toBe(false);
  });

  test('by no signature with an RSA key exchange', () => {
    expect(isSigned(RSA.publicKey)).toBe(undefined);
  });
});

test.for([0x0000, 0x0001, 0x0080, 0x0704, 0x0708, 0x0800, 0x0803, 0x080c, 0x0904, 0xffff])(
  'no scheme has the code %i',
  (scheme) => {
    for (const { privateKey, publicKey } of [RSA, EC]) {
      const signature = sign('sha256', SIGNED, privateKey);
      expect(isSigned(publicKey, { params, scheme, signature })).toBe(false);
    }
  },
);

test('a scheme of another kind of key is none, whatever its hash', () => {
  for (const [name, , { privateKey, publicKey }, hash, options] of SCHEMES) {
    const signature = sign(hash, SIGNED, { key: privateKey, ...options });
    for (const [other, code, { publicKey: key }] of SCHEMES) {
      if (key !== publicKey && code !== undefined)
        expect(isSigned(publicKey, { params, signature, scheme: code }), `${name} as ${other}`).toBe(false);
    }
  }
});

test('no scheme without a code is one of EdDSA, or of a key for PSS alone', () => {
  const signature = sign(null, SIGNED, ED25519.privateKey);
  expect(isSigned(ED25519.publicKey, { params, signature })).toBe(false);
  for (const saltLength of [20, 32])
    expect(
      isSigned(PSS_KEY.publicKey, {
        params,
        signature: sign('sha1', SIGNED, { key: PSS_KEY.privateKey, ...pss(saltLength) }),
      }),
    ).toBe(false);
});
