import type * as FsPromises from 'node:fs/promises';
import { existsSync, renameSync, symlinkSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { FAILING } from '../../../support/failing-calls.ts';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { unlessFailing } = await import('../../../support/failing-calls.ts');
  return { ...fs, open: unlessFailing(fs.open), lstat: unlessFailing(fs.lstat) };
});
afterEach(() => {
  FAILING.clear();
});

/** A log that was closed, and moved away. */
async function movedAway(bed: LogBed): Promise<string> {
  await (await written(bed)).close();
  const moved = `${bed.path}.1`;
  renameSync(bed.path, moved);
  return moved;
}

test.each(['EMFILE', 'ENFILE', 'EIO', 'ENOMEM'])(
  'a file that can not be opened now (%s) is not missing',
  async (code) => {
    const bed = new LogBed();
    FAILING.set(await movedAway(bed), code);
    await expect(bed.open()).rejects.toMatchObject({ code: 'ERR_AUDIT_FILE', message: expect.stringContaining(code) });
    FAILING.clear();
    await (await bed.open()).close();
    expect(alarms(bed)).toEqual([]);
  },
);

test.each(['ENOENT', 'EACCES'])(
  'one that is gone, or another’s (%s), does not keep the log from going on',
  async (code) => {
    const bed = new LogBed();
    symlinkSync('nowhere', `${bed.path}.2`);
    FAILING.set(await movedAway(bed), code);
    await (await bed.open()).close();
    expect(alarms(bed)).not.toEqual([]);
  },
);

test('a log goes on in its file while no descriptor is left for a further one', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  FAILING.set(bed.folder, 'EMFILE');
  log.settings = { ...bed.settings, rotateAge: 0 };
  for (const tunnel of ['one', 'two']) await log.write(signed(tunnel), AWAITED).done;
  expect(existsSync(`${bed.path}.000001`)).toBe(false);
  FAILING.clear();
  await log.close();
  expect((await bed.verify()).faults).toEqual([]);
});

test('nor is one of the path before, where the log is to be written elsewhere', async () => {
  const bed = new LogBed();
  const next = `${bed.folder}/next`;
  const log = await written(bed);
  FAILING.set(bed.path, 'EIO');
  await expect(bed.open(next, log)).rejects.toMatchObject({
    code: 'ERR_AUDIT_FILE',
    message: expect.stringContaining('EIO'),
  });
  FAILING.clear();
  await (await bed.open(next, log)).close();
  await log.close(true);
  expect(bed.entries([next])[0]).toMatchObject({ type: 'continue', reason: 'switched', after: bed.path });
  expect((await bed.verify([bed.path, next])).faults).toEqual([]);
});

test('a log of which can not be told whether it is there is not taken for gone', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  FAILING.set(bed.path, 'EIO');
  bed.clock.pass(1);
  await expect(log.write(signed('office'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  FAILING.clear();
  bed.clock.pass(1);
  await log.write(signed('office'), AWAITED).done;
  await log.close();
  expect(alarms(bed)).toEqual([]);
  expect(await bed.verify()).toMatchObject({ faults: [], isEnded: true });
});
