import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { errnoOf, stateError } from './state-error.ts';

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

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

/** Throws if a folder could not be synced for want of a descriptor: a file that is made in it then may not count. */
export async function folderOpens(folder: string): Promise<void> {
  await (await open(folder, O_RDONLY | O_DIRECTORY)).close();
}

/** A file's name is on the disk only when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
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
