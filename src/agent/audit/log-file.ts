import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Head } from '../../audit/entry.ts';
import { MAX_LINE, parseLine, type WrittenEntry } from '../../audit/line.ts';
import { errnoOf } from '../../disk/state-error.ts';
import { auditError } from './audit-error.ts';

/** What can be done to an open file: a test may have a disk that fails. */
export type LogHandle = Pick<FileHandle, 'fd' | 'write' | 'datasync' | 'stat' | 'read' | 'close'>;

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants;
const NEWLINE = 0x0a;
/** Digits of a number in the name of a file that is no longer written. */
const DIGITS = 6;

/**
 * Opens a file of a log for appending; makes it if it is not there.
 * O_NOFOLLOW: a link may lead anywhere; O_NONBLOCK: a fifo would hang.
 * @throws AgentError ERR_AUDIT_FILE
 */
export async function openLogFile(path: string, uid: number | undefined): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (error) {
    if (errnoOf(error) === 'ELOOP') throw auditError(`${path} is a symbolic link`, undefined, 'name the file itself');
    throw auditError(`can't open the audit log ${path}`, error);
  }
  try {
    const stats = await file.stat();
    const { mode, nlink, uid: owner } = stats;
    if (!stats.isFile()) throw auditError(`${path} is not a file`);
    if (uid !== undefined && owner !== uid)
      throw auditError(`${path} belongs to another user (uid ${owner})`, undefined, `chown it to user ${uid}`);
    if ((mode & 0o077) !== 0) throw auditError(`others can read or write ${path}`, undefined, `chmod 600 ${path}`);
    if (nlink !== 1) throw auditError(`${path} has another name, too`, undefined, 'remove that: it is a hard link');
    return file;
  } catch (error) {
    await file.close();
    throw auditError(`can't look at the audit log ${path}`, error);
  }
}

/** How a file ends. */
export interface Tail {
  /** The last entry in it. */
  readonly head: Head | undefined;
  /** Where that ends, with the line's end. */
  readonly end: number;
  /** Bytes of the file. */
  readonly length: number;
  /** Entries that were found. */
  readonly entries: number;
  /** What stands behind it, and is no entry: with the line's end that it is to get. */
  readonly torn: { readonly bytes: number; readonly sha256: string } | undefined;
  /** The last line has no end yet, whatever it is. */
  readonly lacksEnd: boolean;
}

async function readAt(file: LogHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, start + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

async function sha256Of(file: LogHandle, start: number, end: number, more: string): Promise<string> {
  const hash = createHash('sha256');
  for (let at = start; at < end; ) {
    const chunk = await readAt(file, at, Math.min(end, at + MAX_LINE));
    if (chunk.length === 0) break;
    hash.update(chunk);
    at += chunk.length;
  }
  return hash.update(more).digest('hex');
}

/** The entries that begin behind `start`, as far as their lines are whole. */
function lastEntryIn(bytes: Buffer, start: number): Pick<Tail, 'head' | 'end' | 'entries'> {
  let head: Head | undefined;
  let entries = 0;
  let end = start;
  for (let from = 0; from < bytes.length; ) {
    const found = bytes.indexOf(NEWLINE, from);
    const to = found < 0 ? bytes.length : found;
    const entry = parseLine(bytes.subarray(from, to));
    from = to + 1;
    if (typeof entry === 'string') continue;
    head = { seq: entry.seq, hash: entry.hash };
    entries += 1;
    end = start + Math.min(from, bytes.length);
  }
  return { head, end, entries };
}

/**
 * Looks for the last entry, from the end on.
 * @param from where to look, at most: what stands before is known
 */
export async function readTail(file: LogHandle, from = 0): Promise<Tail> {
  const { size } = await file.stat();
  for (let length = 2 * MAX_LINE; ; length *= 2) {
    const start = Math.max(from, size - length);
    const bytes = await readAt(file, start, size);
    const { head, end: found, entries } = lastEntryIn(bytes, start);
    if (!head && start > from) continue;
    const end = head ? found : from;
    const lacksEnd = size > 0 && bytes.length > 0 && bytes.at(-1) !== NEWLINE;
    if (end === size) return { head, end, length: size, entries, torn: undefined, lacksEnd };
    const more = lacksEnd ? '\n' : '';
    const torn = { bytes: size - end + more.length, sha256: await sha256Of(file, end, size, more) };
    return { head, end, length: size, entries, torn, lacksEnd };
  }
}

/** A file's first entry; undefined if it begins otherwise. */
export async function readFirst(file: LogHandle): Promise<WrittenEntry | undefined> {
  const bytes = await readAt(file, 0, MAX_LINE);
  const end = bytes.indexOf(NEWLINE);
  const entry = end < 0 ? undefined : parseLine(bytes.subarray(0, end));
  return typeof entry === 'string' ? undefined : entry;
}

/** What a file of the log is called when a further one is begun. */
export function rotatedName(path: string, number: number): string {
  return `${path}.${String(number).padStart(DIGITS, '0')}`;
}

/** The files of a log beside the one that is written, the oldest first. */
export async function rotatedFiles(path: string): Promise<{ readonly path: string; readonly number: number }[]> {
  const start = `${basename(path)}.`;
  const names = await readdir(dirname(path));
  return names
    .filter((name) => name.startsWith(start) && /^\d{6,}$/.test(name.slice(start.length)))
    .map((name) => ({ path: join(dirname(path), name), number: Number(name.slice(start.length)) }))
    .sort((one, other) => one.number - other.number);
}

/** Whether a name is free. */
export async function isFree(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
}
