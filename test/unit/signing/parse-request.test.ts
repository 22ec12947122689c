import { constants, createHash, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeEmsaPkcs1, encodeEmsaPkcs1, encodeDigestInfo } from '../../../src/signing/emsa-pkcs1.ts';
import { encodeEmsaPss, maxSaltLength, readEmsaPss } from '../../../src/signing/emsa-pss.ts';
import { HASHES } from '../../../src/signing/hashes.ts';
import { parseSignatureRequest } from '../../../src/signing/parse-request.ts';
import { keyKind, type KeyKind } from '../../../src/signing/public-key.ts';

const RSA: KeyKind = { type: 'RSA', modulusBits: 2048, modulusBytes: 256 };
const P256: KeyKind = { type: 'EC', curve: 'P-256', orderBytes: 32 };
const P521: KeyKind = { type: 'EC', curve: 'P-521', orderBytes: 66 };
const ED25519: KeyKind = { type: 'ED25519' };
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const bytes = (length: number): string => base64(randomBytes(length));
const digestInfo = encodeDigestInfo(HASHES.SHA256, randomBytes(32)).encoded;
/** Always the same: one in some 16,000 is refused, as it looks like another hash's DigestInfo. */
const MD5_SHA1 = base64(HASHES['MD5-SHA1'].digest(Buffer.from('message')));

describe('parseSignatureRequest', () => {
  it('hashes whole messages', () => {
    const message = randomBytes(4000);
    const digest = createHash('sha384').update(message).digest();
    const request = parseSignatureRequest(base64(message), 'RSA_PKCS1_PADDING,hashalg=SHA384,data=message', RSA);
    expect(request).toMatchObject({ dataKind: 'message', message, digestInfo: { digest } });
    expect(parseSignatureRequest(base64(message), 'ECDSA,hashalg=SHA384,data=message', P521)).toMatchObject({ digest });
  });

  it('truncates a digest that is longer than the curve', () => {
    const digest = randomBytes(64);
    expect(parseSignatureRequest(base64(digest), 'ECDSA', P256)).toMatchObject({ digest: digest.subarray(0, 32) });
    expect(parseSignatureRequest(base64(digest), 'ECDSA', P521)).toMatchObject({ digest });
  });

  it.each([
    ['digest', 32],
    ['max', 222], // 2048 bits: 256 - 32 - 2
    ['0', 0],
  ])('resolves saltlen=%s to %i bytes', (salt, saltLength) => {
    const text = `RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=${salt}`;
    expect(parseSignatureRequest(bytes(32), text, RSA)).toMatchObject({ saltLength });
  });

  it('takes an EMSA-PKCS1-v1_5 block as the DigestInfo in it', () => {
    const block = encodeEmsaPkcs1(digestInfo, 256);
    expect(parseSignatureRequest(base64(block), 'RSA_NO_PADDING', RSA)).toMatchObject({
      scheme: 'RSA_PKCS1_PADDING',
      digestInfo: { encoded: digestInfo },
      algorithmText: 'RSA_NO_PADDING',
    });
  });

  it.each(['SHA1', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const)('takes an EMSA-PSS block of %s', (name) => {
    const hash = HASHES[name];
    for (const saltLength of [0, 8, hash.length]) {
      const block = encodeEmsaPss(hash, randomBytes(hash.length), saltLength, 2048);
      expect(parseSignatureRequest(base64(block), 'RSA_NO_PADDING', RSA)).toMatchObject({ block });
    }
  });

  describe('without an algorithm text', () => {
    it.each([20, 28, 32, 48, 64])('takes %i bytes for RSA as PSS', (length) => {
      expect(parseSignatureRequest(bytes(length), undefined, RSA)).toMatchObject({
        scheme: 'RSA_PKCS1_PSS_PADDING',
        saltLength: length,
      });
    });
    it('takes a DigestInfo and 36 bytes as PKCS #1 v1.5', () => {
      expect(parseSignatureRequest(base64(digestInfo), undefined, RSA).scheme).toBe('RSA_PKCS1_PADDING');
      expect(parseSignatureRequest(MD5_SHA1, undefined, RSA).scheme).toBe('RSA_PKCS1_PADDING');
    });
    it('takes a block as long as the modulus as it is', () => {
      const block = encodeEmsaPss(HASHES.SHA256, randomBytes(32), 32, 2048);
      expect(parseSignatureRequest(base64(block), undefined, RSA).scheme).toBe('RSA_NO_PADDING');
    });
    it('takes a digest for ECDSA, a message for EdDSA', () => {
      expect(parseSignatureRequest(bytes(32), undefined, P256).scheme).toBe('ECDSA');
      expect(parseSignatureRequest(bytes(146), undefined, ED25519).scheme).toBe('ED25519');
    });
    it('says of the data what they are, and as which text', () => {
      const said = (data: string, kind: KeyKind): unknown[] => {
        const { dataKind, algorithmText } = parseSignatureRequest(data, undefined, kind);
        return [dataKind, algorithmText];
      };
      const block = encodeEmsaPss(HASHES.SHA256, randomBytes(32), 32, 2048);
      expect(said(bytes(32), P256)).toEqual(['digest', 'ECDSA']);
      expect(said(bytes(146), ED25519)).toEqual(['message', 'ED25519,data=message']);
      expect(said(bytes(32), RSA)).toEqual(['digest', 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest']);
      expect(said(base64(block), RSA)).toEqual(['digest', 'RSA_NO_PADDING']);
      expect(said(base64(digestInfo), RSA)).toEqual(['digest', 'RSA_PKCS1_PADDING,hashalg=SHA256']);
    });
  });

  it.each<[string, string, string | undefined, KeyKind]>([
    ['ERR_REQUEST_EMPTY', '', 'ECDSA', P256],
    ['ERR_REQUEST_EMPTY', '', undefined, RSA],
    ['ERR_REQUEST_BASE64', 'AAA', 'ECDSA', P256],
    ['ERR_REQUEST_BASE64', `${bytes(32)}*`, 'ECDSA', P256],
    ['ERR_REQUEST_BASE64', base64(Buffer.alloc(32, 0xfb)).replaceAll('+', '-'), 'ECDSA', P256],
    ['ERR_REQUEST_KEY_TYPE', bytes(32), 'ECDSA', RSA],
    ['ERR_REQUEST_KEY_TYPE', bytes(32), 'RSA_PKCS1_PADDING', P256],
    ['ERR_REQUEST_KEY_TYPE', bytes(32), 'ED448,data=message', ED25519],
    ['ERR_REQUEST_LENGTH', bytes(19), 'ECDSA', P256],
    ['ERR_REQUEST_LENGTH', bytes(65), 'ECDSA', P256],
    ['ERR_REQUEST_LENGTH', bytes(33), 'ECDSA,hashalg=SHA256', P256],
    ['ERR_REQUEST_LENGTH', bytes(31), 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', RSA],
    ['ERR_REQUEST_LENGTH', bytes(255), 'RSA_NO_PADDING', RSA],
    ['ERR_REQUEST_LENGTH', bytes(40), undefined, RSA],
    ['ERR_REQUEST_DIGEST_INFO', bytes(32), 'RSA_PKCS1_PADDING', RSA],
    ['ERR_REQUEST_DIGEST_INFO', base64(digestInfo), 'RSA_PKCS1_PADDING,hashalg=SHA384', RSA],
    ['ERR_REQUEST_DIGEST_INFO', base64(Buffer.concat([digestInfo, Buffer.from([0])])), 'RSA_PKCS1_PADDING', RSA],
    ['ERR_REQUEST_DIGEST_INFO', base64(digestInfo.subarray(0, -1)), 'RSA_PKCS1_PADDING', RSA],
    ['ERR_REQUEST_SALT', bytes(32), 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=223', RSA],
    ['ERR_REQUEST_SALT', bytes(64), 'RSA_PKCS1_PSS_PADDING,hashalg=SHA512,saltlen=max', { ...RSA, modulusBits: 512 }],
    ['ERR_REQUEST_PADDING', bytes(256), 'RSA_NO_PADDING', RSA],
    ['ERR_REQUEST_PADDING', base64(Buffer.alloc(256)), 'RSA_NO_PADDING', RSA],
  ])('refuses with %s', (code, data, text, kind) => {
    expect(() => parseSignatureRequest(data, text, kind)).toThrow(expect.objectContaining({ code }));
  });
});

describe('RSA_NO_PADDING is no oracle', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kind = keyKind(publicKey);

  it('does not decrypt', () => {
    const secret = randomBytes(32);
    const ciphertexts = [
      publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, secret),
      publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, secret),
    ];
    for (const ciphertext of ciphertexts) {
      expect(() => parseSignatureRequest(base64(ciphertext), 'RSA_NO_PADDING', kind)).toThrow(
        expect.objectContaining({ code: 'ERR_REQUEST_PADDING' }),
      );
    }
    expect(
      privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, ciphertexts[0] ?? Buffer.alloc(0)),
    ).toEqual(secret);
  });

  it('takes no block whose trailer alone is right', () => {
    const block = randomBytes(256);
    block[0] = 0;
    block[255] = 0xbc;
    expect(readEmsaPss(block, 2048)).toBeUndefined();
  });

  it('takes no block whose salt leaves nothing to check', () => {
    // an attacker who blinds a ciphertext finds such a one after some ten thousand tries
    const hash = HASHES.SHA256;
    const max = maxSaltLength(hash, 2048);
    expect(readEmsaPss(encodeEmsaPss(hash, randomBytes(32), max, 2048), 2048)).toBeUndefined();
    expect(readEmsaPss(encodeEmsaPss(hash, randomBytes(32), max - 8, 2048), 2048)).toEqual({
      hash,
      saltLength: max - 8,
    });
  });

  it('takes an EMSA-PKCS1-v1_5 block with eight bytes of padding, and none with fewer', () => {
    const { length } = digestInfo;
    expect(decodeEmsaPkcs1(encodeEmsaPkcs1(digestInfo, length + 11))?.encoded).toEqual(digestInfo);
    expect(() => encodeEmsaPkcs1(digestInfo, length + 10)).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_LENGTH' }),
    );
    const short = Buffer.concat([Buffer.of(0, 1), Buffer.alloc(7, 0xff), Buffer.of(0), digestInfo]);
    expect(decodeEmsaPkcs1(short)).toBe(undefined);
    const nonzero = encodeEmsaPkcs1(digestInfo, 256).fill(1, 0, 1);
    expect(decodeEmsaPkcs1(nonzero)).toBe(undefined);
    expect(decodeEmsaPkcs1(Buffer.concat([Buffer.of(0, 1), Buffer.alloc(254, 0xff)]))).toBe(undefined);
  });

  it.each([
    ['a short padding', (block: Buffer) => Buffer.concat([Buffer.alloc(1), block.subarray(0, -1)])],
    ['block type 2', (block: Buffer) => block.fill(2, 1, 2)],
    ['a hole in the padding', (block: Buffer) => block.fill(0xfe, 20, 21)],
    [
      'a byte behind the DigestInfo',
      (block: Buffer) => Buffer.concat([block.subarray(0, 3), block.subarray(4), Buffer.of(0)]),
    ],
  ])('takes no EMSA-PKCS1-v1_5 block with %s', (_, spoil) => {
    const block = spoil(encodeEmsaPkcs1(digestInfo, 256));
    expect(block).toHaveLength(256);
    expect(() => parseSignatureRequest(base64(block), 'RSA_NO_PADDING', RSA)).toThrow(
      expect.objectContaining({ code: 'ERR_REQUEST_PADDING' }),
    );
  });
});
