import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { NO_HEAD } from '../../../src/audit/entry.ts';
import { formatLine, isSealed, isSignedBy, parseLine, type WrittenEntry } from '../../../src/audit/line.ts';
import { WrittenLog } from './written-log.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const { lines } = new WrittenLog().start().signed();
const bodyOf = (line: string): string => /^(.*),"hash":/.exec(line)?.[1] ?? '';
/** A line without its end, with a hash that fits it. */
const hashed = (body: string): Buffer =>
  Buffer.from(`${body},"hash":"${createHash('sha256').update(body).digest('hex')}"}`);

describe('a line whose hash fits it', () => {
  const body = bodyOf(lines[2] ?? '');
  const withMember = (name: string, value: string): string =>
    body.replace(new RegExp(`"${name}":(?:"[^"]*"|\\d+)`), `"${name}":${value}`);

  test('is an entry as it was written', () => {
    expect(parseLine(hashed(body))).toMatchObject({ v: 1, seq: 3, type: 'request' });
    expect(parseLine(hashed(withMember('tunnel', '"home"')))).toMatchObject({ seq: 3, tunnel: 'home' });
  });

  test.each([
    ...['"1"', '2'].map((value) => ['v', value] as const),
    ...['0', '-1', '1.5', '"3"', 'null', '9007199254740992'].map((value) => ['seq', value] as const),
    ...[
      '1',
      '["2026-01-01T00:00:02.000Z"]',
      '"2026-01-01"',
      '"x2026-01-01T00:00:02.000Z"',
      '"2026-01-01T00:00:02.000Zx"',
    ].map((value) => ['time', value] as const),
    ...['1', 'null', '"surprise"'].map((value) => ['type', value] as const),
    ...['0', `["${'0'.repeat(64)}"]`, '"ab"', `"${'A'.repeat(64)}"`, `"${'0'.repeat(65)}"`, `"x${'0'.repeat(64)}"`].map(
      (value) => ['prev', value] as const,
    ),
  ])('and is no entry where %s is %s', (name, value) => {
    expect(withMember(name, value)).not.toBe(body);
    expect(parseLine(hashed(withMember(name, value)))).toBe('unknown');
  });

  test('and is no entry with a seal that is no text, or that a checkpoint has', () => {
    expect(parseLine(hashed(`${body},"seal":1`))).toBe('unknown');
    expect(parseLine(hashed(`${body},"seal":"x"`))).toMatchObject({ seq: 3 });
    expect(parseLine(hashed(`${bodyOf(lines[1] ?? '')},"seal":"x"`))).toBe('unknown');
  });

  test('and is no entry where it is no JSON', () => {
    expect(parseLine(hashed('{x'))).toBe('unknown');
  });
});

test('what does not begin or end as a line is no entry', () => {
  const [line = ''] = lines;
  const whole = line.slice(0, -1);
  for (const other of [` ${whole}`, whole.slice(0, -1), `${whole} `, whole.slice(-75), whole.slice(-74), '', '{'])
    expect(parseLine(Buffer.from(other))).toBe('no-entry');
  const hash = /"hash":"([0-9a-f]{64})"/.exec(whole)?.[1] ?? '';
  expect(parseLine(Buffer.from(whole.replace(hash, hash.toUpperCase())))).toBe('no-entry');
  expect(parseLine(Buffer.from(whole.replace(hash, '0'.repeat(64))))).toBe('changed');
});

describe('a signature', () => {
  const formatted = (type: 'checkpoint' | 'lost', isLast: boolean): { line: Buffer; entry: WrittenEntry } => {
    const entry = {
      checkpoint: { type: 'checkpoint', reason: 'end' } as const,
      lost: { type: 'lost', entries: 1, signatures: 0, code: null, since: '2026-01-01T00:00:00.000Z' } as const,
    }[type];
    const { text } = formatLine(entry, NO_HEAD, new Date(0), privateKey, isLast);
    const line = Buffer.from(text.slice(0, -1));
    const parsed = parseLine(line);
    if (typeof parsed === 'string') throw new TypeError(parsed);
    return { line, entry: parsed };
  };

  test('is in each checkpoint, and in the last line of all that is written at once', () => {
    for (const [type, isLast, member] of [
      ['checkpoint', false, 'signature'],
      ['checkpoint', true, 'signature'],
      ['lost', true, 'seal'],
    ] as const) {
      const { line, entry } = formatted(type, isLast);
      expect(Object.keys(entry).slice(-2)).toEqual([member, 'hash']);
      expect(isSealed(entry)).toBe(true);
      expect(isSignedBy(line, [publicKey])).toBe(true);
    }
    const { line, entry } = formatted('lost', false);
    expect(Object.keys(entry).slice(-2)).toEqual(['prev', 'hash']);
    expect(isSealed(entry)).toBe(false);
    expect(isSignedBy(line, [publicKey])).toBe(false);
  });

  test('is good if one of the keys has made it', () => {
    const { line } = formatted('lost', true);
    const other = generateKeyPairSync('ed25519').publicKey;
    expect(isSignedBy(line, [other, publicKey])).toBe(true);
    expect(isSignedBy(line, [other])).toBe(false);
    expect(isSignedBy(line, [])).toBe(false);
  });

  test('stands where it must, and nothing behind it is signed', () => {
    const { line } = formatted('lost', true);
    const [, before = '', seal = ''] = /^(.*),"seal":"(.*)"$/.exec(bodyOf(`${line.toString()}\n`)) ?? [];
    const signed = (body: string): boolean => isSignedBy(hashed(body), [publicKey]);
    expect(signed(`${before},"seal":"${seal}"`)).toBe(true);
    expect(signed(`${before},"more":1,"seal":"${seal}"`)).toBe(false);
    expect(signed(`${before},"seal":"${seal}","more":1`)).toBe(false);
    expect(signed(`${before},"steal":"${seal}"`)).toBe(false);
    expect(signed(`${before},"seal":"A${seal}"`)).toBe(false);
    expect(isSignedBy(Buffer.from(''), [publicKey])).toBe(false);
  });
});
