import { expect, it } from 'vitest';
import { encodeEcdsaDer } from '../../../src/signing/ecdsa-der.ts';

const der = (raw: string): string => encodeEcdsaDer(Buffer.from(raw, 'hex')).toString('hex');

it.each([
  ['0001' + '0002', '3006020101020102'],
  ['0080' + '7fff', '3008020200800202' + '7fff'],
  ['0000' + '0000', '3006020100020100'],
  ['ff'.repeat(132), '30818a' + `024300${'ff'.repeat(66)}`.repeat(2)],
])('r‖s %s', (raw, expected) => {
  expect(der(raw)).toBe(expected);
});

it.each(['', '010203'])('refuses %j', (raw) => {
  expect(() => der(raw)).toThrow(expect.objectContaining({ code: 'ERR_SIGNATURE_INVALID' }));
});
