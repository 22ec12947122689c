import type * as FsPromises from 'node:fs/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { readTcpListeners, readTcpTable, type TcpTable } from '../../../../src/management/sockets/tcp-table.ts';

const [TCP, TCP6] = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
const PAGE = 4_096;

/** What the kernel's files have: text, or the code that reading fails with. */
let files: Map<string, { readonly text?: string; readonly code?: string }>;
/** What was read, and how much of it at a time. */
let read: string[];
/** Reading waits for this. */
let gate: Promise<void>;

const fail = (path: string): void => {
  const { code } = files.get(path) ?? { code: 'ENOENT' };
  if (code !== undefined) throw Object.assign(new Error(code), { code });
};
vi.mock('node:fs/promises', async (importOriginal) => ({
  ...(await importOriginal<typeof FsPromises>()),
  readFile: async (path: string) => {
    read.push(path);
    await gate;
    fail(path);
    return files.get(path)?.text ?? '';
  },
  open: async (path: string) => {
    await gate;
    fail(path);
    let at = 0;
    return {
      read: (into: Buffer, offset: number, length: number) => {
        read.push(`${path} at ${at}`);
        // as much as fits of whole lines
        const rest = (files.get(path)?.text ?? '').slice(at, at + length);
        const some = rest.slice(0, rest.lastIndexOf('\n') + 1);
        into.write(some, offset, 'latin1');
        at += some.length;
        return Promise.resolve({ bytesRead: some.length });
      },
      [Symbol.asyncDispose]: () => {
        read.push(`${path} closed`);
        return Promise.resolve();
      },
    };
  },
}));

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (state: string, user: number, port = '1D51'): string =>
  `   0: 0100007F:${port} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000 ${user} 0 11 1 0 20 4 30 10 -1\n`;
const LISTENS = row('0A', 7);
const OTHER = row('01', 8, '1D52');
const ends = { localAddress: '127.0.0.1', localPort: 1, remoteAddress: '127.0.0.1', remotePort: 7_505 };
const usersIn = (table: TcpTable | undefined): number[] | undefined => table?.listeners(ends).map(({ user }) => user);

beforeEach(() => {
  files = new Map([
    [TCP, { text: HEAD + LISTENS }],
    [TCP6, { text: HEAD }],
  ]);
  [read, gate] = [[], Promise.resolve()];
});

describe.each([
  ['the table', readTcpTable],
  ['its beginning', readTcpListeners],
])('%s', (_, readIt) => {
  test('is not there where the kernel has none, or tells nobody', async () => {
    for (const code of ['ENOENT', 'EACCES']) {
      files.set(TCP6, { code });
      expect(usersIn(await readIt())).toEqual([7]);
      files.set(TCP, { code });
      expect(await readIt()).toBeUndefined();
      files.set(TCP, { text: LISTENS });
    }
  });

  test('is not taken for one that is not there when it can not be read at the moment', async () => {
    files.set(TCP6, { code: 'EMFILE' });
    await expect(readIt()).rejects.toMatchObject({ code: 'EMFILE' });
    files.set(TCP6, { text: HEAD + LISTENS });
    files.set(TCP, { code: 'EMFILE' });
    await expect(readIt()).rejects.toMatchObject({ code: 'EMFILE' });
    files.set(TCP, { text: HEAD });
    expect(usersIn(await readIt())).toEqual([7]);
  });

  test('is read once for all who ask at a time, and anew for who asks later', async () => {
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => (open = resolve));
    const first = [readIt(), readIt(), readIt()];
    // it is being read by now
    await new Promise((resolve) => setImmediate(resolve));
    const later = [readIt(), readIt()];
    open();
    expect((await Promise.all(first)).map(usersIn)).toEqual([[7], [7], [7]]);
    files.set(TCP, { text: HEAD });
    const [one, another] = await Promise.all(later);
    expect(one).toBe(another);
    expect(one).not.toBe(await first[0]);
    expect(await first[1]).toBe(await first[0]);
    expect(await readIt()).not.toBe(one);
  });
});

describe('the beginning of the table', () => {
  const places = (): string[] => read.filter((each) => each.startsWith(`${TCP} `));

  test('ends where no listener stands at the end of a page', async () => {
    const count = Math.ceil(PAGE / LISTENS.length) * 2 + 4;
    files.set(TCP, { text: HEAD + LISTENS.repeat(count) + OTHER.repeat(500) });
    expect(usersIn(await readTcpListeners())).toHaveLength(count);
    expect(places()).toHaveLength(4);
    expect(places().at(-1)).toBe(`${TCP} closed`);
  });

  test('is one page where others follow the listeners', async () => {
    files.set(TCP, { text: HEAD + LISTENS + OTHER.repeat(500) });
    expect(usersIn(await readTcpListeners())).toEqual([7]);
    expect(places()).toHaveLength(2);
  });

  test('is all of it, if that is no whole page', async () => {
    files.set(TCP, { text: HEAD + LISTENS.repeat(3) });
    expect(usersIn(await readTcpListeners())).toHaveLength(3);
    expect(places()).toHaveLength(2);
  });
});
