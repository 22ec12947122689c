import { constants } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, stateError } from './state-error.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** Bytes that a record may have: what is longer was not written by us. */
const MAX_SIZE = 64 * 1024;
/** Records are filled up to whole blocks: one that gets longer in its place needs no room that a full disk lacks. */
const BLOCK = 4096;

/**
 * Opens a file in the state directory that is ours alone.
 * O_NOFOLLOW: a link may lead anywhere; O_NONBLOCK: a fifo would hang, and O_RDWR does not wait for its other end either.
 * @returns undefined if it is not there
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function openPrivate(
  path: string,
  access: 'read' | 'lock' | 'update',
  uid: number | undefined,
  more = 0,
): Promise<FileHandle | undefined> {
  const flags = { read: O_RDONLY, update: O_RDWR, lock: O_RDWR | O_CREAT }[access];
  let file: FileHandle;
  try {
    file = await open(path, flags | O_NOFOLLOW | O_NONBLOCK | more, 0o600);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && access !== 'lock') return undefined;
    if (errnoOf(error) === 'ELOOP') throw stateError(`${path} is a symbolic link`, undefined, 'remove it');
    if (errnoOf(error) === 'EISDIR') throw stateError(`${path} is not a file`, undefined, 'remove it');
    throw stateError(`can't open ${path}`, error);
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw stateError(`${path} is not a file`, undefined, 'remove it');
    if (uid !== undefined && stats.uid !== uid && stats.uid !== 0) {
      throw stateError(`${path} belongs to another user (uid ${stats.uid})`, undefined, 'remove it');
    }
    if ((stats.mode & 0o022) !== 0) throw stateError(`others can write ${path}`, undefined, 'remove it');
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * The text of a record; undefined if there is none.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function readRecord(path: string, uid: number | undefined): Promise<string | undefined> {
  const file = await openPrivate(path, 'read', uid);
  if (!file) return undefined;
  try {
    const { size } = await file.stat();
    if (size > MAX_SIZE)
      throw stateError(`${path} is too long for a record of PINs: ${size} bytes`, undefined, DAMAGED);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw stateError(`can't read ${path}`, error);
  } finally {
    await file.close();
  }
}

/** What to do about a record that can't be read: it may hide a refusal. */
export const DAMAGED = 'remove it if you are sure that the PIN is right';

/** A record's name is on the disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // some file systems have nothing to sync there
    if (errnoOf(error) !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}

async function writeAll(file: FileHandle, text: string): Promise<void> {
  const length = Math.ceil(Buffer.byteLength(text) / BLOCK) * BLOCK;
  const bytes = Buffer.alloc(length, ' ');
  bytes.write(text);
  for (let offset = 0; offset < length; ) {
    offset += (await file.write(bytes, offset, length - offset, offset)).bytesWritten;
  }
  await file.sync();
}

/** Whole or not at all. The caller has the lock: a file of that name was left by a process that was killed. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true }); // a planted link goes, what it points to stays
  const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    await writeAll(file, text);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** In its own blocks, where there is no room for others. */
async function overwrite(path: string, text: string, uid: number | undefined): Promise<boolean> {
  const file = await openPrivate(path, 'update', uid).catch(() => undefined);
  if (!file) return false;
  try {
    await writeAll(file, text);
    return true;
  } catch {
    return false;
  } finally {
    await file.close();
  }
}

/**
 * Writes a record, so that it is on the disk when this resolves; removes it if there is nothing to write.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function writeRecord(path: string, text: string | undefined, uid: number | undefined): Promise<void> {
  try {
    if (text === undefined) await rm(path, { force: true });
    else await replace(path, text);
    await syncFolder(dirname(path));
  } catch (error) {
    if (text !== undefined && (await overwrite(path, text, uid))) return;
    throw stateError(`can't write the record of PINs ${path}`, error);
  }
}
