import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEcdsaDer, encodeEcdsaDer } from '../../src/signing/ecdsa-der.ts';

/** r‖s, with zeros at the start often enough. */
const raw = fc.constantFrom(32, 48, 66).chain((length) =>
  fc.tuple(fc.uint8Array({ maxLength: length }), fc.uint8Array({ maxLength: length })).map((halves) => ({
    length,
    raw: Buffer.concat(halves.map((half) => Buffer.concat([Buffer.alloc(length - half.length), half]))),
  })),
);

describe('an ECDSA signature in DER', () => {
  test('is read back as it was written', () => {
    fc.assert(
      fc.property(raw, ({ raw: signature, length }) => {
        expect(decodeEcdsaDer(encodeEcdsaDer(signature), length)).toEqual(signature);
      }),
    );
  });

  test('has one form only: what is read is written back the same', () => {
    fc.assert(
      fc.property(raw, fc.nat(), fc.integer({ min: 0, max: 255 }), ({ raw: signature, length }, at, byte) => {
        const der = encodeEcdsaDer(signature);
        der[at % der.length] = byte;
        const read = decodeEcdsaDer(der, length);
        if (read) expect(encodeEcdsaDer(read)).toEqual(der);
      }),
    );
  });

  test('is nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const read = decodeEcdsaDer(Buffer.from(bytes), 32);
        if (read) expect(encodeEcdsaDer(read)).toEqual(Buffer.from(bytes));
      }),
    );
    const hex = (text: string): Buffer => Buffer.from(text, 'hex');
    expect(decodeEcdsaDer(hex('3006020101020102'), 1)).toEqual(hex('0102'));
    const others = [
      '',
      '30',
      '3003020101', // one number
      '3009020101020102020103', // three
      '3006020181020102', // negative
      '300702020001020102', // longer than needed
      '308106020101020102',
      '300602010102010200', // something behind it
      '3006040101020102', // no number
      '30080203010000020102', // more than fits
    ];
    for (const text of others) expect(decodeEcdsaDer(hex(text), 1)).toBeUndefined();
  });
});
