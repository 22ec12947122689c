import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { CURVES, toBytes, toInteger } from '../../../src/signing/curves.ts';
import { verifyEcdsaDigest } from '../../../src/signing/ecdsa.ts';
import { encodeEmsaPss } from '../../../src/signing/emsa-pss.ts';
import { HASHES } from '../../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import { CURVE_BYTES, type CurveName, type KeyKind } from '../../../src/signing/public-key.ts';
import { hashOfRequest } from '../../../src/signing/request-hash.ts';

const RSA: KeyKind = { type: 'RSA', modulusBits: 2048, modulusBytes: 256 };
const EC: KeyKind = { type: 'EC', curve: 'P-521', orderBytes: 66 };

const { SHA1, SHA256, SHA384 } = HASHES;
test.for([
  ['RSA_PKCS1_PADDING,hashalg=SHA384', 48, RSA, { hash: SHA384 }],
  [undefined, 36, RSA, { hash: HASHES['MD5-SHA1'] }],
  ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=20', 32, RSA, { hash: SHA256, saltLength: 20 }],
  ['ECDSA', 48, EC, { hash: SHA384 }],
  ['ECDSA', 20, EC, { hash: SHA1 }],
  ['ECDSA', 33, EC, { hash: undefined }],
  ['ECDSA,hashalg=SHA256,data=message', 100, EC, { hash: SHA256 }],
  ['ED25519,data=message', 100, { type: 'ED25519' }, { hash: undefined }],
  ['ED448,data=message', 100, { type: 'ED448' }, { hash: undefined }],
] as const)('%s over %i bytes', ([text, length, kind, expected]) => {
  const request = parseSignatureRequest(Buffer.alloc(length, 7).toString('base64'), text, kind);
  expect(hashOfRequest(request, kind)).toEqual(expected);
});

test('a finished block says its own', () => {
  const block = encodeEmsaPss(SHA384, randomBytes(48), 30, 2048);
  const request = parseSignatureRequest(block.toString('base64'), 'RSA_NO_PADDING', RSA);
  expect(hashOfRequest(request, RSA)).toEqual({ hash: SHA384, saltLength: 30 });
});

// ECDSA signs a number modulo the order: zeros before a digest, what a curve cuts off, the order itself are in no signature
describe('an ECDSA digest that is as good as a shorter one', () => {
  const zeros = (count: number): Buffer => Buffer.alloc(count);
  const sevens = (count: number): Buffer => Buffer.alloc(count, 7);
  const withOrder = (name: CurveName, digest: Buffer): Buffer =>
    toBytes(CURVES[name].n + toInteger(digest), CURVES[name].length);
  const kindOf = (curve: CurveName): KeyKind => ({ type: 'EC', curve, orderBytes: CURVE_BYTES[curve] });
  const hashOf = (curve: CurveName, text: string | undefined, tbs: Buffer): string | undefined =>
    hashOfRequest(parseSignatureRequest(tbs.toString('base64'), text, kindOf(curve)), kindOf(curve)).hash?.name;

  test.for([
    ['12 zeros and SHA-1', 'P-256', 'ECDSA', [zeros(12), sevens(20)], 'SHA1'],
    ['the same where its hash is named', 'P-256', 'ECDSA,hashalg=SHA256', [zeros(12), sevens(20)], 'SHA1'],
    ['the same without an algorithm text', 'P-256', undefined, [zeros(12), sevens(20)], 'SHA1'],
    ['the same, and what is cut off', 'P-256', 'ECDSA', [zeros(12), sevens(20), sevens(32)], 'SHA1'],
    ['zeros and a SHA-1 that begins with zeros', 'P-384', 'ECDSA', [zeros(31), sevens(17)], 'SHA1'],
    ['8 zeros and SHA-1', 'P-521', 'ECDSA', [zeros(8), sevens(20)], 'SHA1'],
    ['44 zeros and SHA-1', 'P-521', 'ECDSA', [zeros(44), sevens(20)], 'SHA1'],
    ['16 zeros and SHA-256', 'P-384', 'ECDSA', [zeros(16), sevens(32)], 'SHA256'],
    ['zeros alone', 'P-256', 'ECDSA', [zeros(32)], 'SHA1'],
    ['the order and SHA-1', 'P-256', 'ECDSA', [withOrder('P-256', sevens(20))], 'SHA1'],
    ['the order and SHA-1', 'P-384', 'ECDSA', [withOrder('P-384', sevens(20))], 'SHA1'],
    ['the order and SHA-224', 'brainpoolP256r1', 'ECDSA', [withOrder('brainpoolP256r1', sevens(28))], 'SHA224'],
  ] as const)('%s on %s', ([, curve, text, parts, hash]) => {
    expect(hashOf(curve, text, Buffer.concat(parts))).toBe(hash);
  });

  test.for([
    ['zeros', Buffer.concat([zeros(12), SHA1.digest(Buffer.from('a contract'))])],
    ['the order', withOrder('P-256', SHA1.digest(Buffer.from('a contract')))],
  ] as const)('has the very signature of that one: %s', ([, digest]) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const signature = sign('sha1', Buffer.from('a contract'), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    expect(verifyEcdsaDigest('P-256', digest, signature, publicKey)).toBe(true);
  });

  // as true ones begin, once in a while
  test.for([
    ['P-256', 32, 3, 'SHA256'],
    ['P-256', 48, 3, 'SHA384'],
    ['P-384', 48, 15, 'SHA384'],
    ['P-521', 64, 15, 'SHA512'],
    ['P-256', 20, 5, 'SHA1'],
  ] as const)('is none: on %s one of %i bytes, %i of them zeros', ([curve, length, count, hash]) => {
    expect(hashOf(curve, 'ECDSA', Buffer.concat([zeros(count), sevens(length - count)]))).toBe(hash);
  });

  test('is none: the smallest number that is longer', () => {
    expect(hashOf('P-256', 'ECDSA', Buffer.concat([zeros(11), Buffer.of(1), zeros(20)]))).toBe('SHA224');
    expect(hashOf('P-256', 'ECDSA', Buffer.concat([zeros(3), Buffer.of(1), zeros(28)]))).toBe('SHA256');
  });

  test('is none as long as no hash is', () => {
    expect(hashOf('P-256', 'ECDSA', Buffer.concat([zeros(13), sevens(20)]))).toBe(undefined);
  });

  test('is none where the message shows the hash', () => {
    expect(hashOf('P-256', 'ECDSA,hashalg=SHA256,data=message', zeros(40))).toBe('SHA256');
  });
});
