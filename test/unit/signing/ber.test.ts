import { describe, expect, test } from 'vitest';
import { readAllBer, readBer } from '../../../src/signing/ber.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
/** In hex, as what stands in the tests. */
function read(text: string): { tag: number; content: string; length: number } | undefined {
  const element = readBer(hex(text));
  return element && { ...element, content: element.content.toString('hex') };
}

describe('an element', () => {
  test.for([
    ['in few bytes', '02 01 05 ff', 0x02, '05', 3],
    ['empty', '05 00', 0x05, '', 2],
    ['with a length in one more byte', '04 81 02 aabb', 0x04, 'aabb', 5],
    ['with a length in two more bytes', '04 82 0002 aabb', 0x04, 'aabb', 6],
    ['with zeros before its length', '04 84 00000001 aa bb', 0x04, 'aa', 7],
    ['of 127 bytes', `04 7f ${'00'.repeat(127)}`, 0x04, '00'.repeat(127), 129],
    ['of 256 bytes', `04 82 0100 ${'01'.repeat(256)}`, 0x04, '01'.repeat(256), 260],
    ['without a length, and empty', '30 80 0000 ff', 0x30, '', 4],
    ['without a length, with two in it', '30 80 020101 0500 0000', 0x30, '0201010500', 9],
    ['without a length, in another one', '30 80 3080 020101 0000 0000', 0x30, '30800201010000', 11],
    ['without a length, with one in it that ends in zeros', '30 80 04020000 0000', 0x30, '04020000', 8],
  ] as const)('%s', ([, text, tag, content, length]) => {
    expect(read(text)).toEqual({ tag, content, length });
  });

  test.for([
    ['nothing', ''],
    ['a tag alone', '30'],
    ['cut in its content', '04 02 aa'],
    ['cut in its length', '04 82 01'],
    ['cut behind its length', '04 81 01'],
    ['of a tag in more than one byte', '1f 01 00'],
    ['of such a tag that is constructed', '3f 01 00'],
    ['simple, and without a length', '04 80 aa 0000'],
    ['simple, empty, and without a length', '04 80 0000'],
    ['without a length or an end', '30 80 020101'],
    ['with half an end', '30 80 020101 00'],
    ['with what is none in it', '30 80 0205 0000'],
  ] as const)('is none: %s', ([, text]) => {
    expect(read(text)).toBe(undefined);
  });

  test('nests as deep as files do, and no deeper', () => {
    const nested = (depth: number): string => '3080'.repeat(depth) + '0000'.repeat(depth);
    expect(read(nested(33))?.length).toBe(33 * 4);
    expect(read(nested(34))).toBe(undefined);
    expect(read(nested(100_000))).toBe(undefined);
  });
});

describe('elements', () => {
  test('follow one another to the end', () => {
    const all = readAllBer(hex('020105 0500 0401ff'));
    expect(all?.map(({ tag, length }) => [tag, length])).toEqual([
      [0x02, 3],
      [0x05, 2],
      [0x04, 3],
    ]);
    expect(readAllBer(Buffer.of())).toEqual([]);
  });

  test.for(['020105 05', '020105 00', '0205', '020105 040201'])('do not: %s', (text) => {
    expect(readAllBer(hex(text))).toBe(undefined);
  });
});
