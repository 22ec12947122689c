import { describe, expect, it } from 'vitest';
import { formatAlgorithm, parseAlgorithmText } from '../../../src/signing/algorithm-text.ts';
import { HASHES } from '../../../src/signing/hashes.ts';

describe('parseAlgorithmText', () => {
  it.each([
    ['RSA_PKCS1_PADDING', { scheme: 'RSA_PKCS1_PADDING', dataKind: 'digest' }],
    ['RSA_NO_PADDING', { scheme: 'RSA_NO_PADDING', dataKind: 'digest' }],
    ['ECDSA', { scheme: 'ECDSA', dataKind: 'digest' }],
    ['ED25519,data=message', { scheme: 'ED25519', dataKind: 'message' }],
    ['ED448,data=message', { scheme: 'ED448', dataKind: 'message' }],
    [
      'RSA_PKCS1_PADDING,hashalg=MD5-SHA1,data=message',
      { scheme: 'RSA_PKCS1_PADDING', hash: HASHES['MD5-SHA1'], dataKind: 'message' },
    ],
    [
      'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest',
      { scheme: 'RSA_PKCS1_PSS_PADDING', hash: HASHES.SHA256, saltLength: 'digest', dataKind: 'digest' },
    ],
    [
      'RSA_PKCS1_PSS_PADDING,hashalg=SHA512,saltlen=20,data=message',
      { scheme: 'RSA_PKCS1_PSS_PADDING', hash: HASHES.SHA512, saltLength: 20, dataKind: 'message' },
    ],
  ])('%s', (text, expected) => {
    const parsed = parseAlgorithmText(text);
    expect(parsed).toEqual(expected);
    expect(formatAlgorithm(parsed)).toBe(text);
  });

  it.each(['SHA2-256', 'sha256', 'SHA-256'])("takes OpenSSL's spelling %s", (name) => {
    expect(parseAlgorithmText(`ECDSA,hashalg=${name}`).hash).toBe(HASHES.SHA256);
  });

  it.each([
    ['', 'ERR_REQUEST_ALGORITHM'],
    ['RSA', 'ERR_REQUEST_ALGORITHM'],
    ['__proto__', 'ERR_REQUEST_ALGORITHM'],
    ['constructor', 'ERR_REQUEST_ALGORITHM'],
    ['ecdsa', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,saltlen=digest', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,data=message', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,hashalg=SHA256,hashalg=SHA256', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,data=digests', 'ERR_REQUEST_ALGORITHM'],
    ['RSA_NO_PADDING,hashalg=SHA256,data=message', 'ERR_REQUEST_ALGORITHM'],
    ['RSA_PKCS1_PADDING,data=message', 'ERR_REQUEST_ALGORITHM'],
    ['RSA_PKCS1_PSS_PADDING', 'ERR_REQUEST_ALGORITHM'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256', 'ERR_REQUEST_ALGORITHM'],
    ['RSA_PKCS1_PSS_PADDING,saltlen=digest', 'ERR_REQUEST_ALGORITHM'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=MD5-SHA1,saltlen=digest', 'ERR_REQUEST_HASH'],
    ['RSA_PKCS1_PADDING,hashalg=MD4,data=message', 'ERR_REQUEST_HASH'],
    ['ECDSA,hashalg=MD5-SHA1,data=message', 'ERR_REQUEST_HASH'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=-1', 'ERR_REQUEST_SALT'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=auto', 'ERR_REQUEST_SALT'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=20x', 'ERR_REQUEST_SALT'],
    ['RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=123456', 'ERR_REQUEST_SALT'],
    ['ECDSA,hashalg=XSHA-256', 'ERR_REQUEST_HASH'],
    ['ECDSA,hashalg=SHASHA2-256', 'ERR_REQUEST_HASH'],
    ['RSA_PKCS1_PADDING,hashalg=MD5-SHA2-1', 'ERR_REQUEST_HASH'],
    ['RSA_PKCS1_PADDING,hashalg=MD5-SHA-1', 'ERR_REQUEST_HASH'],
    ['ECDSA,-hashalg=SHA256', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,hashalg=SHA256\n,data=message', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,hashalg=', 'ERR_REQUEST_ALGORITHM'],
    ['ECDSA,=SHA256', 'ERR_REQUEST_ALGORITHM'],
  ])('refuses %j with %s', (text, code) => {
    expect(() => parseAlgorithmText(text)).toThrow(expect.objectContaining({ code }));
  });

  it('takes blanks around it, and the kind of data that goes without saying', () => {
    const expected = { scheme: 'ECDSA', hash: HASHES.SHA256, dataKind: 'digest' };
    expect(parseAlgorithmText(' ECDSA,hashalg=SHA256,data=digest ')).toEqual(expected);
  });

  it('reads no more than a hundred characters', () => {
    const blanks = (length: number): string => 'ECDSA'.padEnd(length);
    expect(parseAlgorithmText(blanks(100)).scheme).toBe('ECDSA');
    expect(() => parseAlgorithmText(blanks(101))).toThrow(expect.objectContaining({ code: 'ERR_REQUEST_ALGORITHM' }));
  });
});
