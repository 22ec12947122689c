import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { platform } from 'node:os';
import { auditError } from './audit-error.ts';
import type { LogHandle } from './log-file.ts';

/**
 * Opens a file once more, so that what stands in it can be written again where it stands: at a handle for appending nothing can.
 * By the handle, since its name may be another file's by now; without O_APPEND, so not where `chattr +a` forbids that.
 */
async function openAgain({ fd }: LogHandle, path: string): Promise<FileHandle> {
  return await open(platform() === 'linux' ? `/proc/self/fd/${fd}` : path, constants.O_RDWR);
}

/** Bytes that are kept for being written again, where that goes on failing: some ten thousand entries. */
const MOST_KEPT = 4 * 1024 * 1024;

/** How a file that is open is opened once more. */
export type OpenAgain = (handle: LogHandle, path: string) => Promise<LogHandle>;

/**
 * What was written to a file and is not on the disk for sure. When a sync fails, the system may hold what it could not write for
 * written: the next sync then succeeds, and nothing of it is on the disk. So it has to be written again before that.
 */
export class Unsynced {
  #start = 0;
  #chunks: Buffer[] = [];
  #length = 0;
  #hasFailed = false;

  /** A sync has failed since all was on the disk. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** So much has to be written again that nothing more is to be written before. */
  get isFull(): boolean {
    return this.#hasFailed && this.#length >= MOST_KEPT;
  }

  /** So much is about to be written behind what is there. */
  add(at: number, bytes: Buffer): void {
    if (this.#length === 0) this.#start = at;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** The file ends earlier than it was to. */
  cut(end: number): void {
    const kept = Buffer.concat(this.#chunks).subarray(0, Math.max(0, end - this.#start));
    this.#chunks = [kept];
    this.#length = kept.length;
  }

  /** All is on the disk, or belongs to a file that is no longer written. */
  clear(): void {
    this.#chunks = [];
    this.#length = 0;
    this.#hasFailed = false;
  }

  /** Resolves when all is on the disk. @throws why it need not be */
  async sync(handle: LogHandle, path: string, again: OpenAgain = openAgain): Promise<void> {
    try {
      if (this.#hasFailed) await this.#writeAgain(handle, path, again);
      await handle.datasync();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
    this.clear();
  }

  async #writeAgain(handle: LogHandle, path: string, again: OpenAgain): Promise<void> {
    const bytes = Buffer.concat(this.#chunks);
    if (bytes.length === 0) return;
    const present = Buffer.alloc(bytes.length);
    for (let length = 0; length < present.length; ) {
      const { bytesRead } = await handle.read(present, length, present.length - length, this.#start + length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    // never over what others have written
    if (!present.equals(bytes)) throw auditError(`what was written to ${path} is not there any more`);
    const other = await again(handle, path);
    try {
      for (let offset = 0; offset < bytes.length; ) {
        const { bytesWritten } = await other.write(bytes, offset, bytes.length - offset, this.#start + offset);
        offset += bytesWritten;
      }
      await other.datasync();
    } finally {
      await other.close();
    }
  }
}
