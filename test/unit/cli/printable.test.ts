import { expect, test } from 'vitest';
import { printable, printableJson } from '../../../src/cli/printable.ts';

/** A terminal's escape, a C1 control sequence introducer, right-to-left override, line separator, zero width, a tag. */
const EVIL = 'a\u001b[31m\u009b2J\u202eb\u2028c\u200b\u{e0041}\nd\u007f';

test('text becomes one line that does nothing to a terminal', () => {
  expect(printable(EVIL)).toBe('a\\u{1b}[31m\\u{9b}2J\\u{202e}b\\u{2028}c\\u{200b}\\u{e0041}\\u{a}d\\u{7f}');
  expect(printable('Straße 山 💳')).toBe('Straße 山 💳');
});

test('JSON keeps its value, and has nothing in it but characters that print', () => {
  const value = { label: EVIL, other: 'Straße 💳' };
  const text = printableJson(value);
  expect(JSON.parse(text)).toEqual(value);
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
  expect(text).toContain('Straße 💳');
});
