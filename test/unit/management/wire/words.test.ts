import { describe, expect, test } from 'vitest';
import { commandLine, parseLine, quoteParameter, quoteWord, readWords } from '../../../../src/management/index.ts';

describe('quoting', () => {
  test.each([
    ['foo', 'foo'],
    ['', '""'],
    ['foo"bar', '"foo\\"bar"'],
    ['a\\b', '"a\\\\b"'],
    ["it's", '"it\'s"'],
    ['two words', '"two words"'],
    ['#comment', '"#comment"'],
    [';comment', '";comment"'],
    ['a#b;c', 'a#b;c'],
    ['grüße', 'grüße'],
    ['tcp:1.2.3.4:4000', 'tcp:1.2.3.4:4000'],
  ])('%j', (word, quoted) => {
    expect(quoteParameter(word)).toBe(quoted);
    expect(parseLine(`x ${quoted} y`)).toEqual(['x', word, 'y']);
  });

  test.each(['\n', '\r', '\0', '\t', '\x7f', 'x'.repeat(257), 'ü'.repeat(129)])('refuses %j', (word) => {
    expect(() => quoteParameter(word)).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_ARGUMENT' }));
  });

  test('as long as the daemon takes, and no longer', () => {
    expect(parseLine(quoteParameter('x'.repeat(256)))).toEqual(['x'.repeat(256)]);
    expect(parseLine('x'.repeat(257))).toBeUndefined();
    expect(() => commandLine(Array.from({ length: 5 }, () => 'y'.repeat(250)))).toThrow(/1023/);
    expect(() => commandLine(Array.from({ length: 17 }, () => 'y'))).toThrow(/17 words/);
  });
});

// parse_line in options_parse.c
test.each<[string, string[] | undefined]>([
  ['password "Private Key" "foo\\"bar"', ['password', 'Private Key', 'foo"bar']],
  ["echo 'a \\ b' c", ['echo', 'a \\ b', 'c']],
  ['a\\ b', ['a b']],
  ['a # b', ['a']],
  ['# b', []],
  ['', []],
  ['a "" b', ['a', '', 'b']],
  ['a "b', undefined],
  ["a 'b", undefined],
  ['a\\b', undefined],
  ['a \\# b', ['a']],
  ['a\\', undefined],
  ['a \\', ['a']],
  ['a"b"', ['a"b"']],
])('the daemon reads %j', (line, words) => {
  expect(parseLine(line)).toEqual(words);
});

test('a letter that JavaScript takes for a blank', () => {
  expect(parseLine('password Auth a\u00a0b\u2003c\ufeff')).toEqual(['password', 'Auth', 'a\u00a0b\u2003c\ufeff']);
  expect(quoteParameter('a\u00a0b')).toBe('a\u00a0b');
});

test('a byte is a byte to whoever passes bytes on', () => {
  expect(parseLine('\xe4'.repeat(256), 'latin1')).toEqual(['\xe4'.repeat(256)]);
  expect(parseLine('\xe4'.repeat(256))).toBeUndefined();
  expect(commandLine(['echo', '\xe4'.repeat(256)], 'latin1')).toHaveLength(261);
});

test.each([
  ['a "b', /closing quotation/],
  ['a\\b', /Bad backslash/],
  ["'", /single/],
  ['a\\', /Residual/],
  ['x'.repeat(257), /too long/],
])('says what is wrong with %j', (line, fault) => {
  expect(readWords(line)).toMatchObject({ fault: expect.stringMatching(fault) });
});

test.each([
  ['', '""'],
  ['a b', '"a b"'],
  ['a\tb', '"a\tb"'],
  ['a\u00a0b', 'a\u00a0b'],
  ['C:\\x', '"C:\\\\x"'],
])('a configuration quotes %j', (word, quoted) => {
  expect(quoteWord(word)).toBe(quoted);
});
