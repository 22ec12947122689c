// The files of records, on disks that are full or broken: what is not on the disk must not be taken to be there.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type * as FsPromises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ownUser } from '../../../../src/own-user.ts';
import { DAMAGED, readRecord, writeRecord } from '../../../../src/pkcs11/pins/record-file.ts';

const BLOCK = 4096;

/** What an open file does, and what was done with it. */
const disk = {
  /** Of each write at most so many bytes are taken. */
  most: Infinity,
  isFull: false,
  canRead: true,
  open: 0,
  synced: 0,
};
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const open = async (...args: Parameters<typeof fs.open>): Promise<FsPromises.FileHandle> => {
    const file = await fs.open(...args);
    disk.open++;
    const [write, read] = [file.write.bind(file), file.read.bind(file)] as [
      (bytes: Buffer, offset: number, length: number, position: number) => Promise<unknown>,
      (...all: unknown[]) => Promise<unknown>,
    ];
    const [sync, close] = [file.sync.bind(file), file.close.bind(file)];
    return Object.assign(file, {
      write: async (bytes: Buffer, offset: number, length: number, position: number) => {
        if (disk.isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
        expect(offset + length).toBe(bytes.length);
        return await write(bytes, offset, Math.min(length, disk.most), position);
      },
      read: async (...all: unknown[]) => {
        if (!disk.canRead) throw new Error('EIO: i/o error, read');
        return await read(...all);
      },
      sync: async () => {
        disk.synced++;
        await sync();
      },
      close: async () => {
        disk.open--;
        await close();
      },
    });
  };
  return { ...fs, open };
});

const { uid } = ownUser();
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-record-'));
  path = join(folder, 'record');
  Object.assign(disk, { most: Infinity, isFull: false, canRead: true, synced: 0 });
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  // whatever happened
  expect(disk.open).toBe(0);
});

/** No new file can be made, as on a full disk: only what is in the record’s place can be written. */
const blockNewFiles = (): void => {
  mkdirSync(`${path}.new`);
};
const write = (text: string | undefined): Promise<void> => writeRecord(path, text, uid);
const isStateError = { code: 'ERR_STATE_DIRECTORY' };

describe('writing', () => {
  test('a record fills whole blocks, is on the disk with its folder, and of its owner alone', async () => {
    await write('text');
    expect(readFileSync(path, 'utf8')).toBe('text'.padEnd(BLOCK));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(disk.synced).toBe(2);
    await write('x'.repeat(BLOCK + 1));
    expect(readFileSync(path, 'utf8')).toBe('x'.repeat(BLOCK + 1).padEnd(2 * BLOCK));
  });

  test('what the file takes in parts is written whole', async () => {
    disk.most = 1500;
    const text = Array.from({ length: 1200 }, (_, index) => index).join();
    await write(text);
    expect(readFileSync(path, 'utf8').trimEnd()).toBe(text);
  });

  test('nothing to write: the record goes, if there is one', async () => {
    await write('text');
    await write(undefined);
    expect(existsSync(path)).toBe(false);
    await write(undefined);
    expect(disk.synced).toBe(4);
  });

  test('a full disk: an error, and nothing is left behind', async () => {
    disk.isFull = true;
    await expect(write('text')).rejects.toMatchObject({
      ...isStateError,
      message: `can't write the record of PINs ${path}: ENOSPC: no space left on device`,
    });
    expect(existsSync(path)).toBe(false);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  test('a full disk, and a record that can not be changed in its place: an error, and the record stays', async () => {
    await write('before');
    disk.isFull = true;
    await expect(write('text')).rejects.toMatchObject(isStateError);
    expect(readFileSync(path, 'utf8')).toBe('before'.padEnd(BLOCK));
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  test('no room for a new file: the record is changed in its place', async () => {
    await write('before');
    blockNewFiles();
    await write('now');
    expect(readFileSync(path, 'utf8')).toBe('now'.padEnd(BLOCK));
  });

  test('no room for a new file, and no record yet: an error', async () => {
    blockNewFiles();
    await expect(write('text')).rejects.toMatchObject(isStateError);
    expect(existsSync(path)).toBe(false);
  });

  test('a record that can not be removed: an error', async () => {
    mkdirSync(path);
    await expect(write(undefined)).rejects.toMatchObject(isStateError);
  });
});

describe('reading', () => {
  test('a record as it was written, and none', async () => {
    expect(await readRecord(path, uid)).toBe(undefined);
    await write('text');
    expect(await readRecord(path, uid)).toBe('text'.padEnd(BLOCK));
  });

  test('64 KiB are read, and not a byte more: we write no such record', async () => {
    writeFileSync(path, 'x'.repeat(65_536), { mode: 0o600 });
    expect(await readRecord(path, uid)).toHaveLength(65_536);
    writeFileSync(path, 'x'.repeat(65_537));
    await expect(readRecord(path, uid)).rejects.toMatchObject({
      ...isStateError,
      message: `${path} is too long for a record of PINs: 65537 bytes`,
      hint: DAMAGED,
    });
  });

  test('a disk that can not be read: an error', async () => {
    await write('text');
    disk.canRead = false;
    await expect(readRecord(path, uid)).rejects.toMatchObject({
      ...isStateError,
      message: `can't read ${path}: EIO: i/o error, read`,
    });
  });
});
