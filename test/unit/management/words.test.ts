import { describe, expect, test } from 'vitest';
import { commandLine, parseLine, quoteParameter } from '../../../src/management/index.ts';

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
  ['a\\', undefined],
  ['a \\', ['a']],
  ['a"b"', ['a"b"']],
])('the daemon reads %j', (line, words) => {
  expect(parseLine(line)).toEqual(words);
});
