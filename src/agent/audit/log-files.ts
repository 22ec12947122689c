import { createPublicKey, type KeyObject } from 'node:crypto';
import { lstat, rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Entry, type Head, NO_HEAD } from '../../audit/entry.ts';
import { formatLine } from '../../audit/line.ts';
import { syncFolder } from '../../disk/private-file.ts';
import { errnoOf } from '../../disk/state-error.ts';
import { errorText } from '../../errors.ts';
import { auditError } from './audit-error.ts';
import type { AuditEvent } from './events.ts';
import type { RecordedHead } from './head-record.ts';
import {
  isFree,
  type LogHandle,
  openLogFile,
  readFirst,
  readTail,
  rotatedFiles,
  rotatedName,
  type Tail,
} from './log-file.ts';
import { type OpenAgain, Unsynced } from './unsynced.ts';

/** Entries after which the chain is signed. */
const CHECKPOINT_ENTRIES = 100;
/** Milliseconds between looks at what others did to the file, and until a rotation that failed is tried again. */
const LOOK_INTERVAL = 1_000;
const ROTATE_AGAIN = 60_000;
/** How a line of ours begins: a file that begins otherwise is somebody else's. */
const LINE_START = '{"v":1,"seq":';

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
  /** Signs checkpoints. */
  readonly key: KeyObject;
  /** What the state directory remembers of this log. */
  readonly recorded: RecordedHead | undefined;
  /** The log that a new one follows. */
  readonly after: { readonly path: string; readonly head: Head } | undefined;
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

/** What a file begins behind. */
interface Before {
  readonly head: Head;
  readonly number: number;
  /** A file's name. */
  readonly after: string | null;
}

/**
 * The files of one log, of which the last is written, and the chain of their entries. Nothing in them is ever changed or cut:
 * what a crash or a full disk left behind stays, and an entry tells of it. Its caller does one thing at a time.
 */
export class LogFiles {
  readonly #options: FilesOptions;
  #handle: LogHandle | undefined;
  /** Of the file that is written, from 1. */
  #number = 1;
  /** When its first entry was made: milliseconds since 1970. */
  #began = 0;
  /** Where the last entry ends, and where the file does. */
  #end = 0;
  #length = 0;
  #head: Head = NO_HEAD;
  /** What must come before all else that is written. */
  #front: Entry[] = [];
  /** The last line has no end. */
  #lacksEnd = false;
  /** How the file ends is not known: a write failed. */
  #isUnknown = false;
  #isUnsynced = false;
  readonly #unsynced = new Unsynced();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #rotateAt = Number.NEGATIVE_INFINITY;
  #uncovered = 0;
  #checkpoint: Head = NO_HEAD;

  private constructor(options: FilesOptions) {
    this.#options = options;
  }

  /** @throws AgentError ERR_AUDIT_FILE */
  static async open(options: FilesOptions): Promise<LogFiles> {
    const files = new LogFiles(options);
    await files.#open(undefined);
    return files;
  }

  /** The last entry that is in a file. */
  get head(): Head {
    return this.#head;
  }

  /** The number of the file that it is in. */
  get number(): number {
    return this.#number;
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

  get publicKey(): string {
    return createPublicKey(this.#options.key).export({ format: 'der', type: 'spki' }).toString('base64');
  }

  /** Writes entries, in order, with a checkpoint where it is time for one. @throws why not all of them are in the file */
  async append(items: readonly Item[]): Promise<void> {
    await this.#prepare();
    await this.#put(items);
  }

  /** Resolves when all that is in the file is on the disk. */
  async sync(): Promise<void> {
    if (!this.#isUnsynced) return;
    const { path, openAgain } = this.#options;
    if (this.#handle) await this.#unsynced.sync(this.#handle, path, openAgain);
    this.#isUnsynced = false;
  }

  /** The last sync failed: nothing that is written counts until one succeeds. */
  get hasSyncFailed(): boolean {
    return this.#unsynced.hasFailed;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    this.#unsynced.clear();
  }

  async #put(items: readonly Item[]): Promise<void> {
    const handle = this.#handle;
    if (!handle) throw auditError(`the audit log ${this.#options.path} is not open`);
    let head = this.#head;
    let checkpoint = this.#checkpoint;
    let text = this.#lacksEnd ? '\n' : '';
    const time = new Date();
    const add = (entry: Entry): void => {
      const line = formatLine(entry, head, time, this.#options.key);
      text += line.text;
      head = line.head;
      if (entry.type === 'checkpoint') checkpoint = head;
    };
    for (const entry of this.#front) add(entry);
    for (const item of items) {
      add(item.make());
      item.seq = head.seq;
    }
    if (head.seq - checkpoint.seq >= CHECKPOINT_ENTRIES) add({ type: 'checkpoint', reason: 'interval' });
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
    this.#checkpoint = checkpoint;
    this.#uncovered = head.seq - checkpoint.seq;
  }

  /** Finds out what a write that failed left in the file. */
  async settle(): Promise<void> {
    if (!this.#isUnknown || !this.#handle) return;
    this.#take(await readTail(this.#handle, this.#end));
    this.#unsynced.cut(this.#length);
    this.#isUnknown = false;
  }

  /** Takes the end of a file for what it is. @param missing what the state directory knows beyond it */
  #take({ head, end, length, entries, torn, lacksEnd }: Tail, missing: Head | null = null): void {
    // of what was to come first, so much came
    const due = this.#front.slice(entries);
    this.#head = head ?? this.#head;
    this.#uncovered = this.#head.seq - this.#checkpoint.seq;
    this.#end = end;
    this.#length = length;
    this.#lacksEnd = lacksEnd;
    const told = due.find((entry) => entry.type === 'recovered')?.missing ?? missing;
    this.#front = due.filter(({ type }) => type !== 'recovered');
    if (!torn && !told) return;
    const { bytes, sha256 } = torn ?? NOTHING;
    const gone = told && { seq: told.seq, hash: told.hash };
    this.#front.unshift({ type: 'recovered', bytes, sha256, missing: gone });
  }

  #tellFront(): void {
    const { path, emit } = this.#options;
    for (const entry of this.#front) {
      if (entry.type !== 'recovered') continue;
      if (entry.bytes > 0) emit({ type: 'audit-recovered', file: path, bytes: entry.bytes });
      if (entry.missing) emit({ type: 'audit-missing', file: path, until: entry.missing.seq });
    }
    this.#front = [];
  }

  /** @param before what a new file is to follow; without it, that is looked for */
  async #open(before: Before | undefined): Promise<void> {
    const { path, uid, open = openLogFile, recorded } = this.#options;
    const handle = await open(path, uid);
    this.#front = [];
    try {
      const { size } = await handle.stat();
      const tail = await readTail(handle);
      const first = await readFirst(handle);
      if (size > 0 && !tail.head && !(await startsAsOurs(handle)))
        throw auditError(`${path} is not an audit log`, undefined, 'name a file of its own');
      if (tail.head) {
        const isCut =
          recorded &&
          (recorded.seq > tail.head.seq || (recorded.seq === tail.head.seq && recorded.hash !== tail.head.hash));
        const file = first && 'file' in first ? first.file : undefined;
        this.#number = file ?? recorded?.number ?? (await this.#lastNumber()) + 1;
        this.#began = first ? Date.parse(first.time) : Date.now();
        this.#checkpoint = tail.head;
        this.#take(tail, before === undefined && isCut ? recorded : null);
      } else {
        this.#begin(before ?? (await this.#findBefore()));
        this.#take(tail);
      }
      this.#handle = handle;
    } catch (error) {
      await handle.close();
      throw auditError(`can't use the audit log ${path}`, error);
    }
    await syncFolder(dirname(path));
  }

  /** A file without entries. */
  #begin(before: Before | undefined): void {
    this.#began = Date.now();
    this.#end = 0;
    this.#length = 0;
    this.#lacksEnd = false;
    this.#head = before?.head ?? NO_HEAD;
    this.#checkpoint = this.#head;
    this.#number = (before?.number ?? 0) + 1;
    const { publicKey } = this;
    this.#front = before ? [{ type: 'continue', file: this.#number, after: before.after, publicKey }] : [];
  }

  async #lastNumber(): Promise<number> {
    return (await rotatedFiles(this.#options.path)).at(-1)?.number ?? 0;
  }

  /** What a log that has no file of this name follows: its last other file, or what the state directory remembers. */
  async #findBefore(): Promise<Before | undefined> {
    const { path, uid, recorded, after } = this.#options;
    const last = (await rotatedFiles(path)).at(-1);
    let found: Before | undefined = recorded && { head: recorded, number: recorded.number, after: null };
    if (last) {
      const file = await openLogFile(last.path, uid);
      const { head } = await readTail(file).finally(() => file.close());
      if (head && head.seq >= (found?.head.seq ?? 0)) {
        found = { head, number: last.number, after: basename(last.path) };
      }
    }
    return found ?? (after && { head: after.head, number: 0, after: after.path });
  }

  /** Opens the file if it is not, notices what others did to it, and begins a further one where it is time. */
  async #prepare(): Promise<void> {
    if (!this.#handle) await this.#open({ head: this.#head, number: this.#number, after: null });
    await this.settle();
    const now = this.#options.now();
    if (now - this.#lookedAt >= LOOK_INTERVAL) {
      this.#lookedAt = now;
      await this.#look();
    }
    const { size = Infinity, age = Infinity } = this.#options.rotation();
    const isDue = this.#length >= size || Date.now() - this.#began >= age;
    if (isDue && now >= this.#rotateAt) await this.#rotate();
  }

  /** Another program may have moved the file away (logrotate), or truncated it (its `copytruncate`). */
  async #look(): Promise<void> {
    const { path, emit } = this.#options;
    const handle = this.#handle;
    if (!handle) return;
    const own = await handle.stat();
    if (own.size < this.#length) {
      emit({ type: 'audit-disturbed', file: path, change: 'truncated' });
      this.#begin({ head: this.#head, number: this.#number, after: null });
      this.#lacksEnd = (await readTail(handle)).lacksEnd;
      this.#end = own.size;
      this.#length = own.size;
      this.#unsynced.clear();
      return;
    }
    const named = await lstat(path).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (named?.ino === own.ino && named.dev === own.dev) return;
    emit({ type: 'audit-disturbed', file: path, change: 'moved' });
    await this.#leave();
    await this.close();
    await this.#open({ head: this.#head, number: this.#number, after: null });
  }

  /** The last entry of a file that others follow. */
  async #leave(): Promise<void> {
    await this.#put([{ make: () => ({ type: 'checkpoint', reason: 'rotate' }) }]);
    await this.sync();
  }

  async #rotate(): Promise<void> {
    const { path, emit, now } = this.#options;
    try {
      let number = this.#number;
      while (!(await isFree(rotatedName(path, number)))) number += 1;
      await this.#leave();
      const name = rotatedName(path, number);
      await rename(path, name);
      await this.close();
      emit({ type: 'audit-rotated', file: path, name });
      await this.#open({ head: this.#head, number, after: basename(name) });
    } catch (error) {
      this.#rotateAt = now() + ROTATE_AGAIN;
      emit({ type: 'audit-not-rotated', file: path, error: errorText(error) });
      if (!this.#handle) throw error;
    }
  }
}

const NOTHING = {
  bytes: 0,
  sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
};

async function startsAsOurs(handle: LogHandle): Promise<boolean> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(LINE_START.length), 0, LINE_START.length, 0);
  return LINE_START.startsWith(buffer.toString('latin1', 0, bytesRead));
}

async function writeAll(handle: LogHandle, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await handle.write(bytes, offset, bytes.length - offset, null)).bytesWritten;
  }
}
