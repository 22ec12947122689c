import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keyKind, keyKindName, weakness } from '../../../src/signing/public-key.ts';

const refused = (hint: string): unknown => expect.objectContaining({ code: 'ERR_KEY_UNSUPPORTED', hint });

describe('the kind of a key', () => {
  test.for([1024, 2047, 2048])('RSA with %i bits', (modulusLength) => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength });
    const kind = keyKind(publicKey);
    expect(kind).toEqual({ type: 'RSA', modulusBits: modulusLength, modulusBytes: Math.ceil(modulusLength / 8) });
    expect(keyKind(privateKey)).toEqual(kind);
    expect(keyKindName(kind)).toBe(`RSA-${modulusLength}`);
  });

  test.for([
    ['P-256', 32],
    ['P-384', 48],
    ['P-521', 66],
    ['secp256k1', 32],
    ['brainpoolP384r1', 48],
  ] as const)('%s', ([curve, orderBytes]) => {
    const kind = keyKind(generateKeyPairSync('ec', { namedCurve: curve }).publicKey);
    expect(kind).toEqual({ type: 'EC', curve, orderBytes });
    expect(keyKindName(kind)).toBe(curve);
  });

  test('Edwards curves', () => {
    expect(keyKind(generateKeyPairSync('ed25519').publicKey)).toEqual({ type: 'ED25519' });
    expect(keyKindName(keyKind(generateKeyPairSync('ed448').publicKey))).toBe('ED448');
  });

  test('others can not be used', () => {
    const { publicKey: short } = generateKeyPairSync('rsa', { modulusLength: 1023 });
    expect(() => keyKind(short)).toThrow(refused('use 2048 bits or more'));
    const { publicKey: curve } = generateKeyPairSync('ec', { namedCurve: 'secp224r1' });
    expect(() => keyKind(curve)).toThrow(
      refused('use P-256, P-384, P-521, secp256k1 or brainpoolP256r1, P384r1, P512r1'),
    );
    const hint = refused('use RSA, P-256, P-384, P-521, Ed25519 or Ed448');
    expect(() => keyKind(generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).publicKey)).toThrow(hint);
    expect(() => keyKind(generateKeyPairSync('x25519').publicKey)).toThrow(hint);
  });
});

test('only RSA below 2048 bits is weak', () => {
  const rsa = (modulusBits: number) => weakness({ type: 'RSA', modulusBits, modulusBytes: 256 });
  expect([rsa(1024), rsa(2047)]).toEqual([
    'an RSA key of 1024 bits is weak, and most servers refuse it',
    'an RSA key of 2047 bits is weak, and most servers refuse it',
  ]);
  expect([rsa(2048), rsa(4096), weakness({ type: 'ED25519' })]).toEqual([undefined, undefined, undefined]);
  expect(weakness({ type: 'EC', curve: 'P-256', orderBytes: 32 })).toBe(undefined);
});
