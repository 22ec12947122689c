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
