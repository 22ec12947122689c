import { expect, test, vi } from 'vitest';
import type * as PrivateFile from '../../../../src/disk/private-file.ts';
import { AWAITED, LogBed, signed } from './log-bed.ts';

const disk = vi.hoisted(() => ({ isBroken: false, synced: [] as string[] }));

vi.mock('../../../../src/disk/private-file.ts', async (original) => {
  const real = await original<typeof PrivateFile>();
  return {
    ...real,
    syncFolder: async (folder: string) => {
      if (disk.isBroken) throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
      await real.syncFolder(folder);
      disk.synced.push(folder);
    },
  };
});

test.each(['each', 'interval'] as const)(
  'a further file whose name could not be synced has that done with the next entry (%s)',
  async (sync) => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync };
    const log = await bed.open();
    await log.write(signed('one'), AWAITED).done;
    disk.isBroken = true;
    log.settings = { ...bed.settings, rotateAge: 0 };
    await log.write(signed('two'), AWAITED).done.catch(() => undefined);
    log.settings = bed.settings;
    disk.isBroken = false;
    disk.synced.length = 0;
    await log.write(signed('three'), AWAITED).done;
    expect(disk.synced).toContain(bed.folder);
    await log.write(signed('four'), AWAITED).done;
    expect(disk.synced.filter((folder) => folder === bed.folder)).toHaveLength(1);
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [] });
  },
);
