import { expect, test } from 'vitest';
import { isPointLength } from '../../../../src/signing/tls/cipher-suites.ts';

// RFC 8422 section 5.4: an uncompressed point is twice as long as a coordinate, and a byte; RFC 7748: 32 and 56 bytes
test.for([
  ['secp256k1', 22, 65],
  ['secp256r1', 23, 65],
  ['secp384r1', 24, 97],
  ['secp521r1', 25, 133],
  ['brainpoolP256r1', 26, 65],
  ['brainpoolP384r1', 27, 97],
  ['brainpoolP512r1', 28, 129],
  ['x25519', 29, 32],
  ['x448', 30, 56],
] as const)('a point of %s has one length', ([, group, length]) => {
  for (let other = 0; other <= 200; other++) expect(isPointLength(group, other), String(other)).toBe(other === length);
});

test('a point of a group that is not known may have any', () => {
  for (const length of [1, 32, 65, 255]) expect(isPointLength(0x7777, length)).toBe(true);
});
