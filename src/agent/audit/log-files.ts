import { createPublicKey, type KeyObject } from 'node:crypto';
import { lstat, rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import {
  type ContinueReason,
  type Entry,
  type Head,
  NO_HEAD,
  type RecoveredEntry,
  type StartEntry,
} from '../../audit/entry.ts';
import { formatLine } from '../../audit/line.ts';
import { folderOpens, syncFolder } from '../../disk/private-file.ts';
import { errnoOf } from '../../disk/state-error.ts';
import { errorText } from '../../errors.ts';
import { auditError } from './audit-error.ts';
import type { AuditEvent } from './events.ts';
import type { Last } from './head-record.ts';
import { type LogHandle, openLogFile } from './log-file.ts';
import { type Before, freeName, type Known, knownFrom, type Place, placeLog } from './place.ts';
import { endingBehind, endsAt, follow, lacksEnd } from './trail.ts';
import { type OpenAgain, Unsynced } from './unsynced.ts';

/** Entries after which the chain is signed. */
const CHECKPOINT_ENTRIES = 100;
/** Milliseconds between looks at what others did to the file, and until a rotation that failed is tried again. */
const LOOK_INTERVAL = 1_000;
const ROTATE_AGAIN = 60_000;

/** When a further file is begun. */
export interface Rotation {
  /** Bytes. */
  readonly size: number | undefined;
  /** Milliseconds. */
  readonly age: number | undefined;
}

/** What writing the files of a log takes. */
export interface FilesOptions {
  /** Without links. */
  readonly path: string;
  readonly uid: number | undefined;
  /** Signs. */
  readonly key: KeyObject;
  /** What is known of this log, and of others. */
  readonly before: Before;
  /** What is written first of all. */
  readonly start: Omit<StartEntry, 'log' | 'publicKey' | 'file'>;
  /** A file is done with: the state directory is to know its last entry, on the disk, before another one is begun. */
  readonly onLeft: () => Promise<void>;
  readonly rotation: () => Rotation;
  /** Milliseconds, as a `Clock` has them. */
  readonly now: () => number;
  readonly emit: (event: AuditEvent) => void;
  /** How a file is opened. */
  readonly open?: (path: string, uid: number | undefined) => Promise<LogHandle>;
  readonly openAgain?: OpenAgain;
}

/** An entry to be written, made when its place is known of all before it. */
export interface Item {
  readonly make: () => Entry;
  /** Its place, as soon as it is made. It is there if {@link LogFiles.head} has come so far. */
  seq?: number | undefined;
}

/**
 * The files of one log, of which the last is written, and the chain of their entries. Nothing in them is ever changed or cut:
 * what a crash or a full disk left behind stays, and an entry tells of it. Its caller does one thing at a time.
 */
export class LogFiles {
  readonly #options: FilesOptions;
  readonly #publicKey: string;
  #handle: LogHandle | undefined;
  /** Which log. */
  #log = '';
  /** Of the file that is written, from 1. */
  #number = 1;
  /** When its first entry was made: milliseconds since 1970. */
  #began = 0;
  /** Where the last entry ends, and where the file does, as we left it. */
  #end = 0;
  #length = 0;
  #head: Head = NO_HEAD;
  /** Where the head stands; and the last one that is on the disk. */
  #mark: Last | undefined;
  #synced: Last | undefined;
  /** What must come before all else that is written. */
  #front: readonly Entry[] = [];
  /** The last line has no end. */
  #lacksEnd = false;
  /** How the file ends is not known: a write failed. */
  #isUnknown = false;
  #isUnsynced = false;
  /** The file's name need not be on the disk. */
  #isNameUnsynced = false;
  readonly #unsynced = new Unsynced();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #rotateAt = Number.NEGATIVE_INFINITY;
  #uncovered = 0;
  #checkpoint: Head = NO_HEAD;

  private constructor(options: FilesOptions) {
    this.#options = options;
    this.#publicKey = createPublicKey(options.key).export({ format: 'der', type: 'spki' }).toString('base64');
  }

  /** @throws AgentError ERR_AUDIT_FILE */
  static async open(options: FilesOptions): Promise<LogFiles> {
    const files = new LogFiles(options);
    const { before, start } = options;
    try {
      await files.#open(before);
    } catch (error) {
      // Node ends a process that forgets an open file
      await files.close();
      throw error;
    }
    const about = { log: files.#log, publicKey: files.#publicKey, file: files.#number };
    files.#front = [...files.#front, { ...start, ...about }];
    return files;
  }

  /** Which log this is, in all its files. */
  get log(): string {
    return this.#log;
  }

  /** The last entry that is on the disk, and where it stands; undefined if there is none. */
  get synced(): Last | undefined {
    return this.#synced;
  }

  /** Nothing stands behind the last entry. */
  get isClean(): boolean {
    return !this.#isUnknown && !this.#lacksEnd && this.#end === this.#length;
  }

  /** What is known of this log by now. */
  get known(): Known {
    const { own, others } = this.#before;
    return others[0] ?? own;
  }

  /** The same, before the file is opened again. */
  get #before(): ReturnType<typeof knownFrom> {
    const last = this.#mark ?? { ...NO_HEAD, number: this.#number, end: 0 };
    return knownFrom({ ...last, log: this.#log, file: this.#options.path, isClosed: this.isClean });
  }

  /** This file has no entry yet. */
  get #isBlank(): boolean {
    return this.#mark?.elsewhere !== undefined;
  }

  /** The last entry that is in a file. */
  get head(): Head {
    return this.#head;
  }

  /** Entries that no checkpoint covers. */
  get uncovered(): number {
    return this.#uncovered;
  }

  /** The last checkpoint that is in a file. */
  get checkpoint(): Head {
    return this.#checkpoint;
  }

  /** Something is in the file that need not be on the disk. */
  get isUnsynced(): boolean {
    return this.#isUnsynced;
  }

  /** Writes entries, one at least, in order, with a checkpoint where it is time for one. @throws why not all of them are in the file */
  async append(items: readonly Item[]): Promise<void> {
    await this.#prepare();
    // a disk that goes on failing: what has to be written again is kept, and is to end somewhere
    if (this.#unsynced.isFull) await this.sync();
    await this.#put(items);
  }

  /** Resolves when all that is in the file is on the disk. */
  async sync(): Promise<void> {
    if (!this.#isUnsynced) return;
    const { path, openAgain } = this.#options;
    const mark = this.#mark;
    if (this.#handle) await this.#unsynced.sync(this.#handle, path, openAgain);
    await this.#syncName();
    this.#synced = mark;
    this.#isUnsynced = false;
  }

  /** The last sync failed: nothing that is written counts until one succeeds. */
  get hasSyncFailed(): boolean {
    return this.#unsynced.hasFailed || this.#isNameUnsynced;
  }

  async #syncName(): Promise<void> {
    if (!this.#isNameUnsynced) return;
    await syncFolder(dirname(this.#options.path));
    this.#isNameUnsynced = false;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    this.#unsynced.clear();
  }

  /** What is written counts as far as a signed line follows: the last one is. */
  async #put(items: readonly Item[]): Promise<void> {
    const handle = this.#handle;
    if (!handle) throw auditError(`the audit log ${this.#options.path} is not open`);
    let head = this.#head;
    let checkpoint = this.#checkpoint;
    let text = this.#lacksEnd ? '\n' : '';
    const time = new Date();
    const add = (entry: Entry, isLast: boolean): void => {
      const line = formatLine(entry, head, time, this.#options.key, isLast);
      text += line.text;
      head = line.head;
      if (entry.type === 'checkpoint') checkpoint = head;
    };
    const isCheckpointDue = head.seq + this.#front.length + items.length - checkpoint.seq >= CHECKPOINT_ENTRIES;
    for (const entry of this.#front) add(entry, false);
    for (const [index, item] of items.entries()) {
      const entry = item.make();
      add(entry, index === items.length - 1 && !isCheckpointDue);
      item.seq = head.seq;
    }
    // behind one that is a checkpoint itself, the agent's end even, none is needed
    if (isCheckpointDue && checkpoint !== head) add({ type: 'checkpoint', reason: 'interval' }, true);
    this.#isUnknown = true;
    this.#isUnsynced = true;
    const bytes = Buffer.from(text);
    this.#unsynced.add(this.#length, bytes);
    await writeAll(handle, bytes);
    this.#isUnknown = false;
    this.#lacksEnd = false;
    this.#tellFront();
    this.#length += bytes.length;
    this.#end = this.#length;
    this.#head = head;
    this.#mark = { ...head, number: this.#number, end: this.#end };
    this.#checkpoint = checkpoint;
    this.#uncovered = head.seq - checkpoint.seq;
  }

  /** Finds out what a write that failed left in the file. */
  async settle(): Promise<void> {
    const handle = this.#handle;
    if (!this.#isUnknown || !handle) return;
    const trail = await follow(handle, this.#head, this.#end, this.#options.key);
    if (trail) {
      const came = trail.head.seq - this.#head.seq;
      const due = this.#front.slice(came);
      this.#front = this.#front.slice(0, came);
      this.#tellFront();
      this.#front = due;
      this.#head = trail.head;
      this.#end = trail.end;
      this.#mark = { ...trail.head, number: this.#number, end: trail.end };
      this.#uncovered = this.#head.seq - this.#checkpoint.seq;
    }
    if (!(await this.#takeEnding('cut-off'))) throw auditError(`another program writes ${this.#options.path}`);
    this.#unsynced.cut(this.#length);
    this.#isUnknown = false;
  }

  /** What stands behind the last entry is told of before all else. @returns false if that is more than can be */
  async #takeEnding(cause: RecoveredEntry['cause']): Promise<boolean> {
    const ending = this.#handle && (await endingBehind(this.#handle, this.#end));
    if (!ending) return false;
    const [first] = this.#front;
    const isToldAlready = first?.type === 'recovered';
    const isForeign = cause === 'foreign' || (isToldAlready && first.cause === 'foreign');
    const rest = isToldAlready ? this.#front.slice(1) : this.#front;
    this.#length = ending.length;
    this.#lacksEnd = ending.lacksEnd;
    this.#front = ending.torn
      ? [{ type: 'recovered', ...ending.torn, cause: isForeign ? 'foreign' : 'cut-off' }, ...rest]
      : rest;
    return true;
  }

  #tellFront(): void {
    const { path, emit } = this.#options;
    for (const entry of this.#front) {
      if (entry.type === 'recovered') emit({ type: 'audit-recovered', file: path, bytes: entry.bytes });
    }
    this.#front = [];
  }

  async #open(before: Before): Promise<void> {
    const { path, uid, key, emit, open = openLogFile } = this.#options;
    const publicKey = this.#publicKey;
    // what waits for its turn still does
    const waiting = this.#front.filter(({ type }) => type !== 'recovered' && type !== 'continue');
    const place = await placeLog({ path, key, publicKey, emit, open: async () => await open(path, uid) }, before);
    this.#take(place, waiting);
    if (place.synced && place.synced.seq > (this.#synced?.seq ?? 0)) this.#synced = place.synced;
    await this.#syncName().catch((error: unknown) => {
      throw auditError(`can't use the folder of the audit log ${path}`, error);
    });
  }

  #take(
    { handle, log, number, head, mark, end, length, lacksEnd, began, front }: Place,
    waiting: readonly Entry[],
  ): void {
    this.#handle = handle;
    this.#log = log;
    this.#number = number;
    this.#began = began;
    this.#end = end;
    this.#length = length;
    this.#lacksEnd = lacksEnd;
    this.#head = head;
    this.#mark = mark;
    this.#front = [...front, ...waiting];
    this.#checkpoint = head;
    this.#uncovered = 0;
    // an agent that was killed may not have synced it
    this.#isUnsynced = true;
    this.#isNameUnsynced = true;
  }

  /** Goes on in a file of the same name. */
  async #further(reason: ContinueReason, after: string | null): Promise<void> {
    await this.close();
    await this.#goOnElsewhere();
    // a file that has no entry left nothing: the log goes on from the one before it
    await this.#open(this.#isBlank ? this.#before : { ...this.#before, left: { reason, after } });
  }

  /** What was written stays as it is, wherever that is: the state directory is to know of the last entry that another file follows. */
  async #goOnElsewhere(): Promise<void> {
    if (this.#synced === this.#mark || this.#isBlank) return;
    this.#synced = this.#mark;
    await this.#options.onLeft();
  }

  /** Opens the file if it is not, notices what others did to it, and begins a further one where it is time. */
  async #prepare(): Promise<void> {
    if (!this.#handle) await this.#open(this.#before);
    await this.settle();
    const now = this.#options.now();
    if (now - this.#lookedAt >= LOOK_INTERVAL) {
      this.#lookedAt = now;
      await this.#look();
    }
    const { size = Infinity, age = Infinity } = this.#options.rotation();
    // a clock that ran ahead when it was begun
    this.#began = Math.min(this.#began, Date.now());
    const isDue = this.#length >= size || Date.now() - this.#began >= age;
    if (isDue && now >= this.#rotateAt) await this.#rotate();
  }

  /** Another program may have moved the file away (logrotate), truncated it (its `copytruncate`), or worse. */
  async #look(): Promise<void> {
    const { path } = this.#options;
    const handle = this.#handle;
    if (!handle) return;
    const own = await handle.stat();
    const named = await lstat(path).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (named?.ino !== own.ino || named.dev !== own.dev) await this.#leaveMoved(own.nlink > 0);
    else if (own.size < this.#length) await this.#beginTruncated(handle, own.size);
    else if (this.#end > 0 && !(await endsAt(handle, this.#head, this.#end))) await this.#leaveChanged();
    else if (own.size > this.#length) await this.#takeAppended();
  }

  async #leaveMoved(isThere: boolean): Promise<void> {
    const { path, emit } = this.#options;
    emit({ type: 'audit-disturbed', file: path, change: 'moved' });
    if (isThere) await this.#leave();
    await this.#further(isThere ? 'moved' : 'deleted', null);
  }

  /** In place. What was written since stands there, and counts. */
  async #beginTruncated(handle: LogHandle, size: number): Promise<void> {
    const { path, emit } = this.#options;
    emit({ type: 'audit-disturbed', file: path, change: 'truncated' });
    this.#unsynced.clear();
    if (this.#isBlank) {
      // no entry is gone: what is left of the first ones is told of, and they are still due
      await this.#takeEnding('cut-off');
      return;
    }
    await this.#goOnElsewhere();
    this.#number += 1;
    this.#began = Date.now();
    this.#end = size;
    this.#length = size;
    this.#lacksEnd = await lacksEnd(handle, size);
    const about = { log: this.#log, publicKey: this.#publicKey, file: this.#number };
    const waiting = this.#front.filter(({ type }) => type !== 'recovered' && type !== 'continue');
    this.#front = [{ type: 'continue', ...about, reason: 'truncated', after: null, aside: null }, ...waiting];
  }

  /** The last entry is no longer where it was written. */
  async #leaveChanged(): Promise<void> {
    const { path, emit } = this.#options;
    emit({ type: 'audit-disturbed', file: path, change: 'changed' });
    await this.#further('replaced', null);
  }

  /** Nobody else writes it in good faith. */
  async #takeAppended(): Promise<void> {
    const { path, emit } = this.#options;
    emit({ type: 'audit-disturbed', file: path, change: 'appended to' });
    if (!(await this.#takeEnding('foreign'))) await this.#leaveChanged();
  }

  /** The last entry of a file that others follow. */
  async #leave(): Promise<void> {
    await this.#put([{ make: () => ({ type: 'checkpoint', reason: 'rotate' }) }]);
    await this.sync();
    await this.#options.onLeft();
  }

  async #rotate(): Promise<void> {
    const { path, emit, now } = this.#options;
    try {
      await folderOpens(dirname(path));
      const name = await freeName(path, this.#number);
      await this.#leave();
      await rename(path, name);
      emit({ type: 'audit-rotated', file: path, name });
      await this.#further('rotated', basename(name));
    } catch (error) {
      this.#rotateAt = now() + ROTATE_AGAIN;
      emit({ type: 'audit-not-rotated', file: path, error: errorText(error) });
      if (!this.#handle) throw error;
    }
  }
}

async function writeAll(handle: LogHandle, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await handle.write(bytes, offset, bytes.length - offset, null)).bytesWritten;
  }
}
