import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keyKind } from '../../../src/signing/public-key.ts';
import { sampleRequests } from '../../../src/signing/sample-requests.ts';

const KEYS = {
  rsa1024: generateKeyPairSync('rsa', { modulusLength: 1024 }),
  rsa2048: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ed25519: generateKeyPairSync('ed25519'),
  ed448: generateKeyPairSync('ed448'),
};
const namesOf = (name: keyof typeof KEYS): string[] =>
  sampleRequests(keyKind(KEYS[name].publicKey)).map((sample) => sample.name);

describe('sample requests', () => {
  test('RSA: every scheme, as digest and as message', () => {
    const names = namesOf('rsa2048');
    expect(names).toContain('RSA_PKCS1_PADDING,hashalg=SHA256');
    expect(names).toContain('RSA_PKCS1_PSS_PADDING,hashalg=SHA512,saltlen=digest,data=message');
    expect(names).toContain('RSA_NO_PADDING');
    expect(new Set(names).size).toBe(names.length);
  });

  test('a modulus that is too short for a salt leaves that one out, and no other', () => {
    const names = namesOf('rsa1024');
    expect(names).not.toContain('RSA_PKCS1_PSS_PADDING,hashalg=SHA512,saltlen=digest');
    expect(names).toContain('RSA_PKCS1_PSS_PADDING,hashalg=SHA384,saltlen=digest');
  });

  test('a modulus that just has room for a salt does not', () => {
    const of = (modulusBits: number): string[] =>
      sampleRequests({ type: 'RSA', modulusBits, modulusBytes: Math.ceil(modulusBits / 8) }).map(({ name }) => name);
    const text = 'RSA_PKCS1_PSS_PADDING,hashalg=SHA512,saltlen=digest';
    expect(of(1034)).toContain(text);
    expect(of(1033)).not.toContain(text);
  });

  test('each says in which versions of TLS, and with which argument, a daemon asks so', () => {
    const of = (name: keyof typeof KEYS): string[] =>
      sampleRequests(keyKind(KEYS[name].publicKey)).map(
        ({ name: text, tls, argument }) => `${text} [${tls.join(' ')}] ${argument || '-'}`,
      );
    expect(of('p256')).toEqual([
      'ECDSA,hashalg=SHA1 [1.2] -',
      'ECDSA,hashalg=SHA1,data=message [1.2] digest',
      'ECDSA,hashalg=SHA256 [1.2 1.3] -',
      'ECDSA,hashalg=SHA256,data=message [1.2 1.3] digest',
      'ECDSA,hashalg=SHA384 [1.2 1.3] -',
      'ECDSA,hashalg=SHA384,data=message [1.2 1.3] digest',
      'ECDSA,hashalg=SHA512 [1.2 1.3] -',
      'ECDSA,hashalg=SHA512,data=message [1.2 1.3] digest',
    ]);
    expect(of('ed25519')).toEqual(['ED25519,data=message [1.2 1.3] -']);
    const rsa = of('rsa2048');
    expect(rsa).toContain('RSA_PKCS1_PADDING,hashalg=MD5-SHA1 [1.0 1.1] -');
    expect(rsa).toContain('RSA_PKCS1_PADDING,hashalg=SHA256,data=message [1.2] digest');
    expect(rsa).toContain('RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest [1.2 1.3] -');
    expect(rsa).toContain('RSA_NO_PADDING [1.2 1.3] nopadding');
  });

  test('EC and Edwards keys', () => {
    expect(namesOf('p256')).toContain('ECDSA,hashalg=SHA384');
    expect(namesOf('ed25519')).toEqual(['ED25519,data=message']);
    expect(namesOf('ed448')).toEqual(['ED448,data=message']);
  });
});
