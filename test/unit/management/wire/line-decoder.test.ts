import { describe, expect, test } from 'vitest';
import {
  type DecodedLine,
  LINE_CUT,
  LINE_CUT_BEFORE_2_6,
  LineDecoder,
  type LineSink,
} from '../../../../src/management/index.ts';

const line = (text: string): DecodedLine => ({ kind: 'line', text });
const truncated = (text: string): DecodedLine => ({ kind: 'truncated', text });
const prompt: DecodedLine = { kind: 'prompt' };
const long = (length: number): string => '>PK_SIGN:'.padEnd(length, 'A');

const cases: { name: string; bytes: string; lines: DecodedLine[]; rest?: string; cutAt?: number }[] = [
  { name: 'LF', bytes: 'a\nb\n', lines: [line('a'), line('b')] },
  { name: 'CRLF', bytes: 'a\r\nb\r\n', lines: [line('a'), line('b')] },
  {
    name: 'mixed ends and empty lines',
    bytes: '\n\r\na\n\nb\r\n',
    lines: [line(''), line(''), line('a'), line(''), line('b')],
  },
  { name: 'one CR belongs to the end, others to the line', bytes: 'a\rb\r\r\n', lines: [line('a\rb\r')] },
  { name: 'an unfinished line waits', bytes: 'a\nbc', lines: [line('a')], rest: 'bc' },
  { name: 'UTF-8', bytes: 'grüße 😀\n', lines: [line('grüße 😀')] },
  {
    name: 'the prompt without a line end',
    bytes: 'ENTER PASSWORD:SUCCESS: password is correct\r\n>INFO:x\r\n',
    lines: [prompt, line('SUCCESS: password is correct'), line('>INFO:x')],
  },
  { name: 'the prompt alone', bytes: 'ENTER PASSWORD:', lines: [prompt] },
  { name: 'the prompt twice', bytes: 'ENTER PASSWORD:ENTER PASSWORD:', lines: [prompt, prompt] },
  { name: 'the prompt inside a line is text', bytes: '>LOG:ENTER PASSWORD:\n', lines: [line('>LOG:ENTER PASSWORD:')] },
  {
    name: 'lines that begin as the prompt does',
    bytes: 'ERROR: unknown command\nENTER PASSWORT: no\nEND\n',
    lines: [line('ERROR: unknown command'), line('ENTER PASSWORT: no'), line('END')],
  },
  { name: 'the beginning of a prompt waits', bytes: 'ENTER PASSWORD', lines: [], rest: 'ENTER PASSWORD' },
  // manage.c: what is whole has its LF within 10,239 bytes
  { name: 'the longest whole line', bytes: `${long(10_237)}\r\n`, lines: [line(long(10_237))] },
  {
    name: 'one longer: CR had room, LF had not',
    bytes: `${long(10_238)}\rX\r\n`,
    lines: [line(long(10_238)), line('X')],
  },
  { name: 'cut, at once', bytes: long(10_239), lines: [truncated(long(10_239))] },
  {
    name: 'cut, and the reply to the empty block right behind it',
    bytes: `${long(10_239)}SUCCESS: pk-sign command succeeded\r\n`,
    lines: [truncated(long(10_239)), line('SUCCESS: pk-sign command succeeded')],
  },
  { name: 'not cut yet', bytes: long(10_238), lines: [], rest: long(10_238) },
  {
    name: 'cut where 2.5 does',
    bytes: `${long(8_191)}>STATE:x\r\n`,
    cutAt: LINE_CUT_BEFORE_2_6,
    lines: [truncated(long(8_191)), line('>STATE:x')],
  },
  { name: 'never cut', bytes: `${long(20_000)}\n`, cutAt: Infinity, lines: [line(long(20_000))] },
];

function decode(bytes: Buffer, size: number, cutAt: number | undefined): { lines: DecodedLine[]; rest?: string } {
  const decoder = new LineDecoder(cutAt === undefined ? {} : { cutAt });
  const lines: DecodedLine[] = [];
  for (let at = 0; at < bytes.length; at += size) lines.push(...decoder.decode(bytes.subarray(at, at + size)));
  const rest = decoder.end();
  return rest === undefined ? { lines } : { lines, rest };
}

describe.each(cases)('$name', ({ bytes, lines, rest, cutAt }) => {
  const expected = rest === undefined ? { lines } : { lines, rest };
  const buffer = Buffer.from(bytes);
  test('whole', () => {
    expect(decode(buffer, buffer.length, cutAt)).toEqual(expected);
  });
  test('byte by byte', () => {
    expect(decode(buffer, 1, cutAt)).toEqual(expected);
  });
  // the daemon writes up to 1,024 bytes at a time (man_write in manage.c)
  test.each([7, 1024, 4096])('in pieces of %i', (size) => {
    expect(decode(buffer, size, cutAt)).toEqual(expected);
  });
});

test('the cut is at 10,239 bytes, counted from the line and not from a chunk', () => {
  const decoder = new LineDecoder();
  const text = long(LINE_CUT + 1);
  expect(decoder.decode(Buffer.from(`x\n${text.slice(0, 5000)}`))).toEqual([line('x')]);
  expect(decoder.decode(Buffer.from(text.slice(5000, LINE_CUT - 1)))).toEqual([]);
  expect(decoder.decode(Buffer.from('A'))).toEqual([truncated(long(LINE_CUT))]);
  expect(decoder.end()).toBeUndefined();
});

test('a line beyond the cap is an error, after the lines before it', () => {
  for (const size of [1, 3, 1000]) {
    const decoder = new LineDecoder({ cutAt: Infinity, maxLine: 8 });
    const lines: DecodedLine[] = [];
    const bytes = Buffer.from('12345678\n123456789\n');
    expect(() => {
      for (let at = 0; at < bytes.length; at += size) {
        decoder.push(bytes.subarray(at, at + size), (each) => lines.push(each));
      }
    }).toThrow(expect.objectContaining({ code: 'ERR_MANAGEMENT_LIMIT' }));
    expect(lines).toEqual([line('12345678')]);
  }
});

test('each line has the cap for itself', () => {
  const decoder = new LineDecoder({ cutAt: Infinity, maxLine: 8 });
  expect(decoder.decode(Buffer.from('1234567\n1234567\n12345678\n'))).toHaveLength(3);
});

test('bytes stand beside the text of lines in UTF-8, of plain ones and of the prompt', () => {
  const kept: string[] = [];
  new LineDecoder().push(Buffer.from('grün\nx\n\ufffd\nENTER PASSWORD:'), (_, bytes) => kept.push(bytes));
  expect(kept).toEqual(['gr\xc3\xbcn', 'x', '\xef\xbf\xbd', '']);
});

test('every byte is kept beside the text, of whole, cut and unfinished lines', () => {
  const bytes = Buffer.from(
    Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 10 && byte !== 13),
  );
  const decoder = new LineDecoder({ cutAt: 256 });
  const kept: [string, Buffer][] = [];
  const sink: LineSink = ({ kind }, line) => kept.push([kind, Buffer.from(line, 'latin1')]);
  decoder.push(Buffer.concat([bytes, Buffer.from('\n'), bytes, Buffer.from('é'), bytes]), sink);
  decoder.end(sink);
  expect(kept).toEqual([
    ['line', bytes],
    ['truncated', Buffer.concat([bytes, Buffer.from('é')])],
    ['truncated', bytes],
  ]);
});

test('keeps no view of the caller’s bytes', () => {
  const decoder = new LineDecoder();
  const chunk = Buffer.from('abc');
  decoder.decode(chunk);
  chunk.fill(0);
  expect(decoder.decode(Buffer.from('\n'))).toEqual([line('abc')]);
});
