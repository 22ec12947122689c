// In place of node:fs: what the agent does at once, all of it about the sockets that it listens on.
import { disk, Inode, type Stats, Stats as StatsOf, systemError } from '../disk.ts';
import { kernel } from '../kernel.ts';

export { constants } from 'node:fs';

export const chmodSync = (path: string, mode: number): void => {
  disk().get(path, 'chmod').mode = mode;
};
export const chownSync = (path: string, uid: number, gid: number): void => {
  const inode = disk().get(path, 'chown');
  if (uid >= 0) inode.uid = uid;
  if (gid >= 0) inode.gid = gid;
};
export const existsSync = (path: string): boolean => {
  try {
    return disk().find(path, 'access').inode !== undefined;
  } catch {
    return false;
  }
};
export const openSync = (path: string): number => {
  const fd = disk().descriptor(disk().get(path, 'open'));
  return fd;
};
export const closeSync = (fd: number): void => {
  disk().files.delete(fd);
};
export const fstatSync = (fd: number): Stats => {
  const inode = disk().files.get(fd);
  if (!inode) throw systemError('EBADF', 'fstat');
  return new StatsOf(inode);
};

export function lstatSync(
  path: string,
  { throwIfNoEntry = true }: { throwIfNoEntry?: boolean } = {},
): Stats | undefined {
  try {
    return new StatsOf(disk().get(path, 'lstat', false));
  } catch (error) {
    if (throwIfNoEntry) throw error;
    return undefined;
  }
}

export const mkdtempSync = (prefix: string): string => {
  const path = `${prefix}${kernel().random.bytes(3).toString('hex')}`;
  disk().make(path, new Inode('folder', 0o700), 'mkdtemp');
  return path;
};
export const linkSync = (from: string, to: string): void => {
  disk().make(to, disk().get(from, 'link', false), 'link');
};
export const renameSync = (from: string, to: string): void => {
  disk().rename(from, to);
};
export const unlinkSync = (path: string): void => {
  disk().remove(path, 'unlink');
};
export const rmSync = (path: string): void => {
  const { folder, name } = disk().find(path, 'rm', false);
  folder.set([name, undefined]);
};
export const rmdirSync = (path: string): void => {
  const { folder, name, inode } = disk().find(path, 'rmdir', false);
  if (!inode) throw systemError('ENOENT', 'rmdir', path);
  if (inode.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdir', path);
  folder.set([name, undefined]);
};
export const readFileSync = (path: string): Buffer => Buffer.from(disk().get(path, 'open').data);
export const readdirSync = (path: string): string[] => [...disk().get(path, 'scandir').entries.keys()].sort();
export const realpathSync = (path: string): string => {
  disk().get(path, 'realpath');
  return path;
};
export const readSync = (): number => 0;
export const writeSync = (): number => 0;
export const mkdirSync = (path: string): void => {
  disk().make(path, new Inode('folder', 0o700), 'mkdir');
};

/** inotify: tells of names in a folder that came, went or changed, a little later. */
export function watch(
  path: string,
  _options: unknown,
  onEvent: (type: string, name: string | null) => void,
): { close(): void; on(): void } {
  const inode = disk().get(path, 'watch');
  const owner = kernel().process;
  const watcher = (name: string): void => {
    kernel().after(
      0.1,
      () => {
        if (inode.watchers.has(watcher)) onEvent('rename', name);
      },
      owner,
    );
  };
  inode.watchers.add(watcher);
  owner.hold('watch', watcher);
  const close = (): void => {
    inode.watchers.delete(watcher);
    owner.release('watch', watcher);
  };
  owner.onDeath.push(close);
  return { close, on: () => undefined };
}
