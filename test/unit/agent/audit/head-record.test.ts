import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type * as PrivateFile from '../../../../src/disk/private-file.ts';
import { HeadRecord, readRecords } from '../../../../src/agent/audit/head-record.ts';
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
