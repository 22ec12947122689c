import { createHash } from 'node:crypto';
import { readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Head } from '../../audit/entry.ts';
import { openPrivate, syncFolder } from '../../disk/private-file.ts';
import { stateError } from '../../disk/state-error.ts';

/** Bytes: written in its own place, so that a full disk can't keep it from being written. It takes one, as long as its paths are short. */
const BLOCK = 4096;
/** Of two paths as long as Linux takes, each of their bytes written as six. */
const MOST_BLOCKS = 13;
const NAME = /^audit-head-[0-9a-f]{24}\.json$/;

function nameOf(file: string): string {
  return `audit-head-${createHash('sha256').update(file).digest('hex').slice(0, 24)}.json`;
}

/** An entry, and where in the files of its log it ends. */
export interface Mark extends Head {
  /** Of its file. */
  readonly number: number;
  /** Bytes of that file up to there, with the line's end. */
  readonly end: number;
}

/** The file that an entry stands in, where that is not the one that is written: another, or one that had its path before. */
export interface Elsewhere {
  readonly file: string;
  /** Nothing stood behind that entry, and no agent wrote. */
  readonly isClosed: boolean;
}

/** The last entry of a log, for who writes a file of it that may not have one yet. */
export interface Last extends Mark {
  /** Where it stands; in this file if that is not said. */
  readonly elsewhere?: Elsewhere | undefined;
}

/** What could not be written, and no entry tells of yet. */
export interface UntoldLosses {
  readonly entries: number;
  readonly signatures: number;
  /** ISO 8601. */
  readonly since: string;
  readonly code: string | null;
}

/** What the state directory remembers of a log: the last entry that is on the disk; `seq` is 0 if there is none. */
export interface Recorded extends Last {
  /** Which log. */
  readonly log: string;
  /** The path at which it is written. */
  readonly file: string;
  /** Nothing stands behind that entry, or at all if it stands elsewhere, and no agent writes. */
  readonly isClosed: boolean;
  readonly lost: UntoldLosses | null;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function lossesOf(value: unknown): UntoldLosses | null {
  if (typeof value !== 'object' || value === null) return null;
  const { entries, signatures, since, code } = value as Record<string, unknown>;
  if (!isCount(entries) || !isCount(signatures) || typeof since !== 'string') return null;
  return { entries, signatures, since, code: typeof code === 'string' ? code : null };
}

function elsewhereOf(value: unknown): Elsewhere | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { file, isClosed } = value as Record<string, unknown>;
  return typeof file === 'string' ? { file, isClosed: isClosed === true } : undefined;
}

function parse(line: string): Recorded | undefined {
  try {
    const { seq, hash, number, end, elsewhere, log, file, isClosed, lost } = JSON.parse(line) as Record<
      string,
      unknown
    >;
    if (!isCount(seq) || !isCount(number) || !isCount(end)) return undefined;
    if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) return undefined;
    if (typeof log !== 'string' || typeof file !== 'string') return undefined;
    const last = { seq, hash, number, end, elsewhere: elsewhereOf(elsewhere) };
    return { ...last, log, file, isClosed: isClosed === true, lost: lossesOf(lost) };
  } catch {
    return undefined; // the machine stopped in the middle of it
  }
}

async function readFrom(file: FileHandle): Promise<Recorded | undefined> {
  const most = MOST_BLOCKS * BLOCK;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(most), 0, most, 0);
  // what stands behind it is of a longer one
  return parse(buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? '');
}

/**
 * What the state directory remembers of all logs.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function readRecords(folder: string, uid: number | undefined): Promise<Recorded[]> {
  const records: Recorded[] = [];
  try {
    for (const name of await readdir(folder)) {
      if (!NAME.test(name)) continue;
      const handle = await openPrivate(join(folder, name), 'read', uid);
      try {
        const found = handle && (await readFrom(handle));
        if (found) records.push(found);
      } finally {
        await handle?.close();
      }
    }
  } catch (error) {
    throw stateError(`can't read what ${folder} says of audit logs`, error);
  }
  return records;
}

/** Where a log ends, remembered in the state directory: what is taken from it, or put behind, is noticed by that. */
export class HeadRecord {
  readonly #handle: FileHandle;
  readonly found: Recorded | undefined;

  private constructor(handle: FileHandle, found: Recorded | undefined) {
    this.#handle = handle;
    this.found = found;
  }

  /**
   * @param file the log's path, without links
   * @throws AgentError ERR_STATE_DIRECTORY
   */
  static async open(folder: string, file: string, uid: number | undefined): Promise<HeadRecord> {
    const handle = await openPrivate(join(folder, nameOf(file)), 'lock', uid);
    if (!handle) throw new TypeError('it was to be made');
    try {
      const found = await readFrom(handle);
      await syncFolder(folder);
      return new HeadRecord(handle, found?.file === file ? found : undefined);
    } catch (error) {
      await handle.close();
      throw stateError(`can't use ${join(folder, nameOf(file))}`, error);
    }
  }

  /** The system has it when it resolves, so that it outlives this process. */
  async write(recorded: Recorded): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(recorded)}\n`);
    const bytes = Buffer.alloc(Math.ceil(line.length / BLOCK) * BLOCK, ' ');
    line.copy(bytes);
    const { bytesWritten } = await this.#handle.write(bytes, 0, bytes.length, 0);
    if (bytesWritten < bytes.length) throw new Error('there is no room');
  }

  /** What was written is on the disk when it resolves. */
  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
