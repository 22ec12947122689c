import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Entry, Head } from '../../../../src/audit/entry.ts';
import { formatLine, MAX_LINE } from '../../../../src/audit/line.ts';
import {
  beginsAsOurs,
  beginsWithHole,
  endingBehind,
  endsAt,
  firstEntry,
  follow,
  lacksEnd,
  lastSealed,
} from '../../../../src/agent/audit/trail.ts';

const MOST_JUNK = 16 * 1024 * 1024;
const OURS = generateKeyPairSync('ed25519').privateKey;
const THEIRS = generateKeyPairSync('ed25519').privateKey;
const GENESIS: Head = { seq: 0, hash: '0'.repeat(64) };
const CHECKPOINT: Entry = { type: 'checkpoint', reason: 'interval' };
const LOST: Entry = { type: 'lost', entries: 1, signatures: 0, code: null, since: '2026-01-02T03:04:05.678Z' };

let folder: string;
const files: FileHandle[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-trail-'));
});
afterEach(async () => {
  await Promise.all(files.splice(0).map((file) => file.close()));
  rmSync(folder, { recursive: true });
});

async function fileOf(...parts: (string | Buffer)[]): Promise<FileHandle> {
  const path = join(folder, String(files.length));
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part as string))));
  const file = await open(path, 'r');
  files.push(file);
  return file;
}

/** Lines of a chain, and the head behind each; `sealed` has a seal, `loose` has none. */
function chain(kinds: readonly ('sealed' | 'loose' | 'checkpoint')[], from: Head = GENESIS, key: KeyObject = OURS) {
  let head = from;
  const lines: string[] = [];
  const heads: Head[] = [];
  for (const kind of kinds) {
    const entry = kind === 'checkpoint' ? CHECKPOINT : LOST;
    const made = formatLine(entry, head, new Date(0), key, kind === 'sealed');
    head = made.head;
    lines.push(made.text);
    heads.push(head);
  }
  return { lines, heads, head, text: lines.join('') };
}

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

describe('what stands behind a place', () => {
  test.each([
    ['nothing', 'abc\n', 4, { length: 4, lacksEnd: false, torn: undefined }],
    ['nothing, and the last line has no end', 'abc', 4, { length: 3, lacksEnd: true, torn: undefined }],
    ['a line', 'abc\ndef\n', 4, { length: 8, lacksEnd: false, torn: { bytes: 4, sha256: sha256('def\n') } }],
    // with the end that it is to get
    ['half a line', 'abc\nde', 4, { length: 6, lacksEnd: true, torn: { bytes: 3, sha256: sha256('de\n') } }],
  ])('%s', async (_, text, end, expected) => {
    expect(await endingBehind(await fileOf(text), end)).toEqual(expected);
  });

  test('gets no end where nothing more is written', async () => {
    const ending = await endingBehind(await fileOf('abc\nde'), 4, true);
    expect(ending).toEqual({ length: 6, lacksEnd: true, torn: { bytes: 2, sha256: sha256('de') } });
  });

  test('is read in parts', async () => {
    const junk = 'x'.repeat(300 * 1024);
    const ending = await endingBehind(await fileOf('abc\n', junk, '\n'), 4);
    expect(ending?.torn).toEqual({ bytes: junk.length + 1, sha256: sha256(`${junk}\n`) });
  });

  test('is no agent’s if it is more than 16 MiB', async () => {
    const junk = Buffer.alloc(MOST_JUNK);
    expect(await endingBehind(await fileOf('a', junk), 1)).toMatchObject({ length: MOST_JUNK + 1 });
    expect(await endingBehind(await fileOf('ab', junk), 1)).toBeUndefined();
  });
});

test.each([
  ['', false],
  ['a', true],
  ['a\n', false],
  ['\na', true],
])('whether the last line of %j lacks its end', async (text, expected) => {
  expect(await lacksEnd(await fileOf(text), text.length)).toBe(expected);
});

describe('where an entry ends', () => {
  test('it is the one that is meant', async () => {
    const { lines, heads, text } = chain(['loose', 'sealed', 'loose']);
    const [first = '', second = ''] = lines;
    const [one = GENESIS, two = GENESIS] = heads;
    const file = await fileOf(text);
    const end = first.length + second.length;
    expect(await endsAt(file, two, end)).toBe(true);
    expect(await endsAt(file, one, first.length)).toBe(true);
    expect(await endsAt(file, one, end)).toBe(false);
    expect(await endsAt(file, { ...two, seq: 3 }, end)).toBe(false);
    expect(await endsAt(file, { ...two, hash: one.hash }, end)).toBe(false);
    for (const place of [end - 1, end + 1, 0, 1, text.length + 1]) expect(await endsAt(file, two, place)).toBe(false);
  });

  test('its newline may be due, and nothing else may stand there', async () => {
    const { text, head } = chain(['sealed']);
    expect(await endsAt(await fileOf(text.slice(0, -1)), head, text.length)).toBe(true);
    expect(await endsAt(await fileOf(text.slice(0, -2)), head, text.length)).toBe(false);
    expect(await endsAt(await fileOf(text.slice(0, -1), 'x'), head, text.length)).toBe(false);
  });

  test('far behind the file’s beginning', async () => {
    const { text, head } = chain(['sealed']);
    const junk = `${'x'.repeat(3 * MAX_LINE)}\n`;
    expect(await endsAt(await fileOf(junk, text), head, junk.length + text.length)).toBe(true);
  });
});

describe('a chain that is followed', () => {
  test('ends with its last signed line', async () => {
    const { lines, heads, text } = chain(['sealed', 'loose', 'checkpoint', 'loose']);
    const [first = '', , , fourth = ''] = lines;
    const end = text.length - fourth.length;
    expect(await follow(await fileOf(text), GENESIS, 0, OURS)).toEqual({ head: heads[2], end });
    // from within
    const file = await fileOf(text);
    expect(await follow(file, heads[0] ?? GENESIS, first.length, OURS)).toEqual({ head: heads[2], end });
    // of which nothing follows
    expect(await follow(file, heads[2] ?? GENESIS, end, OURS)).toBeUndefined();
    expect(await follow(file, heads[3] ?? GENESIS, text.length, OURS)).toBeUndefined();
  });

  test('that others signed is none', async () => {
    const ours = chain(['sealed']);
    const theirs = chain(['sealed', 'checkpoint'], ours.head, THEIRS);
    const file = await fileOf(ours.text, theirs.text);
    expect(await follow(file, GENESIS, 0, OURS)).toEqual({ head: ours.head, end: ours.text.length });
    expect(await follow(file, GENESIS, 0, THEIRS)).toEqual({
      head: theirs.head,
      end: ours.text.length + theirs.text.length,
    });
  });

  test('goes on behind what was cut off', async () => {
    const first = chain(['sealed', 'loose']);
    const [sealed = GENESIS] = first.heads;
    const next = chain(['sealed'], sealed);
    const file = await fileOf(first.text, '{"v":1,"se\n', next.text);
    const end = first.text.length + 11 + next.text.length;
    expect(await follow(file, GENESIS, 0, OURS)).toEqual({ head: next.head, end });
    // or behind all of it
    const behind = chain(['sealed'], first.head);
    const all = await fileOf(first.text, 'x\n', behind.text);
    expect(await follow(all, GENESIS, 0, OURS)).toEqual({
      head: behind.head,
      end: first.text.length + 2 + behind.text.length,
    });
  });

  test('goes on from where it began, though what came first was cut off', async () => {
    const cut = chain(['loose', 'loose']);
    const next = chain(['sealed']);
    expect(await follow(await fileOf(cut.text, next.text), GENESIS, 0, OURS)).toEqual({
      head: next.head,
      end: cut.text.length + next.text.length,
    });
  });

  test('goes on behind an empty line', async () => {
    const { text, head } = chain(['sealed']);
    expect(await follow(await fileOf('\n', text), GENESIS, 0, OURS)).toEqual({ head, end: 1 + text.length });
  });

  test.each([
    ['another number', { seq: 5, hash: GENESIS.hash }],
    ['another hash', { seq: 0, hash: '1'.repeat(64) }],
  ])('is no chain with %s before it', async (_, before) => {
    const { text } = chain(['sealed'], before);
    expect(await follow(await fileOf(text), GENESIS, 0, OURS)).toBeUndefined();
  });

  test('may lack the end of its last line', async () => {
    const { text, head } = chain(['sealed', 'sealed']);
    expect(await follow(await fileOf(text.slice(0, -1)), GENESIS, 0, OURS)).toEqual({ head, end: text.length });
  });

  test('goes on behind a line that is too long, whatever it ends with', async () => {
    const first = chain(['sealed']);
    const next = chain(['sealed'], first.head);
    for (const length of [MAX_LINE + 1, 256 * 1024, 256 * 1024 + 1, 600 * 1024]) {
      const junk = `${'x'.repeat(length)}\n`;
      const end = first.text.length + junk.length + next.text.length;
      expect(await follow(await fileOf(first.text, junk, next.text), GENESIS, 0, OURS)).toEqual({
        head: next.head,
        end,
      });
      const hidden = `${'x'.repeat(length)}${next.text}`;
      expect(await follow(await fileOf(first.text, hidden), GENESIS, 0, OURS)).toEqual({
        head: first.head,
        end: first.text.length,
      });
    }
  });

  test('is read in parts, wherever they end', async () => {
    const { text, head } = chain(Array.from({ length: 3_000 }, () => 'loose' as const));
    const last = chain(['sealed'], head);
    const all = text + last.text;
    expect(all.length).toBeGreaterThan(2 * 256 * 1024);
    expect(await follow(await fileOf(all), GENESIS, 0, OURS)).toEqual({ head: last.head, end: all.length });
  });

  test('is looked for within 16 MiB behind its last signed line', async () => {
    const first = chain(['sealed']);
    const next = chain(['sealed'], first.head);
    const line = `${'x'.repeat(1023)}\n`;
    const junk = (bytes: number): Buffer => Buffer.alloc(bytes, line);
    const near = await follow(await fileOf(first.text, junk(MOST_JUNK), next.text), GENESIS, 0, OURS);
    expect(near?.head).toEqual(next.head);
    const far = await follow(await fileOf(first.text, junk(MOST_JUNK + 1024), next.text), GENESIS, 0, OURS);
    expect(far?.head).toEqual(first.head);
  });

  test('is looked for no further where no line ends, either', async () => {
    const { text, head } = chain(['sealed']);
    const file = await fileOf(text, Buffer.alloc(MOST_JUNK + 4 * 1024 * 1024));
    let most = 0;
    const read = async (bytes: Buffer, offset: number, length: number, position: number) => {
      most = Math.max(most, position + length);
      return await file.read(bytes, offset, length, position);
    };
    const counting = Object.assign(Object.create(file) as FileHandle, { read });
    expect(await follow(counting, GENESIS, 0, OURS)).toEqual({ head, end: text.length });
    expect(most).toBeLessThan(MOST_JUNK + 1024 * 1024);
  });
});

describe('the last signed line', () => {
  test.each(['sealed', 'checkpoint'] as const)('is a %s one, behind which others may stand', async (kind) => {
    const { lines, heads, text } = chain(['sealed', kind, 'loose']);
    const end = text.length - (lines[2] ?? '').length;
    expect(await lastSealed(await fileOf(text, 'junk\n'), OURS)).toEqual({ head: heads[1], end, isOurs: true });
    expect(await lastSealed(await fileOf(text, 'junk'), THEIRS)).toEqual({ head: heads[1], end, isOurs: false });
  });

  test('has an end', async () => {
    const { lines, heads, text } = chain(['sealed', 'sealed']);
    expect(await lastSealed(await fileOf(text.slice(0, -1)), OURS)).toEqual({
      ...{ head: heads[0], end: lines[0]?.length },
      isOurs: true,
    });
  });

  test.each(['', '\n', 'junk\n', 'junk'])('is none in %j', async (text) => {
    expect(await lastSealed(await fileOf(text), OURS)).toBeUndefined();
  });

  test('is none without a signature', async () => {
    expect(await lastSealed(await fileOf(chain(['loose', 'loose']).text), OURS)).toBeUndefined();
  });

  test('is looked for within 16 MiB from the end', async () => {
    const { text, head } = chain(['sealed']);
    for (const junk of [2 * MAX_LINE - 10, 4 * MAX_LINE, MOST_JUNK - text.length]) {
      const file = await fileOf(text, Buffer.alloc(junk, 'x'));
      expect(await lastSealed(file, OURS)).toEqual({ head, end: text.length, isOurs: true });
    }
    expect(await lastSealed(await fileOf(text, Buffer.alloc(MOST_JUNK, 'x')), OURS)).toBeUndefined();
  });
});

describe('a file’s first entry', () => {
  test('stands at its beginning, or behind what is left of others', async () => {
    const { text, heads } = chain(['sealed', 'sealed']);
    for (const before of ['', '{"v":1,"seq":12,"ti\n', '{"v"\n{\n']) {
      const first = await firstEntry(await fileOf(before, text));
      expect(first).toMatchObject({ type: 'lost', ...heads[0] });
    }
  });

  test.each(['', 'x\n', '\n', '{"v":2}\n'])('is none behind %j', async (before) => {
    const { text } = chain(['sealed']);
    const behind = before === '' ? text.slice(0, -1) : before + text;
    expect(await firstEntry(await fileOf(behind))).toBeUndefined();
  });
});

test.each([
  [Buffer.alloc(3), true],
  ['a\0', false],
  ['', false],
])('whether %j begins with a hole', async (bytes, expected) => {
  expect(await beginsWithHole(await fileOf(bytes))).toBe(expected);
});

test.each([
  ['', true],
  ['{"v":1,"seq":1,"time":…}\n', true],
  ['{"v":1,"seq":1,"ti', true],
  ['{"v"\n{"v":1,"seq":1,"time":…}\n', true],
  ['{"v', true],
  ['{"v\n', true],
  // behind a line of ours anything may stand
  ['{"v":1,"seq":1,"time":…}\nx\n', true],
  ['x\n', false],
  ['x', false],
  ['\n', false],
  ['x\n{"v":1,"seq":1,"time":…}\n', false],
  ['{"v"\nx\n{"v":1,"seq":1,"time":…}\n', false],
  ['{"v"\n\n', false],
])('whether %j begins as a log of ours', async (text, expected) => {
  expect(await beginsAsOurs(await fileOf(text))).toBe(expected);
});

test('how a log begins is seen in its first 4 KiB', async () => {
  expect(await beginsAsOurs(await fileOf('{"v"\n'.repeat(1000), 'x\n'))).toBe(true);
  expect(await beginsAsOurs(await fileOf('{"v"\n'.repeat(800), 'x\n'))).toBe(false);
});
