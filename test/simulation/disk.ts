// A file system whose cache and disk are two: what was not synced may be lost when the power goes, and a full disk takes half.
import { dirname, join, resolve } from 'node:path';
import { kernel } from './kernel.ts';
import type { Moment } from './plan.ts';

/** The user that the agent is. */
export const USER = 1000;
/** Bytes that are given to a file together. */
const BLOCK = 4096;
const MAX_LINKS = 40;

export function systemError(code: string, call: string, path = ''): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${call} ${path}`.trim()), { code, syscall: call, path });
}

interface Write {
  readonly at: number;
  readonly bytes: Buffer;
}

type Entry = readonly [name: string, inode: Inode | undefined];

export type Kind = 'file' | 'folder' | 'socket' | 'link';

/** A file, a folder, a socket or a link. */
export class Inode {
  static #count = 0;
  readonly ino: number;
  readonly kind: Kind;
  mode: number;
  uid: number = USER;
  gid: number = USER;
  links = 0;
  /** A file's content, as the system shows it. */
  data: Buffer = Buffer.alloc(0);
  /** What is on the disk of it; and what is not yet, in order. */
  durable: Buffer = Buffer.alloc(0);
  pending: Write[] = [];
  /** What a failed sync has lost. */
  lost: Write[] = [];
  /** A folder's content, as the system shows it; on the disk; and what changes that, in order: what is together is so on the disk. */
  readonly entries: Map<string, Inode> = new Map<string, Inode>();
  durableEntries: Map<string, Inode> = new Map<string, Inode>();
  pendingEntries: (readonly Entry[])[] = [];
  target = '';
  /** What listens on a socket. */
  server: unknown;
  /** What has it locked. */
  lock: object | undefined;
  readonly watchers: Set<(name: string) => void> = new Set<(name: string) => void>();

  constructor(kind: Kind, mode: number) {
    Inode.#count += 1;
    this.ino = Inode.#count;
    this.kind = kind;
    this.mode = mode;
  }

  set(...changes: readonly Entry[]): void {
    for (const [name, inode] of changes) {
      const before = this.entries.get(name);
      if (before) before.links -= 1;
      if (inode) {
        this.entries.set(name, inode);
        inode.links += 1;
      } else {
        this.entries.delete(name);
      }
    }
    this.pendingEntries.push(changes);
    for (const [name] of changes) for (const watcher of [...this.watchers]) watcher(name);
  }

  write(at: number, bytes: Buffer): void {
    this.data = placed(this.data, at, bytes);
    this.pending.push({ at, bytes: Buffer.from(bytes) });
  }

  truncate(length: number): void {
    this.data = Buffer.from(this.data.subarray(0, length));
    // nobody here depends on a truncation that is lost
    this.durable = Buffer.from(this.data);
    this.pending = [];
  }

  sync(): void {
    const isAgain = ({ at, bytes }: Write): boolean =>
      this.pending.some((write) => write.at <= at && write.at + write.bytes.length >= at + bytes.length);
    this.lost = this.lost.filter((write) => !isAgain(write));
    for (const { at, bytes } of this.pending) this.durable = placed(this.durable, at, bytes);
    this.pending = [];
    this.durableEntries = new Map(this.entries);
    this.pendingEntries = [];
  }

  /** The disk had no room, or was broken: the system takes for written what is not (as Linux does after a failed fsync). */
  loseWrites(): void {
    this.lost.push(...this.pending);
    this.pending = [];
  }

  /** Whoever could have written it again is gone, and the next knows nothing: it is taken to be there after all. */
  keepLost(): void {
    for (const { at, bytes } of this.lost)
      if (at <= this.durable.length) this.durable = placed(this.durable, at, bytes);
    this.lost = [];
  }
}

function placed(data: Buffer, at: number, bytes: Buffer): Buffer {
  const end = at + bytes.length;
  const next = end > data.length ? Buffer.concat([data, Buffer.alloc(end - data.length)]) : Buffer.from(data);
  bytes.copy(next, at);
  return next;
}

/** As some moment had it since it was synced: what was written later is lost, and now and then something before. */
function afterPowerLoss({ durable, pending }: Inode): Buffer {
  const { random } = kernel();
  const reached = pending.slice(0, random.below(pending.length + 1));
  const hole = reached.length > 1 && random.chance(0.3) ? random.below(reached.length - 1) : -1;
  const kept = reached.filter((_, index) => index !== hole);
  return kept.reduce((data, { at, bytes }) => placed(data, at, bytes), durable);
}

export class Stats {
  readonly #kind: Kind;
  readonly dev = 1;
  readonly ino: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;

  constructor({ kind, ino, mode, uid, gid, links, data }: Inode) {
    this.#kind = kind;
    this.ino = ino;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.nlink = links;
    this.size = data.length;
  }

  isFile(): boolean {
    return this.#kind === 'file';
  }

  isDirectory(): boolean {
    return this.#kind === 'folder';
  }

  isSocket(): boolean {
    return this.#kind === 'socket';
  }

  isSymbolicLink(): boolean {
    return this.#kind === 'link';
  }

  isFIFO(): boolean {
    return false;
  }
}

interface Found {
  readonly folder: Inode;
  readonly name: string;
  readonly inode: Inode | undefined;
}

/** A world's only disk. */
export class Disk {
  readonly root: Inode = new Inode('folder', 0o755);
  /** What is open, by descriptor. */
  readonly files: Map<number, Inode> = new Map<number, Inode>();
  isFull = false;
  /** A write has failed. */
  wasBroken = false;
  /** So many syncs fail, and lose what they were to bring to the disk. */
  failingSyncs = 0;
  /** So many writes fail. */
  failingWrites = 0;
  /** When something was last amiss with it, in milliseconds of the world. */
  troubledAt: number = Number.NEGATIVE_INFINITY;
  /** Is told what was just done. */
  watcher: (moment: Moment) => void = () => undefined;
  /** Milliseconds that each access takes more than usual. */
  hang = 0;
  #descriptors = 10;

  constructor() {
    this.root.uid = 0;
    this.root.gid = 0;
    this.root.links = 1;
  }

  descriptor(inode: Inode): number {
    this.#descriptors += 1;
    this.files.set(this.#descriptors, inode);
    return this.#descriptors;
  }

  /** @throws the system's error if a folder on the way is not there */
  find(path: string, call: string, follow = true, links = 0): Found {
    const own = /^\/proc\/self\/fd\/(\d+)(?:\/(.*))?$/.exec(path);
    if (own) {
      const inode = this.files.get(Number(own[1]));
      if (!inode) throw systemError('ENOENT', call, path);
      if (own[2] === undefined) return { folder: inode, name: '.', inode };
      return { folder: inode, name: own[2], inode: inode.entries.get(own[2]) };
    }
    if (links > MAX_LINKS) throw systemError('ELOOP', call, path);
    const parts = resolve('/', path).split('/').filter(Boolean);
    let folder = this.root;
    if (parts.length === 0) return { folder, name: '.', inode: folder };
    for (const [index, name] of parts.entries()) {
      const isLast = index === parts.length - 1;
      const inode = folder.entries.get(name);
      if (inode?.kind === 'link' && (follow || !isLast)) {
        const rest = join(resolve(`/${parts.slice(0, index).join('/')}`, inode.target), ...parts.slice(index + 1));
        return this.find(rest, call, follow, links + 1);
      }
      if (isLast) return { folder, name, inode };
      if (!inode) throw systemError('ENOENT', call, path);
      if (inode.kind !== 'folder') throw systemError('ENOTDIR', call, path);
      folder = inode;
    }
    throw systemError('ENOENT', call, path);
  }

  get(path: string, call: string, follow = true): Inode {
    const { inode } = this.find(path, call, follow);
    if (!inode) throw systemError('ENOENT', call, path);
    return inode;
  }

  make(path: string, inode: Inode, call: string): Inode {
    const { folder, name, inode: there } = this.find(path, call, false);
    if (there) throw systemError('EEXIST', call, path);
    folder.set([name, inode]);
    return inode;
  }

  remove(path: string, call: string): void {
    const { folder, name, inode } = this.find(path, call, false);
    if (!inode) throw systemError('ENOENT', call, path);
    if (inode.kind === 'folder') throw systemError('EISDIR', call, path);
    folder.set([name, undefined]);
  }

  rename(from: string, to: string): void {
    const source = this.find(from, 'rename', false);
    const target = this.find(to, 'rename', false);
    if (!source.inode) throw systemError('ENOENT', 'rename', from);
    // in one folder both are one step, as journals have it
    if (source.folder === target.folder) target.folder.set([target.name, source.inode], [source.name, undefined]);
    else {
      target.folder.set([target.name, source.inode]);
      source.folder.set([source.name, undefined]);
    }
    this.watcher('rename');
  }

  /** @returns how much of it was written. @throws ENOSPC, EIO */
  write(inode: Inode, at: number, bytes: Buffer): number {
    if (this.failingWrites > 0) {
      this.failingWrites -= 1;
      this.wasBroken = true;
      kernel().count('write failed');
      throw systemError('EIO', 'write');
    }
    const room = Math.ceil(inode.data.length / BLOCK) * BLOCK - at;
    const length = this.isFull ? Math.max(0, Math.min(bytes.length, room)) : bytes.length;
    if (length < bytes.length) this.wasBroken = true;
    if (length === 0 && bytes.length > 0) throw systemError('ENOSPC', 'write');
    inode.write(at, bytes.subarray(0, length));
    this.watcher('write');
    return length;
  }

  sync(inode: Inode): void {
    if (this.failingSyncs > 0) {
      this.failingSyncs -= 1;
      inode.loseWrites();
      kernel().count('sync failed');
      throw systemError('EIO', 'fsync');
    }
    inode.sync();
    this.watcher(inode.kind === 'folder' ? 'folder sync' : 'sync');
  }

  /** What a power cut leaves of a file, if anything. */
  textOnDisk(folder: string, name: string): string | undefined {
    return this.get(folder, 'scandir').durableEntries.get(name)?.durable.toString('latin1');
  }

  /** A process has ended. */
  forgetWriters(): void {
    const visit = (inode: Inode): void => {
      if (inode.kind === 'file') inode.keepLost();
      for (const entry of inode.entries.values()) visit(entry);
    };
    visit(this.root);
  }

  /** The power goes: of what was not synced the last is lost, and so is what was renamed, made or removed last in each folder. */
  losePower(): void {
    const { random } = kernel();
    const visit = (inode: Inode): void => {
      inode.lock = undefined;
      if (inode.kind === 'file') {
        const data = afterPowerLoss(inode);
        inode.data = data;
        inode.durable = data;
        inode.pending = [];
        return;
      }
      if (inode.kind !== 'folder') return;
      const entries = new Map(inode.durableEntries);
      const kept = random.below(inode.pendingEntries.length + 1);
      for (const [name, entry] of inode.pendingEntries.slice(0, kept).flat()) {
        if (entry) entries.set(name, entry);
        else entries.delete(name);
      }
      inode.entries.clear();
      for (const [name, entry] of entries) inode.entries.set(name, entry);
      inode.durableEntries = entries;
      inode.pendingEntries = [];
      for (const entry of entries.values()) visit(entry);
    };
    visit(this.root);
    const count = (folder: Inode): void => {
      for (const entry of folder.entries.values()) {
        entry.links = 0;
        if (entry.kind === 'folder') count(entry);
      }
      for (const entry of folder.entries.values()) entry.links += 1;
    };
    count(this.root);
  }

  /** For the world's own hands: what it puts there is on the disk. */
  put(path: string, content: string | Buffer, mode = 0o600): void {
    this.folder(dirname(path));
    const { folder, name, inode } = this.find(path, 'open');
    const file = inode ?? new Inode('file', mode);
    if (!inode) folder.set([name, file]);
    file.data = Buffer.from(content);
    file.durable = Buffer.from(content);
    file.pending = [];
    folder.sync();
  }

  folder(path: string, mode = 0o755): void {
    if (path === '/') return;
    this.folder(dirname(path));
    const { folder, name, inode } = this.find(path, 'mkdir');
    if (inode) return;
    folder.set([name, new Inode('folder', mode)]);
    folder.sync();
  }

  read(path: string): Buffer | undefined {
    try {
      return this.get(path, 'open').data;
    } catch {
      return undefined;
    }
  }

  list(path: string): string[] {
    try {
      return [...this.get(path, 'scandir').entries.keys()].sort();
    } catch {
      return [];
    }
  }
}

let present: Disk | undefined;

export function disk(): Disk {
  if (!present) throw new Error('no world runs');
  return present;
}

export function mount(next: Disk | undefined): void {
  present = next;
}
