import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { LogHandle } from '../../../../src/agent/audit/log-file.ts';
import { Unsynced } from '../../../../src/agent/audit/unsynced.ts';
import { coded } from '../../management/pair.ts';

const files: FileHandle[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(files.splice(0).map((file) => file.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A file whose syncs fail as often as the test says, and what is written to it. */
async function bed(text = '') {
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-unsynced-'));
  folders.push(folder);
  const path = join(folder, 'log');
  writeFileSync(path, text);
  const file = await open(path, 'a+');
  files.push(file);
  const unsynced = new Unsynced();
  const state = { failures: 0, syncs: 0 };
  /** Bytes that are taken, or given, at a time. */
  let most = Number.POSITIVE_INFINITY;
  const handle: LogHandle = {
    ...{ fd: file.fd, stat: file.stat.bind(file), close: file.close.bind(file) },
    read: (async (bytes: Buffer, offset: number, length: number, position: number) => {
      if (offset + length > bytes.length) throw new RangeError('ERR_OUT_OF_RANGE');
      return await file.read(bytes, offset, Math.min(length, most), position);
    }) as LogHandle['read'],
    write: file.write.bind(file),
    datasync: async () => {
      state.syncs += 1;
      state.failures -= 1;
      if (state.failures >= 0) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
      await file.datasync();
    },
  };
  /** What was written again, and where. */
  const again: [number, string][] = [];
  let closed = 0;
  const openAgain = async (): Promise<LogHandle> => {
    const other = await open(path, 'r+');
    return {
      ...{ fd: other.fd, stat: other.stat.bind(other), read: other.read.bind(other) },
      datasync: handle.datasync,
      close: async () => {
        closed += 1;
        await other.close();
      },
      write: (async (bytes: Buffer, offset: number, length: number, position: number) => {
        const part = Math.min(length, most);
        again.push([position, bytes.toString('latin1', offset, offset + part)]);
        return await other.write(bytes, offset, part, position);
      }) as LogHandle['write'],
    };
  };
  let end = text.length;
  return {
    ...{ path, unsynced, state, again },
    closed: () => closed,
    takes: (bytes: number) => (most = bytes),
    write: async (line: string) => {
      const bytes = Buffer.from(line);
      unsynced.add(end, bytes);
      end += bytes.length;
      await file.write(bytes);
    },
    sync: async () => {
      await unsynced.sync(handle, path, openAgain);
    },
    /** As the agent does it, by the handle's own name. */
    syncByName: async () => {
      await unsynced.sync(handle, path);
    },
  };
}

describe('what is written and not yet on the disk', () => {
  test('is written once where the sync comes true', async () => {
    const { unsynced, write, sync, again, state } = await bed();
    await write('one\n');
    await sync();
    expect(again).toEqual([]);
    expect(state.syncs).toBe(1);
    expect(unsynced.hasFailed).toBe(false);
  });

  test('is written again, where it stands, behind a sync that failed', async () => {
    const { path, unsynced, write, sync, again, state, closed } = await bed('before\n');
    await write('one\n');
    await sync();
    state.failures = 1;
    await write('two\n');
    await write('three\n');
    await expect(sync()).rejects.toThrow('EIO');
    expect(unsynced.hasFailed).toBe(true);
    expect(again).toEqual([]);
    await write('four\n');
    await sync();
    expect(again).toEqual([[11, 'two\nthree\nfour\n']]);
    expect(closed()).toBe(1);
    expect(unsynced.hasFailed).toBe(false);
    expect(readFileSync(path, 'latin1')).toBe('before\none\ntwo\nthree\nfour\n');
    // one that came true makes it forget
    await write('five\n');
    await sync();
    expect(again).toHaveLength(1);
  });

  test('is read and written again in as many parts as the system makes of it', async () => {
    const { path, write, sync, again, state, takes } = await bed();
    await write('abcdefgh');
    state.failures = 1;
    await expect(sync()).rejects.toThrow('EIO');
    takes(3);
    await sync();
    expect(again).toEqual([
      [0, 'abc'],
      [3, 'def'],
      [6, 'gh'],
    ]);
    expect(readFileSync(path, 'latin1')).toBe('abcdefgh');
  });

  test('is tried again for as long as that fails, too', async () => {
    const { unsynced, write, sync, again, state, closed } = await bed();
    await write('one\n');
    state.failures = 2;
    await expect(sync()).rejects.toThrow('EIO');
    await expect(sync()).rejects.toThrow('EIO');
    expect([unsynced.hasFailed, closed()]).toEqual([true, 1]);
    await sync();
    expect(again).toEqual([
      [0, 'one\n'],
      [0, 'one\n'],
    ]);
    expect([unsynced.hasFailed, closed()]).toEqual([false, 2]);
  });

  test('is not written over what others put in its place', async () => {
    const { path, unsynced, write, sync, again, state } = await bed('x');
    await write('one\n');
    state.failures = 1;
    await expect(sync()).rejects.toThrow('EIO');
    writeFileSync(path, 'xONE\n');
    const gone = coded('ERR_AUDIT_FILE', `what was written to ${path} is not there any more`);
    await expect(sync()).rejects.toEqual(gone);
    // emptied
    writeFileSync(path, 'x');
    await expect(sync()).rejects.toEqual(gone);
    expect(again).toEqual([]);
    expect(unsynced.hasFailed).toBe(true);
  });

  test.each([
    [5, [[1, 'one\n']]],
    [3, [[1, 'on']]],
    [1, []],
    [0, []],
  ])('ends where the file does, at %d', async (end, expected) => {
    const { path, unsynced, write, sync, again, state } = await bed('x');
    await write('one\n');
    await write('two\n');
    writeFileSync(path, readFileSync(path).subarray(0, end));
    unsynced.cut(end);
    state.failures = 1;
    await expect(sync()).rejects.toThrow('EIO');
    await sync();
    expect(again).toEqual(expected);
  });

  test('is written again by the file itself, though its name is another one’s by now', async () => {
    const { path, write, syncByName, state } = await bed();
    await write('one\n');
    state.failures = 1;
    await expect(syncByName()).rejects.toThrow('EIO');
    rmSync(path);
    writeFileSync(path, 'another file');
    await syncByName();
    expect(readFileSync(path, 'latin1')).toBe('another file');
  });

  test('is forgotten with the file', async () => {
    const { unsynced, write, sync, again, state } = await bed();
    await write('one\n');
    state.failures = 1;
    await expect(sync()).rejects.toThrow('EIO');
    unsynced.clear();
    expect(unsynced.hasFailed).toBe(false);
    await sync();
    expect(again).toEqual([]);
  });

  test('is as much as is kept, and nothing more is to be written', async () => {
    const { unsynced, write, sync, state } = await bed();
    await write('x'.repeat(4 * 1024 * 1024 - 1));
    state.failures = 1;
    expect(unsynced.isFull).toBe(false);
    await expect(sync()).rejects.toThrow('EIO');
    expect(unsynced.isFull).toBe(false);
    await write('x');
    expect(unsynced.isFull).toBe(true);
    await sync();
    expect(unsynced.isFull).toBe(false);
    // without a sync that failed it is no trouble
    await write('x'.repeat(4 * 1024 * 1024));
    expect(unsynced.isFull).toBe(false);
  });
});
