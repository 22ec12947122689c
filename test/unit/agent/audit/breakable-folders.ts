import type * as PrivateFile from '../../../../src/disk/private-file.ts';

/** Whether folders can't be synced, all or one of them, and those that were. */
export const folders = { isBroken: false, only: undefined as string | undefined, synced: [] as string[] };

/** For vi.mock of `src/disk/private-file.ts`. */
export function breakable(real: typeof PrivateFile): typeof PrivateFile {
  return {
    ...real,
    syncFolder: async (folder: string) => {
      if (folders.isBroken && folder === (folders.only ?? folder))
        throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
      await real.syncFolder(folder);
      folders.synced.push(folder);
    },
  };
}
