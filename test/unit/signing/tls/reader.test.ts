import { describe, expect, test } from 'vitest';
import { derSequence, Reader, Unfit } from '../../../../src/signing/tls/reader.ts';

/** These bytes, and so many more. */
const sequence = (head: string, length: number): Buffer =>
  Buffer.concat([Buffer.from(head, 'hex'), Buffer.alloc(length)]);

describe('a SEQUENCE in DER (X.690 section 10.1)', () => {
  test.each([
    ['3000', 0],
    ['307f', 0x7f],
    ['308180', 0x80],
    ['3081ff', 0xff],
    ['30820100', 0x100],
    ['3082ffff', 0xffff],
    ['3083010000', 0x1_0000],
  ])('%s, and %i bytes', (head, length) => {
    const bytes = sequence(head, length);
    expect(derSequence(bytes, 'it')).toBe(bytes);
  });

  test.each([
    ['nothing', '', 0],
    ['a tag alone', '30', 0],
    ['another tag', '3100', 0],
    ['another tag of a long one', '318180', 0x80],
    ['a byte less than it says', '3002', 1],
    ['a byte more than it says', '3001', 2],
    ['a byte less of a long one', '308180', 0x7f],
    ['a byte more of a long one', '308180', 0x81],
    ['no length where it begins', '3081', 0],
    ['half a length', '308201', 0],
    ['no end', '3080', 2],
    ['no end, and a length of none', '3080', 0],
    ['no end, and as many bytes as that says as a number', '3080', 0x80],
    ['a length that a shorter form has', '30817f', 0x7f],
    ['a length with a zero before it', '308200ff', 0xff],
    ['a length with a zero before two bytes', '308300ffff', 0xffff],
    ['a length of four bytes', '308401000000', 0x100_0000],
  ])('not %s', (_, head, length) => {
    expect(() => derSequence(sequence(head, length), 'it')).toThrow(new Unfit('it is not in DER'));
  });
});

describe('fields of a message', () => {
  const reader = (...bytes: number[]): Reader => new Reader(Buffer.of(...bytes), 'it');

  test('numbers of one to three bytes', () => {
    const read = reader(1, 0, 2, 0, 0, 3);
    expect([read.number(1), read.number(2), read.number(3), read.isAtEnd]).toEqual([1, 2, 3, true]);
    expect(() => read.number(1)).toThrow(Unfit);
  });

  test('a vector has the length that stands before it, within its limits', () => {
    expect(reader(2, 8, 9).vector(1, 2, 2)).toEqual(Buffer.of(8, 9));
    expect(() => reader(2, 8, 9).vector(1, 3)).toThrow(Unfit);
    expect(() => reader(2, 8, 9).vector(1, 0, 1)).toThrow(Unfit);
    expect(() => reader(2, 8).vector(1)).toThrow(Unfit);
  });

  test('numbers of two bytes, one at least', () => {
    expect(reader(4, 1, 2, 3, 4).numbers(1)).toEqual([0x0102, 0x0304]);
    expect(() => reader(3, 1, 2, 3).numbers(1)).toThrow(Unfit);
    expect(() => reader(0).numbers(1)).toThrow(Unfit);
  });

  test('nothing stands behind the end', () => {
    const read = reader(7);
    expect(() => {
      read.end();
    }).toThrow(Unfit);
    read.number(1);
    read.end();
  });
});
