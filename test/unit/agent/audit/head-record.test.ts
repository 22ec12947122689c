import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type * as PrivateFile from '../../../../src/disk/private-file.ts';
import { HeadRecord, type Recorded, readRecords } from '../../../../src/agent/audit/head-record.ts';
import { folders } from './breakable-folders.ts';

vi.mock('../../../../src/disk/private-file.ts', async (original) => {
  const { breakable } = await import('./breakable-folders.ts');
  return breakable(await original<typeof PrivateFile>());
});

let folder: string;

beforeEach(async () => {
  folders.isBroken = false;
  folder = await mkdtemp(join(tmpdir(), 'pksigd-head-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('a folder that can not be synced is an error with a code', async () => {
  folders.isBroken = true;
  await expect(HeadRecord.open(folder, '/var/log/a', undefined)).rejects.toMatchObject({
    code: 'ERR_STATE_DIRECTORY',
    message: expect.stringMatching(/^can't use .*audit-head-[0-9a-f]{24}\.json: EIO/),
  });
  folders.isBroken = false;
  await (await HeadRecord.open(folder, '/var/log/a', undefined)).close();
});

test('a folder that can not be listed is one, too', async () => {
  await expect(readRecords(join(folder, 'gone'), undefined)).rejects.toMatchObject({ code: 'ERR_STATE_DIRECTORY' });
});

const LAST = { seq: 7, hash: 'ab'.repeat(32), number: 2, end: 4711, log: 'c'.repeat(32), isClosed: true, lost: null };
/** As long as Linux takes; in JSON each of its bytes is six. */
const LONG = `/${'\u0001'.repeat(4094)}`;

test('two paths as long as can be fit in it, and what it said before is no part of what it says then', async () => {
  const long: Recorded = { ...LAST, file: LONG, elsewhere: { file: `${LONG.slice(0, -1)}x`, isClosed: false } };
  const short: Recorded = { ...LAST, file: LONG };
  const record = await HeadRecord.open(folder, LONG, undefined);
  await record.write(long);
  expect(await readRecords(folder, undefined)).toEqual([long]);
  await record.write(short);
  expect(await readRecords(folder, undefined)).toEqual([short]);
  await record.close();
});

test.for([{ file: 7 }, 'there', null])('an elsewhere that is none (%j) counts for nothing', async (elsewhere) => {
  const record = await HeadRecord.open(folder, '/var/log/a', undefined);
  await record.write({ ...LAST, file: '/var/log/a', elsewhere } as unknown as Recorded);
  expect(await readRecords(folder, undefined)).toEqual([{ ...LAST, file: '/var/log/a' }]);
  await record.close();
});

const AT = '/var/log/a';
const WHOLE: Recorded = { ...LAST, file: AT };
const LOSSES = { entries: 3, signatures: 2, since: '2026-01-02T03:04:05.678Z', code: 'ENOSPC' };

/** What is read of one that was written so. */
async function read(written: object): Promise<Recorded[]> {
  const record = await HeadRecord.open(folder, AT, undefined);
  await record.write(written as Recorded);
  await record.sync();
  await record.close();
  return await readRecords(folder, undefined);
}

test.for<Partial<Recorded>>([
  {},
  { seq: 0, number: 0, end: 0 },
  { isClosed: false },
  { lost: LOSSES },
  { lost: { ...LOSSES, entries: 0, signatures: 0, code: null } },
  { elsewhere: { file: '/var/log/b', isClosed: true } },
  { elsewhere: { file: '/var/log/b', isClosed: false } },
])('what is written is read again: %j', async (part) => {
  expect(await read({ ...WHOLE, ...part })).toEqual([{ ...WHOLE, ...part }]);
});

test.for([
  ...['seq', 'number', 'end'].flatMap((name) => [-1, 1.5, '1', null, 2 ** 53].map((value) => ({ [name]: value }))),
  ...[7, null, 'ab', 'AB'.repeat(32), `${'ab'.repeat(32)}c`, `c${'ab'.repeat(32)}`].map((hash) => ({ hash })),
  ...[7, null].flatMap((value) => [{ log: value }, { file: value }]),
])('one with %j tells nothing', async (part) => {
  expect(await read({ ...WHOLE, ...part })).toEqual([]);
});

test.for([
  'there',
  7,
  { ...LOSSES, entries: -1 },
  { ...LOSSES, entries: 1.5 },
  { ...LOSSES, signatures: '1' },
  { ...LOSSES, signatures: undefined },
  { ...LOSSES, since: 7 },
])('losses that are none (%j) count for nothing', async (lost) => {
  expect(await read({ ...WHOLE, lost })).toEqual([WHOLE]);
});

test('losses whose code is none have none', async () => {
  expect(await read({ ...WHOLE, lost: { ...LOSSES, code: 7 } })).toEqual([
    { ...WHOLE, lost: { ...LOSSES, code: null } },
  ]);
});

test('a log is closed if that is said, and not otherwise', async () => {
  expect(await read({ ...WHOLE, isClosed: 'yes' })).toEqual([{ ...WHOLE, isClosed: false }]);
});

test('what a machine that stopped has left of it tells nothing', async () => {
  await read(WHOLE);
  const [name = ''] = readdirSync(folder);
  for (const text of ['', '{', '{"seq":1', `x${JSON.stringify(WHOLE)}`, 'null', '[]', '7']) {
    writeFileSync(join(folder, name), text);
    expect(await readRecords(folder, undefined), text).toEqual([]);
  }
});

test('it has its own place: blocks of 4 KiB, filled up', async () => {
  await read(WHOLE);
  const [name = ''] = readdirSync(folder);
  const text = readFileSync(join(folder, name), 'latin1');
  expect(text).toBe(`${JSON.stringify(WHOLE)}\n`.padEnd(4096));
});

test('what an agent before has left is found, of that path alone', async () => {
  await read(WHOLE);
  const again = await HeadRecord.open(folder, AT, undefined);
  expect(again.found).toEqual(WHOLE);
  await again.write({ ...WHOLE, file: '/var/log/b' });
  await again.close();
  const other = await HeadRecord.open(folder, AT, undefined);
  expect(other.found).toBeUndefined();
  await other.close();
});

test('of all that lies in a folder, records are read', async () => {
  await read(WHOLE);
  const [name = ''] = readdirSync(folder);
  const digits = 'ab'.repeat(12);
  for (const other of [
    `x${name}`,
    `${name}x`,
    'audit-head-a.json',
    `audit-head-${digits}a.json`,
    `audit-head-${digits}.txt`,
  ])
    writeFileSync(join(folder, other), `${JSON.stringify({ ...WHOLE, seq: 99 })}\n`, { mode: 0o600 });
  expect(await readRecords(folder, undefined)).toEqual([WHOLE]);
  writeFileSync(join(folder, `audit-head-${digits}.json`), `${JSON.stringify({ ...WHOLE, file: '/b' })}\n`, {
    mode: 0o600,
  });
  expect(await readRecords(folder, undefined)).toHaveLength(2);
});

test('it leaves no file open', async () => {
  await read(WHOLE);
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let times = 0; times < 20; times += 1) await read(WHOLE);
  expect(open()).toBeLessThan(before + 10);
});
