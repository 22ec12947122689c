import { constants } from 'node:fs';
import { lstat, open, readdir, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from '../../disk/state-error.ts';
import { isAbsence } from '../../errors.ts';
import { auditError } from './audit-error.ts';

/** What can be done to an open file: a test may have a disk that fails. */
export type LogHandle = Pick<FileHandle, 'fd' | 'write' | 'datasync' | 'stat' | 'read' | 'close'>;

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;
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

/** What a file of the log is called when a further one is begun. */
export function rotatedName(path: string, number: number): string {
  return `${path}.${String(number).padStart(DIGITS, '0')}`;
}

/** Whether a name is one that {@link rotatedName} gives. */
export function isRotatedName(path: string, name: string): boolean {
  return name.startsWith(`${basename(path)}.`) && /^\d{6,9}$/.test(name.slice(basename(path).length + 1));
}

/** Names of files beside a log's that begin like it: whatever rotated it. */
export async function siblingsOf(path: string): Promise<string[]> {
  const name = basename(path);
  const names = await readdir(dirname(path));
  return names.filter((each) => each !== name && each.startsWith(name)).sort();
}

/** What is no file of ours, and will be none: a link, a socket, a file of another user's. */
const NONE_OF_OURS: ReadonlySet<string | undefined> = new Set(['ELOOP', 'ENXIO', 'EACCES', 'EPERM']);

/** It is not there, or nothing that we may look at. */
export const isNoneOfOurs = (error: unknown): boolean => isAbsence(error) || NONE_OF_OURS.has(errnoOf(error));

/**
 * Opens what may have been a file of a log, to look at it.
 * @returns undefined if it is no file of ours
 * @throws the system's error if that can't be told: the log would be said to miss what stands there
 */
export async function openToRead(path: string): Promise<FileHandle | undefined> {
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
    if (isNoneOfOurs(error)) return undefined;
    throw error;
  });
  if (!file) return undefined;
  try {
    if ((await file.stat()).isFile()) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
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
