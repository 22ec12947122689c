import { describe, expect, test } from 'vitest';
import type { Fault } from '../../../../src/config/file/fault.ts';
import { parseTree, valueOf } from '../../../../src/config/file/toml-tree.ts';

/** What a text says, or its fault as `LINE:COLUMN: message`. */
function read(text: string): unknown {
  const faults: Fault[] = [];
  const tree = parseTree(text, 'p.toml', faults);
  const [fault] = faults;
  if (!fault) return tree && valueOf(tree);
  expect(tree).toBeUndefined();
  const { line, column } = fault.place;
  return `${line}:${column}: ${fault.message}`;
}

const DEEP = 'there are more than 32 tables and lists within each other';
const LONG = 'a string is too long, or too much is nested';
const nested = (times: number): string => `${'['.repeat(times)}1${']'.repeat(times)}`;
const tables = (times: number): string => `${'{a='.repeat(times)}1${'}'.repeat(times)}`;

describe('a file that would exhaust the stack is a mistake with a place', () => {
  test.each([
    ['a string', `a = 1\nb = "${'x'.repeat(1_000_000)}"`, `2:1: ${LONG}`],
    ['a literal string', `a = '${'x'.repeat(1_000_000)}'`, `1:1: ${LONG}`],
    ['lines of a string', `a = """${'x\n'.repeat(500_000)}"""`, `1:1: ${LONG}`],
    ['lists', `a = ${nested(5000)}`, `1:37: ${DEEP}`],
    ['open brackets', `a = ${'['.repeat(100_000)}`, expect.stringMatching(/^\d+:\d+: /)],
    ['very many lists', `a = ${nested(100_000)}`, expect.stringMatching(/^1:\d+: /)],
    ['tables', `a = ${tables(200)}`, `1:101: ${DEEP}`],
    ['very many tables', `a = ${tables(2000)}`, expect.stringMatching(/^1:\d+: /)],
    ['a key', `a${'.a'.repeat(10_000)} = 1`, `1:20005: ${DEEP}`],
    ['a section', `[a${'.a'.repeat(10_000)}]`, `1:2: ${DEEP}`],
    ['a section of a list', `[[a${'.a'.repeat(10_000)}]]`, `1:3: ${DEEP}`],
  ])('%s', (_, text, told) => {
    expect(read(text)).toEqual(told);
  });
});

test('what is long and deep but not too much is read', () => {
  expect(read(`a = "${'x'.repeat(60_000)}"`)).toEqual({ a: 'x'.repeat(60_000) });
  expect(JSON.stringify(read(`a = ${nested(31)}`))).toBe(`{"a":${nested(31)}}`);
  expect(read(`a = ${nested(32)}`)).toContain(DEEP);
  expect(JSON.stringify(read(`[${'a.'.repeat(29)}a]\nb = [1]`))).toContain('{"b":[1]}');
});
