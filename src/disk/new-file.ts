import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './private-file.ts';

/**
 * Writes a file that must not be there yet, and does not come back before the disk has it.
 * @throws the system's error: EEXIST if anything of that name is there, a link too
 */
export async function writeNewFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await syncFolder(dirname(path));
}

/** Puts a file in another one's place, whole or not at all. @throws the system's error */
export async function replaceFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const next = `${path}.${randomUUID()}`;
  await writeNewFile(next, content, mode);
  try {
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}
