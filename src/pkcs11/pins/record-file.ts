import { constants } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openPrivate, syncFolder } from '../../disk/private-file.ts';
import { stateError } from '../../disk/state-error.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

/** Bytes that a record may have: what is longer was not written by us. */
const MAX_SIZE = 64 * 1024;
/** Records are filled up to whole blocks: one that gets longer in its place needs no room that a full disk lacks. */
const BLOCK = 4096;

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
    await rm(temporary).catch(() => undefined);
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
    else {
      await replace(path, text).catch(async (error: unknown) => {
        if (!(await overwrite(path, text, uid))) throw error;
      });
    }
    // what was put in its place may be lost without
    await syncFolder(dirname(path));
  } catch (error) {
    throw stateError(`can't write the record of PINs ${path}`, error);
  }
}
