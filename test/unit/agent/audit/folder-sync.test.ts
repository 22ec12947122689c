import { expect, test, vi } from 'vitest';
import type * as PrivateFile from '../../../../src/disk/private-file.ts';
import { folders } from './breakable-folders.ts';
import { AWAITED, LogBed, signed } from './log-bed.ts';

vi.mock('../../../../src/disk/private-file.ts', async (original) => {
  const { breakable } = await import('./breakable-folders.ts');
  return breakable(await original<typeof PrivateFile>());
});

test.each(['each', 'interval'] as const)(
  'a further file whose name could not be synced has that done with the next entry (%s)',
  async (sync) => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync };
    const log = await bed.open();
    await log.write(signed('one'), AWAITED).done;
    folders.isBroken = true;
    log.settings = { ...bed.settings, rotateAge: 0 };
    await log.write(signed('two'), AWAITED).done.catch(() => undefined);
    log.settings = bed.settings;
    folders.isBroken = false;
    folders.synced.length = 0;
    await log.write(signed('three'), AWAITED).done;
    expect(folders.synced).toContain(bed.folder);
    await log.write(signed('four'), AWAITED).done;
    expect(folders.synced.filter((folder) => folder === bed.folder)).toHaveLength(1);
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [] });
  },
);

test('a log whose folder can not be synced is not opened, and says why', async () => {
  const bed = new LogBed();
  Object.assign(folders, { isBroken: true, only: bed.folder });
  await expect(bed.open()).rejects.toMatchObject({
    code: 'ERR_AUDIT_FILE',
    message: `can't use the folder of the audit log ${bed.path}: EIO: i/o error, fsync`,
  });
  Object.assign(folders, { isBroken: false, only: undefined });
});
