import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execTextFrom, formatExecText, isExecText, parseExecText } from '../../src/exec/index.ts';

const word = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\0'));
const program = word.map((text) => `/${text}`);

describe('the text of an exec: key', () => {
  test('says program and arguments, whatever stands in them, on one line', () => {
    fc.assert(
      fc.property(program, fc.array(word), (path, words) => {
        const text = formatExecText({ program: path, words });
        expect(isExecText(text)).toBe(true);
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}]|(?! )\p{Z}/u);
        expect(parseExecText(text)).toEqual({ program: path, words });
      }),
    );
  });

  test('a relative program counts from a folder, an absolute one from none', () => {
    expect(execTextFrom('exec:./sign a%20b', '/etc/x')).toBe('exec:/etc/x/sign a%20b');
    expect(execTextFrom('exec:/bin/sign  a', '/etc/x')).toBe('exec:/bin/sign  a');
  });

  test.for(['exec:', 'exec: ', 'exec:sign', 'exec:sign /a', 'exec:/bin/100%', 'exec:/bin/x %0', 'exec:/bin/x %00'])(
    '%s is a mistake',
    (text) => {
      expect(() => parseExecText(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    },
  );
});
