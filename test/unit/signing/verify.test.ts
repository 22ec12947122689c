import { constants, generateKeyPairSync, privateEncrypt, sign, verify, type KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeEmsaPkcs1 } from '../../../src/signing/emsa-pkcs1.ts';
import { encodeEmsaPss } from '../../../src/signing/emsa-pss.ts';
import { HASHES } from '../../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import { keyKind } from '../../../src/signing/public-key.ts';
import type { SignatureRequest } from '../../../src/signing/request.ts';
import { createSignature, type Signer } from '../../../src/signing/signer.ts';

const MESSAGE = Buffer.from('message');
const { RSA_NO_PADDING, RSA_PKCS1_PSS_PADDING } = constants;
type Pair = Readonly<Record<'publicKey' | 'privateKey', KeyObject>>;

/** A key that gives what it is told to. */
function signerOf({ publicKey }: Pair, bytes: Buffer): Signer {
  return {
    name: 'fake',
    publicKey,
    certificates: [],
    canSign: () => true,
    sign: () => Promise.resolve({ bytes, mechanism: 'CKM_FAKE' }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const P521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ED25519 = generateKeyPairSync('ed25519');
const ED448 = generateKeyPairSync('ed448');
const { SHA256, SHA384, SHA512 } = HASHES;
const BLOCK = encodeEmsaPss(SHA256, SHA256.digest(MESSAGE), 32, 2048);

const request = ({ publicKey }: Pair, data: Buffer, text: string): SignatureRequest =>
  parseSignatureRequest(data.toString('base64'), text, keyKind(publicKey));
const raw = (hash: string, { privateKey }: Pair): Buffer =>
  sign(hash, MESSAGE, { key: privateKey, dsaEncoding: 'ieee-p1363' });
const pss = (saltLength: number): Buffer =>
  sign('SHA256', MESSAGE, { key: RSA.privateKey, padding: RSA_PKCS1_PSS_PADDING, saltLength });

/** Algorithm text, key, what is asked for, and a signature by OpenSSL. */
const GOOD: readonly (readonly [string, Pair, Buffer, Buffer])[] = [
  ['RSA_PKCS1_PADDING,hashalg=SHA384', RSA, SHA384.digest(MESSAGE), sign('SHA384', MESSAGE, RSA.privateKey)],
  ['RSA_PKCS1_PADDING,hashalg=SHA256,data=message', RSA, MESSAGE, sign('SHA256', MESSAGE, RSA.privateKey)],
  ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', RSA, SHA256.digest(MESSAGE), pss(32)],
  ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=0,data=message', RSA, MESSAGE, pss(0)],
  ['RSA_NO_PADDING', RSA, BLOCK, privateEncrypt({ key: RSA.privateKey, padding: RSA_NO_PADDING }, BLOCK)],
  ['ECDSA', P256, SHA256.digest(MESSAGE), raw('SHA256', P256)],
  ['ECDSA', P256, SHA512.digest(MESSAGE), raw('SHA512', P256)],
  ['ECDSA,hashalg=SHA384', P521, SHA384.digest(MESSAGE), raw('SHA384', P521)],
  ['ECDSA,hashalg=SHA512,data=message', P521, MESSAGE, raw('SHA512', P521)],
  ['ECDSA,hashalg=SHA256,data=message', P256, MESSAGE, raw('SHA256', P256)],
  ['ED25519,data=message', ED25519, MESSAGE, sign(null, MESSAGE, ED25519.privateKey)],
  ['ED448,data=message', ED448, MESSAGE, sign(null, MESSAGE, ED448.privateKey)],
];

describe.each(GOOD)('%s', (text, pair, data, signature) => {
  const asked = request(pair, data, text);
  const refused = { code: 'ERR_SIGNATURE_INVALID', hint: expect.stringContaining('CKM_FAKE') };

  test('a good signature leaves', async () => {
    const { bytes, mechanism } = await createSignature(signerOf(pair, signature), asked);
    expect(mechanism).toBe('CKM_FAKE');
    if (!text.startsWith('ECDSA')) expect(bytes).toEqual(signature);
    // in DER, as TLS has it
    else expect(verify(hashOf(asked), MESSAGE, pair.publicKey, bytes)).toBe(true);
  });

  test('one with another bit, a byte more or less, or of nothing does not', async () => {
    for (const at of [0, signature.length >> 1, signature.length - 1]) {
      const changed = Buffer.from(signature);
      changed[at] = (changed[at] ?? 0) ^ 4;
      await expect(createSignature(signerOf(pair, changed), asked)).rejects.toMatchObject(refused);
    }
    for (const other of [
      // zeros before it would be put back
      signature.subarray(signature.findIndex((byte) => byte !== 0) + 1),
      signature.subarray(0, -1),
      Buffer.concat([Buffer.alloc(1), signature]),
      Buffer.concat([signature, Buffer.alloc(1)]),
      Buffer.alloc(signature.length),
      Buffer.alloc(0),
    ]) {
      await expect(createSignature(signerOf(pair, other), asked)).rejects.toMatchObject(refused);
    }
  });
});

/** The hash that a request of ECDSA came from. */
function hashOf({ tbs, algorithmText }: SignatureRequest): string {
  return /hashalg=(\w+)/.exec(algorithmText)?.[1] ?? (tbs.length === 64 ? 'SHA512' : 'SHA256');
}

test('an RSA signature without its leading zeros gets them back', async () => {
  const padding = RSA_PKCS1_PSS_PADDING;
  for (const text of ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', 'RSA_PKCS1_PADDING,hashalg=SHA256']) {
    // one of 256 begins with a zero
    let [message, signature] = [Buffer.alloc(4), Buffer.of(1)];
    for (let tries = 0; signature[0] !== 0; tries++) {
      message = Buffer.of(tries >> 8, tries);
      const options = text.includes('PSS') ? { padding, saltLength: 32 } : {};
      signature = sign('SHA256', message, { key: RSA.privateKey, ...options });
    }
    const asked = request(RSA, SHA256.digest(message), text);
    const { bytes } = await createSignature(signerOf(RSA, signature.subarray(1)), asked);
    expect(bytes).toEqual(signature);
  }
});

test('a signature in PKCS #1 v1.5 is of the whole block', async () => {
  const asked = request(RSA, SHA256.digest(MESSAGE), 'RSA_PKCS1_PADDING,hashalg=SHA256');
  const other = encodeEmsaPkcs1(SHA256.digest(MESSAGE), 256);
  const signature = privateEncrypt({ key: RSA.privateKey, padding: RSA_NO_PADDING }, other);
  await expect(createSignature(signerOf(RSA, signature), asked)).rejects.toMatchObject({
    code: 'ERR_SIGNATURE_INVALID',
  });
});
