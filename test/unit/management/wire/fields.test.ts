import { describe, expect, test } from 'vitest';
import { atoi, cut, fieldsOf, optional, readCount } from '../../../../src/management/wire/fields.ts';

describe('a number', () => {
  test.for([
    ['0', 0],
    ['7', 7],
    ['0012', 12],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ] as const)('%s', ([text, value]) => {
    expect(readCount(text)).toBe(value);
  });

  test.for([
    undefined,
    '',
    '-1',
    '+1',
    '1.5',
    '1e3',
    ' 1',
    '1 ',
    '1\n',
    'x1',
    '0x10',
    '9007199254740992',
    '1'.repeat(17),
  ])('none: %j', (text) => {
    expect(readCount(text)).toBe(undefined);
  });
});

test('a text is cut at the first separator, however long that is', () => {
  expect(cut('a=b=c', '=')).toEqual(['a', 'b=c']);
  expect(cut('a::b::c', '::')).toEqual(['a', 'b::c']);
  expect(cut('=', '=')).toEqual(['', '']);
  expect(cut('abc', '=')).toBe(undefined);
});

test('fields are as many as they should be, the last one with all that is left', () => {
  expect(fieldsOf('a,b,c,d', 3)).toEqual(['a', 'b', 'c,d']);
  expect(fieldsOf('a,,', 3)).toEqual(['a', '', '']);
  expect(fieldsOf('a', 1)).toEqual(['a']);
  expect(fieldsOf('a,b', 1)).toEqual(['a,b']);
  expect(fieldsOf('a,b', 3)).toBe(undefined);
});

test('an empty field is none', () => {
  expect([optional(''), optional(undefined), optional(' '), optional('x')]).toEqual([undefined, undefined, ' ', 'x']);
});

test.for([
  ['5', 5],
  [' \t+5x', 5],
  ['-5', -5],
  ['x', 0],
  ['', 0],
  ['\u00a05', 0],
  ['4294967295', -1],
  ['-4294967291', 5],
  // strtol's end of the range, whose low half it is (seen on 2.6.14)
  ['9223372036854775807', -1],
  ['18446744073709551621', -1],
  ['-18446744073709551612', 0],
] as const)('a word that the daemon takes for a number: %j', ([word, value]) => {
  expect(atoi(word)).toBe(value);
});
