import { expect, it } from 'vitest';
import { decodeEcdsaDer, encodeEcdsaDer } from '../../../src/signing/ecdsa-der.ts';

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

const raw = (text: string, length: number): string | undefined =>
  decodeEcdsaDer(Buffer.from(text.replaceAll(' ', ''), 'hex'), length)?.toString('hex');

it.each([
  ['3006 020101 020102', 2, '00010002'],
  ['3008 02020080 02027fff', 2, '00807fff'],
  ['3008 02020080 02027fff', 4, '0000008000007fff'],
  ['3006 020100 020100', 1, '0000'],
  [`30818a ${`024300${'ff'.repeat(66)}`.repeat(2)}`, 66, 'ff'.repeat(132)],
])('%s is r‖s', (text, length, expected) => {
  expect(raw(text, length)).toBe(expected);
});

it.each([
  ['nothing', ''],
  ['no sequence', '3106 020101 020102'],
  ['cut', '3006 020101 0201'],
  ['with something behind it', '3006 020101 020102 00'],
  ['one number', '3003 020101'],
  ['three numbers', '3009 020101 020102 020103'],
  ['another type', '3006 020101 040102'],
  ['a negative number', '3006 020181 020102'],
  ['an empty number', '3005 0200 020102'],
  ['a zero too many', '3007 02020001 020102'],
  ['a number that is too long', '3009 0204 01020304 020102'],
  ['another number that is too long', '3009 020101 0204 01020304'],
  ['a longer length than needed', '308106 020101 020102'],
  ['a longer length than needed, of a number', '3007 02810101 020102'],
])('%s is no signature', (_what, text) => {
  expect(raw(text, 2)).toBe(undefined);
});

it.each([
  [61, '307e'],
  [62, '308180'],
])('two numbers of %d bytes begin with %s', (length, header) => {
  const number = `02${length.toString(16)}${'01'.repeat(length)}`;
  expect(der('01'.repeat(2 * length))).toBe(header + number.repeat(2));
});
