import { describe, expect, test } from 'vitest';
import {
  checkBody,
  checkLine,
  commandLine,
  parseLine,
  quoteWord,
  readWords,
} from '../../../../src/management/wire/words.ts';

const refused: unknown = expect.objectContaining({ code: 'ERR_MANAGEMENT_ARGUMENT' });

describe('what the daemon takes, and no more', () => {
  test('16 words', () => {
    const words = Array.from({ length: 16 }, (_, index) => index);
    expect(commandLine(words)).toBe(words.join(' '));
    expect(() => commandLine([...words, 17])).toThrow(refused);
    expect(parseLine(`${words.join(' ')} more`)).toEqual(words.map(String));
  });

  test('1,023 bytes in a line', () => {
    expect(checkLine('x'.repeat(1023))).toHaveLength(1023);
    expect(() => checkLine('x'.repeat(1024))).toThrow(refused);
    expect(() => checkLine('ü'.repeat(512))).toThrow(refused);
    expect(checkLine('ü'.repeat(512), 1023, 'latin1')).toHaveLength(512);
  });

  test('768 bytes in a line of a block, and no END', () => {
    const lines = ['x'.repeat(768), 'END of it', 'end', ''];
    expect(checkBody(lines)).toBe(lines);
    expect(() => checkBody(['a', 'x'.repeat(769)])).toThrow(refused);
    expect(() => checkBody(['a', 'END', 'b'])).toThrow(refused);
    expect(() => checkBody(['a\tb'])).toThrow(refused);
    expect(() => checkBody(['ü'.repeat(385)])).toThrow(refused);
    expect(checkBody(['ü'.repeat(768)], 'latin1')).toHaveLength(1);
  });

  test('256 bytes in a word, however many characters', () => {
    expect(parseLine('x'.repeat(256))).toEqual(['x'.repeat(256)]);
    expect(parseLine('ü'.repeat(128))).toEqual(['ü'.repeat(128)]);
    expect(readWords('x'.repeat(257))).toEqual({ fault: 'Parameter is too long (256 chars max)' });
    expect(readWords('😀'.repeat(65))).toEqual({ fault: 'Parameter is too long (256 chars max)' });
    expect(parseLine('ü'.repeat(256), 'latin1')).toEqual(['ü'.repeat(256)]);
  });
});

describe('words', () => {
  test.for([
    ['a b', ['a', 'b']],
    ['a;b c#d', ['a;b', 'c#d']],
    ['a ;b', ['a']],
    ['a #b', ['a']],
    ['"" b', ['', 'b']],
    ["'' b", ['', 'b']],
    ['\ta\vb\fc\rd ', ['a', 'b', 'c', 'd']],
    ['', []],
  ] as const)('%j', ([line, words]) => {
    expect(parseLine(line)).toEqual(words);
  });

  test.for([
    'a b',
    'a\vb',
    '\va',
    '\fa',
    'a;',
    ';a',
    '#a',
    "a'b",
    'a"b',
    'a\\b',
    '',
    'a\tb',
    'a\nb',
    'a\rb',
    'plain',
    'a#b',
  ])('%j comes back from its quotes', (word) => {
    expect(parseLine(quoteWord(word))).toEqual([word]);
  });

  test('only what needs them has quotes', () => {
    expect([quoteWord('a#b'), quoteWord('v'), quoteWord('#a')]).toEqual(['a#b', 'v', '"#a"']);
    expect([quoteWord('\va'), quoteWord('a\v')]).toEqual(['"\va"', '"a\v"']);
    expect([quoteWord('Va'), quoteWord('aV')]).toEqual(['Va', 'aV']);
  });
});
