// In place of node:fs/promises.
import { constants } from 'node:fs';
import { disk, Inode, type Stats, Stats as StatsOf, systemError } from '../disk.ts';
import { kernel } from '../kernel.ts';

const { O_ACCMODE, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW } = { O_ACCMODE: 3, ...constants };

/** @param path what is the kernel's own never waits for the disk */
const io = <Result>(work: () => Result, path = ''): Promise<Result> =>
  kernel().io(work, path.startsWith('/proc/') ? 0 : disk().hang);

class FileHandle {
  readonly fd: number;
  readonly #inode: Inode;
  readonly #flags: number;
  readonly #owner = kernel().process;
  #at = 0;
  #isClosed = false;

  constructor(inode: Inode, flags: number) {
    this.#inode = inode;
    this.#flags = flags;
    this.fd = disk().descriptor(inode);
    this.#owner.hold('file', this);
    this.#owner.onDeath.push(() => {
      this.#close();
    });
  }

  /** What locks go by. */
  get inode(): Inode {
    return this.#inode;
  }

  #check(call: string): void {
    if (this.#isClosed) throw systemError('EBADF', call);
  }

  stat(): Promise<Stats> {
    return io(() => {
      this.#check('fstat');
      return new StatsOf(this.#inode);
    });
  }

  read(
    buffer: Buffer,
    offset = 0,
    length: number = buffer.length - offset,
    position: number | null = null,
  ): Promise<{ bytesRead: number; buffer: Buffer }> {
    return io(() => {
      this.#check('read');
      const at = position ?? this.#at;
      const { data } = this.#inode;
      const bytesRead = at < data.length ? data.copy(buffer, offset, at, at + length) : 0;
      if (position === null) this.#at += bytesRead;
      return { bytesRead, buffer };
    });
  }

  write(
    bytes: Buffer | string,
    offset: number | null = 0,
    length?: number,
    position: number | null = null,
  ): Promise<{ bytesWritten: number }> {
    // of a text the second argument is the position
    const [all, place] = typeof bytes === 'string' ? [Buffer.from(bytes), offset] : [bytes, position];
    const part = typeof bytes === 'string' ? all : all.subarray(offset ?? 0, (offset ?? 0) + (length ?? all.length));
    // what is written is what was given then
    const copy = Buffer.from(part);
    return io(() => {
      this.#check('write');
      const at = (this.#flags & O_APPEND) !== 0 ? this.#inode.data.length : (place ?? this.#at);
      const bytesWritten = disk().write(this.#inode, at, copy);
      if (place === null) this.#at = at + bytesWritten;
      return { bytesWritten };
    });
  }

  async writeFile(content: string | Uint8Array): Promise<void> {
    const bytes = Buffer.from(content as Uint8Array);
    for (let offset = 0; offset < bytes.length; ) {
      offset += (await this.write(bytes, offset, bytes.length - offset, null)).bytesWritten;
    }
  }

  truncate(length = 0): Promise<void> {
    return io(() => {
      this.#check('ftruncate');
      this.#inode.truncate(length);
    });
  }

  sync(): Promise<void> {
    return io(() => {
      this.#check('fsync');
      disk().sync(this.#inode);
    });
  }

  datasync(): Promise<void> {
    return this.sync();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    unlock(this.#inode, this.fd);
    disk().files.delete(this.fd);
    this.#owner.release('file', this);
  }

  close(): Promise<void> {
    return io(() => {
      this.#close();
    });
  }
}

/** Which descriptor has a file locked. */
const heldBy = new WeakMap<Inode, number>();

/** flock(2): @returns whether it has it now */
export function lock(fd: number): boolean {
  const inode = disk().files.get(fd);
  if (!inode || inode.lock) return false;
  inode.lock = inode;
  heldBy.set(inode, fd);
  return true;
}

function unlock(inode: Inode, fd: number): void {
  if (heldBy.get(inode) !== fd) return;
  heldBy.delete(inode);
  inode.lock = undefined;
}

export type { FileHandle };

function flagsOf(flags: number | string): number {
  if (typeof flags === 'number') return flags;
  const known: Record<string, number> = { r: 0, 'r+': 2, wx: 1 | O_CREAT | O_EXCL, w: 1 | O_CREAT };
  const found = known[flags];
  if (found === undefined) throw new TypeError(`flags ${flags} are not simulated`);
  return found;
}

export function open(path: string, flags: number | string = 'r', mode = 0o666): Promise<FileHandle> {
  return io(() => {
    const bits = flagsOf(flags);
    const found = disk().find(path, 'open', (bits & O_NOFOLLOW) === 0);
    let { inode } = found;
    if (inode && (bits & O_EXCL) !== 0 && (bits & O_CREAT) !== 0) throw systemError('EEXIST', 'open', path);
    if (inode?.kind === 'link') throw systemError('ELOOP', 'open', path);
    if (inode?.kind === 'socket') throw systemError('ENXIO', 'open', path);
    if (inode?.kind === 'folder' && (bits & O_ACCMODE) !== 0) throw systemError('EISDIR', 'open', path);
    if (inode && inode.kind !== 'folder' && (bits & O_DIRECTORY) !== 0) throw systemError('ENOTDIR', 'open', path);
    if (!inode) {
      if ((bits & O_CREAT) === 0) throw systemError('ENOENT', 'open', path);
      if (disk().isFull && kernel().random.chance(0.3)) throw systemError('ENOSPC', 'open', path);
      inode = new Inode('file', mode);
      found.folder.set([found.name, inode]);
    }
    return new FileHandle(inode, bits);
  }, path);
}

export const stat = (path: string): Promise<Stats> => io(() => new StatsOf(disk().get(path, 'stat')));
export const lstat = (path: string): Promise<Stats> => io(() => new StatsOf(disk().get(path, 'lstat', false)));
export const readlink = (path: string): Promise<string> => io(() => disk().get(path, 'readlink', false).target);
export const realpath = (path: string): Promise<string> => io(() => (disk().get(path, 'realpath'), path));
export const access = (path: string): Promise<void> => io(() => void disk().get(path, 'access'));

export const readdir = (path: string): Promise<string[]> =>
  io(() => [...disk().get(path, 'scandir').entries.keys()].sort());

export const mkdir = (path: string, { mode = 0o777 }: { mode?: number } = {}): Promise<void> =>
  io(() => void disk().make(path, new Inode('folder', mode), 'mkdir'));

export const rename = (from: string, to: string): Promise<void> =>
  io(() => {
    disk().rename(from, to);
  });

export const link = (from: string, to: string): Promise<void> =>
  io(() => void disk().make(to, disk().get(from, 'link', false), 'link'));

export const rm = (path: string, { force = false }: { force?: boolean } = {}): Promise<void> =>
  io(() => {
    if (!disk().find(path, 'rm', false).inode && force) return;
    disk().remove(path, 'rm');
  });

/** As open().readFile() of small files. */
export const readFile = (path: string): Promise<Buffer> => io(() => Buffer.from(disk().get(path, 'open').data), path);
