/**
 * Watches the way to a path: each folder in which a name is looked up, link by link, down to the last one that is there.
 * Those who wait for thousands of sockets in one folder share one watch of it, and each hears of its own names only.
 *
 * @module
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename, join, sep } from 'node:path';
import { SYSTEM_CLOCK } from '../../clock.ts';
import { walkPath } from './path-walk.ts';

/** A path that is watched. Never keeps the process alive. */
export interface PathWatch extends Disposable {
  /** Whether all that can change on the way is watched, as far as the system tells; else look for yourself now and then. */
  readonly isWhole: boolean;
  /**
   * Walks the way anew if something changed on it, and watches what is there now. Nothing is watched before the first time.
   *
   * @returns whether something can have changed that was not told, since it was not watched before
   */
  renew(): Promise<boolean>;
}

/** Watches a path from `renew` on; calls whenever something on the way there changed. */
export type WatchPath = (path: string, onChange: () => void) => PathWatch;

/** Of `node:fs`: what a folder is watched with. */
export type WatchFolder = (
  folder: string,
  options: { readonly persistent: false },
  onEvent: (type: string, name: string | null) => void,
) => FSWatcher;

/** What a walk may end with, and all that could change that is watched. */
const CAN_CHANGE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP']);

/**
 * Events of one folder in a second: more are a flood, which takes the process's time, all of it in the end. A machine that
 * builds and tests has some thousands in /tmp.
 */
const FLOOD = 10_000;
/** Milliseconds for which a folder with a flood is not watched. */
const FLOOD_PAUSE = 10_000;

/** All watches of a process. */
export class PathWatches {
  readonly #folders = new Map<string, WatchedFolder>();
  /** Folders that had a flood, and until when they are not watched. Only ones on our own ways: few. */
  readonly #floods = new Map<string, number>();
  readonly #watchFolder: WatchFolder;
  readonly #now: () => number;

  /** @param now milliseconds */
  constructor(watchFolder: WatchFolder = watch, now: () => number = () => SYSTEM_CLOCK.now()) {
    this.#watchFolder = watchFolder;
    this.#now = now;
  }

  /** Folders that are watched now. */
  get size(): number {
    return this.#folders.size;
  }

  readonly watch: WatchPath = (path, onChange) => new WatchedPath(path, onChange, (folder) => this.#open(folder));

  /** @returns undefined if it can't be watched: no right to read it, no inotify watches left */
  #open(path: string): WatchedFolder | undefined {
    const known = this.#folders.get(path);
    if (known) return known;
    if (this.#now() < (this.#floods.get(path) ?? 0)) return undefined;
    this.#floods.delete(path);
    try {
      const folder = new WatchedFolder(path, this.#watchFolder, this.#now, (isFlood) => {
        this.#folders.delete(path);
        if (isFlood) this.#floods.set(path, this.#now() + FLOOD_PAUSE);
      });
      this.#folders.set(path, folder);
      return folder;
    } catch {
      return undefined;
    }
  }
}

/** One folder, watched for all who look names up in it. */
class WatchedFolder {
  readonly path: string;
  readonly #users = new Map<string, Set<WatchedPath>>();
  readonly #watcher: FSWatcher;
  readonly #now: () => number;
  readonly #onClosed: (isFlood: boolean) => void;
  #isClosed = false;
  /** When the second began in which these events came. */
  #since = 0;
  #events = 0;

  constructor(path: string, watchFolder: WatchFolder, now: () => number, onClosed: (isFlood: boolean) => void) {
    this.path = path;
    this.#now = now;
    this.#onClosed = onClosed;
    this.#watcher = watchFolder(path, { persistent: false }, (_, name) => {
      this.#hear(name);
    });
    this.#watcher.on('error', () => {
      this.#hear(null);
    });
  }

  /** @returns whether it is new */
  add(name: string, user: WatchedPath): boolean {
    const users = this.#users.get(name) ?? new Set();
    this.#users.set(name, users);
    if (users.has(user)) return false;
    users.add(user);
    return true;
  }

  remove(name: string, user: WatchedPath): void {
    const users = this.#users.get(name);
    users?.delete(user);
    if (users?.size === 0) this.#users.delete(name);
    if (this.#users.size === 0) this.close();
  }

  close(isFlood = false): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#users.clear();
    this.#watcher.close();
    this.#onClosed(isFlood);
  }

  /**
   * Whoever may write in a folder can cause events faster than they can be read (two files in /tmp, written in turns), and the
   * process would do nothing else.
   */
  #isFlooded(): boolean {
    const now = this.#now();
    if (now - this.#since >= 1_000) {
      this.#since = now;
      this.#events = 0;
    }
    this.#events += 1;
    return this.#events > FLOOD;
  }

  #hear(name: string | null): void {
    if (this.#isClosed) return;
    const isFlood = this.#isFlooded();
    // about the folder itself; and what kqueue says of whatever happens in it
    if (isFlood || name === null || name === basename(this.path)) {
      const users = new Set([...this.#users.values()].flatMap((each) => [...each]));
      this.close(isFlood);
      for (const user of users) user.changed(this.path);
    } else {
      const changed = join(this.path, name);
      for (const user of [...(this.#users.get(name) ?? [])]) user.changed(changed);
    }
  }
}

/** A name that is looked up on the way, and in which walk that was last so. */
interface Step {
  readonly folder: WatchedFolder;
  readonly name: string;
  walk: number;
}

class WatchedPath implements PathWatch {
  isWhole = false;
  readonly #path: string;
  readonly #onChange: () => void;
  readonly #open: (folder: string) => WatchedFolder | undefined;
  #steps: Step[] = [];
  /** Something changed since the last walk began. */
  #isChanged = true;
  #isClosed = false;
  #walks = 0;
  #renewing: Promise<boolean> | undefined;

  constructor(path: string, onChange: () => void, open: (folder: string) => WatchedFolder | undefined) {
    this.#path = path;
    this.#onChange = onChange;
    this.#open = open;
  }

  renew(): Promise<boolean> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(): Promise<boolean> {
    let isNews = false;
    while (this.#isChanged && !this.#isClosed) {
      this.#isChanged = false;
      isNews = (await this.#walk()) || isNews;
    }
    return isNews && !this.#isClosed;
  }

  /** At `path` there is something else now, or may be: what was below it is not there any more. */
  changed(path: string): void {
    if (this.#isClosed) return;
    this.#isChanged = true;
    // whoever else watches these came through here too, and hears of it too
    const [below, others] = partition(this.#steps, ({ folder }) => isWithin(folder.path, path));
    this.#steps = others;
    for (const { folder } of below) folder.close();
    this.#onChange();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#release(this.#steps);
    this.#steps = [];
  }

  /** @returns whether something is watched that was not watched before */
  async #walk(): Promise<boolean> {
    this.#walks += 1;
    let isNews = false;
    let isWhole = true;
    const lookUp = (path: string, name: string): void => {
      // a folder that is opened by a path which has changed could be taken for the one that is there later
      if (this.#isChanged || this.#isClosed) throw new Error('the walk is over');
      // before the look: what changes later is told
      const folder = this.#open(path);
      if (folder === undefined) isWhole = false;
      else isNews = this.#add(folder, name) || isNews;
    };
    try {
      await walkPath(this.#path, { lookUp });
    } catch (error) {
      if (!CAN_CHANGE.has((error as NodeJS.ErrnoException).code)) isWhole = false;
    }
    if (this.#isClosed || this.#isChanged) return isNews;
    this.isWhole = isWhole;
    const [old, current] = partition(this.#steps, ({ walk }) => walk < this.#walks);
    this.#steps = current;
    this.#release(old);
    return isNews;
  }

  /** @returns whether it is new */
  #add(folder: WatchedFolder, name: string): boolean {
    if (folder.add(name, this)) {
      this.#steps.push({ folder, name, walk: this.#walks });
      return true;
    }
    const step = this.#steps.find((known) => known.folder === folder && known.name === name);
    if (step) step.walk = this.#walks;
    return false;
  }

  #release(steps: readonly Step[]): void {
    for (const { folder, name } of steps) folder.remove(name, this);
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`);
}

function partition<T>(all: readonly T[], isFirst: (each: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))];
}
