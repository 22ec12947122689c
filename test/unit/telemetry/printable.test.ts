import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatVerdict } from '../../../src/check/verdict.ts';
import { keysText } from '../../../src/cli/keys-text.ts';
import { formatPkcs11Uri } from '../../../src/pkcs11/uri.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { printable, printableColumns, printableJson } from '../../../src/telemetry/printable.ts';

/** A terminal's escape, a C1 control sequence introducer, right-to-left override, line separator, zero width, a tag. */
const EVIL = 'a\u001b[31m\u009b2J\u202eb\u2028c\u200b\u{e0041}\nd\u007f';

test('text becomes one line that does nothing to a terminal', () => {
  expect(printable(EVIL)).toBe('a\\u{1b}[31m\\u{9b}2J\\u{202e}b\\u{2028}c\\u{200b}\\u{e0041}\\u{a}d\\u{7f}');
  expect(printable('Straße 山 💳')).toBe('Straße 山 💳');
});

test('JSON keeps its value, and has nothing in it but characters that print', () => {
  const value = { label: EVIL, other: 'Straße 💳' };
  const text = printableJson(JSON.stringify(value, null, 2));
  expect(JSON.parse(text)).toEqual(value);
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
  expect(text).toContain('Straße 💳');
});

test('columns stay columns', () => {
  expect(printableColumns('HEADER\tCLIENT_LIST\t\u001b[31m')).toBe('HEADER\tCLIENT_LIST\t\\u{1b}[31m');
});

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/u;
const anything = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom(...Array.from(EVIL), '\u0000', '\u2066', '\ufeff', '\t', '\r', 'a', '"', '\\', '='),
  }),
);

/** The sinks for text from outside, each with that text wherever it can stand. */
const sinks: [string, (text: string) => string[]][] = [
  [
    'a readable log line',
    (text) =>
      logged(true, { text, [text]: text, nested: { text, list: [text] } }, text)
        .split('\n')
        .slice(0, -1),
  ],
  [
    'a JSON log line',
    (text) =>
      logged(false, { text, [text]: text, nested: { text, list: [text] } }, text)
        .split('\n')
        .slice(0, -1),
  ],
  [
    "check's verdict",
    (text) => formatVerdict({ outcome: 'ok', what: text, detail: text, hint: text, lines: [text, text] }),
  ],
  ['a URI', (text) => [formatPkcs11Uri({ token: text, object: text })]],
  [
    'the text of keys',
    (text) =>
      keysText({
        modules: [{ path: text, name: text, tokens: [], error: { code: 'ERR_TOKEN_FAILED', message: text } }],
      }).split('\n'),
  ],
];

function logged(pretty: boolean, fields: object, message: string): string {
  let text = '';
  createLog({ level: 'info', pretty, write: (line) => (text += line) }).info(fields, message);
  return text;
}

test.for(sinks)('%s has nothing in it that acts on a terminal', ([, sink]) => {
  fc.assert(
    fc.property(anything, (text) => {
      for (const line of sink(text)) expect(line).not.toMatch(UNPRINTABLE);
    }),
  );
});

test('a JSON log line says the same as before', () => {
  fc.assert(
    fc.property(anything, (text) => {
      expect(JSON.parse(logged(false, { value: text }, 'x'))).toMatchObject({ value: text });
    }),
  );
});
