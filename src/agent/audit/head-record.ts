import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Head } from '../../audit/entry.ts';
import { openPrivate, syncFolder } from '../../disk/private-file.ts';

/** Bytes: one block, written in its own place, so that a full disk can't keep it from being written. */
const SIZE = 4096;

function pathOf(folder: string, file: string): string {
  return join(folder, `audit-head-${createHash('sha256').update(file).digest('hex').slice(0, 24)}.json`);
}

/** The last entry of a log that is known to be on the disk, and in which of its files it stands. */
export interface RecordedHead extends Head {
  readonly number: number;
}

function parse(text: string): RecordedHead | undefined {
  try {
    const { seq, hash, number } = JSON.parse(text) as Record<string, unknown>;
    const isHead =
      Number.isSafeInteger(seq) &&
      (seq as number) > 0 &&
      Number.isSafeInteger(number) &&
      typeof hash === 'string' &&
      /^[0-9a-f]{64}$/.test(hash);
    return isHead ? { seq: seq as number, hash, number: number as number } : undefined;
  } catch {
    return undefined; // the machine stopped in the middle of it
  }
}

async function readFrom(file: FileHandle): Promise<RecordedHead | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(SIZE), 0, SIZE, 0);
  return parse(buffer.toString('utf8', 0, bytesRead));
}

/**
 * What the state directory remembers of a log; undefined if nothing.
 * @param file the log's path, without links
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function readHead(
  folder: string,
  file: string,
  uid: number | undefined,
): Promise<RecordedHead | undefined> {
  const handle = await openPrivate(pathOf(folder, file), 'read', uid);
  try {
    return handle && (await readFrom(handle));
  } finally {
    await handle?.close();
  }
}

/** Where a log ends, remembered in the state directory: what is cut off from its end is missed there. */
export class HeadRecord {
  readonly #handle: FileHandle;
  readonly #file: string;
  readonly found: RecordedHead | undefined;

  private constructor(handle: FileHandle, file: string, found: RecordedHead | undefined) {
    this.#handle = handle;
    this.#file = file;
    this.found = found;
  }

  /** @throws AgentError ERR_STATE_DIRECTORY */
  static async open(folder: string, file: string, uid: number | undefined): Promise<HeadRecord> {
    const handle = await openPrivate(pathOf(folder, file), 'lock', uid);
    if (!handle) throw new TypeError('it was to be made');
    try {
      const found = await readFrom(handle);
      await syncFolder(folder);
      return new HeadRecord(handle, file, found);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** On the disk when it resolves. */
  async write(head: RecordedHead): Promise<void> {
    const bytes = Buffer.alloc(SIZE, ' ');
    bytes.write(`${JSON.stringify({ ...head, file: this.#file })}\n`);
    await this.#handle.write(bytes, 0, SIZE, 0);
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
