import type * as FsPromises from 'node:fs/promises';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { dial } from '../../../../src/management/sockets/dial.ts';
import { type TcpRow, TcpTable } from '../../../../src/management/sockets/tcp-table.ts';
import { FakeListener } from '../../../support/fake-daemon.ts';

/** What the kernel says: of those who listen, at the beginning of its table, and in all of it. */
let beginning: () => TcpTable;
let whole: () => Promise<TcpTable> | TcpTable;
vi.mock('../../../../src/management/sockets/tcp-table.ts', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  readTcpListeners: async () => Promise.resolve(beginning()),
  readTcpTable: async () => await whole(),
}));

/** Happens before something on the way to a unix socket is looked at. */
let onLook: () => Promise<void>;
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  return {
    ...fs,
    lstat: async (path: string) => {
      await onLook();
      return await fs.lstat(path);
    },
  };
});

const SELF = 500;

/** A table in which sockets of these numbers listen, whatever connection is asked for. */
class Listeners extends TcpTable {
  readonly #rows: readonly TcpRow[];

  constructor(...inodes: number[]) {
    super('');
    this.#rows = inodes.map((inode) => ({
      ...{ localAddress: '127.0.0.1', remoteAddress: '0.0.0.0', remotePort: 0, state: 'listen', user: SELF, inode },
    }));
  }

  override listeners(): readonly TcpRow[] {
    return this.#rows;
  }
}

let listener: FakeListener;
beforeEach(async () => {
  listener = await FakeListener.start();
  onLook = () => Promise.resolve();
  beginning = () => new Listeners(11);
  whole = () => new Listeners(11);
});
afterEach(() => listener.stop());

const dialled = (signal?: AbortSignal): Promise<Socket> => dial(listener.address, signal, { self: SELF });

describe('a daemon whose owner counts', () => {
  test('is connected to once it is known whose it is', async () => {
    const socket = await dialled();
    expect(socket.destroyed).toBe(false);
    // errors are the socket's user's from now on
    expect(socket.listenerCount('error')).toBe(0);
    socket.destroy();
  });

  test('is looked for in the whole table if it is not at its beginning', async () => {
    const read = vi.fn(() => new Listeners());
    beginning = read;
    (await dialled()).destroy();
    expect(read).toHaveBeenCalledTimes(1);
    // the first connection was of no use
    await (await listener.next()).gone();
  });

  test('that is another one each time is given up, and no connection is left', async () => {
    let inode = 0;
    const another = (): TcpTable => new Listeners((inode += 1));
    [beginning, whole] = [another, another];
    await expect(dialled()).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_PEER' });
    for (let tries = 0; tries < 3; tries += 1) await (await listener.next()).gone();
    // before and after each
    expect(inode).toBe(6);
  });

  test('of whom nothing can be said at the moment is not tried again', async () => {
    const read = vi.fn(() => Promise.reject(new Error('EMFILE')));
    whole = read;
    await expect(dialled()).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_PEER' });
    expect(read).toHaveBeenCalledTimes(1);
    await (await listener.next()).gone();
  });

  test('is not served when it was given up meanwhile', async () => {
    const [stop, reason] = [new AbortController(), new Error('enough')];
    whole = () => {
      stop.abort(reason);
      return new Listeners(11);
    };
    await expect(dialled(stop.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
    await (await listener.next()).gone();
  });

  test.each(['TCP', 'unix'])(
    'that breaks the connection meanwhile is gone, and ends nothing else (%s)',
    async (kind) => {
      const opened = vi.spyOn(Socket.prototype, 'connect');
      const breaks = async (): Promise<void> => {
        const [socket] = opened.mock.contexts as Socket[];
        if (socket === undefined || socket.destroyed) return;
        const broken = once(socket, 'close').catch(() => undefined);
        socket.destroy(new Error('ECONNRESET'));
        await broken;
      };
      whole = async () => {
        await breaks();
        return new Listeners(11);
      };
      onLook = breaks;
      const folder = mkdtempSync(join(tmpdir(), 'pksigd-dial-'));
      const unix = await FakeListener.start(join(folder, 'd.sock'));
      try {
        const address = kind === 'TCP' ? listener.address : unix.address;
        const self = kind === 'TCP' ? SELF : (process.geteuid?.() ?? 0);
        await expect(dial(address, undefined, { self })).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_CLOSED' });
      } finally {
        opened.mockRestore();
        await unix.stop();
        rmSync(folder, { recursive: true });
      }
    },
  );
});

test('a connection that is given up before or while it is made is none', async () => {
  const reason = new Error('enough');
  await expect(dial(listener.address, AbortSignal.abort(reason))).rejects.toMatchObject({
    ...{ code: 'ERR_ABORTED', cause: reason },
  });
  const stop = new AbortController();
  const connecting = dial(listener.address, stop.signal);
  stop.abort(reason);
  await expect(connecting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
});

test.each([
  ['nobody listens', '/nonexistent/d.sock', 'ENOENT'],
  ['there is something else', '/dev/null', 'ECONNREFUSED'],
])('where %s, the cause is told', async (_, path, code) => {
  await expect(dial({ kind: 'unix', path }, undefined)).rejects.toMatchObject({
    ...{ code: 'ERR_MANAGEMENT_CONNECT', cause: { code } },
  });
});
