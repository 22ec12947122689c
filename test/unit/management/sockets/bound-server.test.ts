import type * as Fs from 'node:fs';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MAX_UNIX_PATH } from '../../../../src/management/sockets/address.ts';
import { BoundServer } from '../../../../src/management/sockets/bound-server.ts';
import { withResolvers } from '../../../../src/promises.ts';

/** Whether the socket could be found under its own path when its mode was set. */
const found: boolean[] = [];
let path: string;
/** No descriptor is left. */
let isFull = false;
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>();
  return {
    ...fs,
    chmodSync: (...args: Parameters<typeof fs.chmodSync>) => {
      found.push(fs.existsSync(path));
      fs.chmodSync(...args);
    },
    openSync: (...args: Parameters<typeof fs.openSync>) => {
      if (isFull) throw Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE' });
      return fs.openSync(...args);
    },
  };
});

const servers: Server[] = [];
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'pksigd-bound-')), 'm.sock');
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(dirname(path), { recursive: true });
  found.length = 0;
});

async function listen(mode = 0o600, at = path): Promise<BoundServer> {
  const server = await BoundServer.listen({ kind: 'unix', path: at }, { mode }, {}, (socket) => socket.end(), 'a test');
  servers.push(server);
  return server;
}

/** Leaves a socket at `at`, as a process does that was killed. */
async function leave(at: string): Promise<void> {
  const server = await listen(0o600, `${at}.other`);
  renameSync(`${at}.other`, at);
  server.close();
}

function canConnect(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

test('a unix socket has its mode before anybody can find it, and nothing else is left in its folder', async () => {
  const server = await listen(0o660);
  expect(found).toEqual([false]);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(readdirSync(dirname(path))).toEqual(['m.sock']);
  expect(await canConnect()).toBe(true);
  server.close();
  expect(readdirSync(dirname(path))).toEqual([]);
});

test('for want of a descriptor nothing is left behind, either', async () => {
  isFull = true;
  await expect(listen()).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_LISTEN' });
  isFull = false;
  expect(readdirSync(dirname(path))).toEqual([]);
});

test('what can’t be given to its group leaves nothing behind', async () => {
  const nobody = { mode: 0o660, group: 2 ** 32 - 2 };
  const listening = BoundServer.listen({ kind: 'unix', path }, nobody, {}, () => undefined, 'a test');
  const server = await listening.catch((error: unknown) => error);
  // root may
  if (server instanceof BoundServer) server.close();
  else expect(server).toMatchObject({ code: 'ERR_MANAGEMENT_LISTEN' });
  expect(readdirSync(dirname(path))).toEqual([]);
});

describe('at the end', () => {
  test.each<[string, () => unknown]>([
    ['another socket', () => listen()],
    [
      'a file',
      () => {
        writeFileSync(path, 'precious');
      },
    ],
    [
      'a folder',
      () => {
        mkdirSync(path);
      },
    ],
  ])('%s at its path stays', async (_, put) => {
    const server = await listen();
    renameSync(path, `${path}.moved`);
    await put();
    server.close();
    expect(existsSync(path)).toBe(true);
  });

  test('a path that is gone, and a folder that is gone', async () => {
    const server = await listen();
    rmSync(path);
    server.close();
    mkdirSync(`${path}.d`);
    const other = await listen(0o600, join(`${path}.d`, 'm.sock'));
    rmSync(`${path}.d`, { recursive: true });
    other.close();
  });
});

test('without an end, all files go that are still its own', async () => {
  const [server, other] = [await listen(), await listen(0o600, `${path}.other`)];
  renameSync(path, `${path}.moved`);
  writeFileSync(path, 'precious');
  BoundServer.removeFiles();
  expect(readdirSync(dirname(path)).sort()).toEqual(['m.sock', 'm.sock.moved']);
  // its path may be another's by now
  writeFileSync(`${path}.other`, 'precious');
  for (const each of [server, other]) each.close();
  expect(existsSync(`${path}.other`)).toBe(true);
});

describe('a socket whose file has gone', () => {
  const renewed = (): object => ({ address: { kind: 'unix', path } });

  test.each<[string, () => unknown]>([
    ['nothing is there', () => undefined],
    ['a socket is there that nothing listens on', () => leave(path)],
  ])('is bound anew where %s: with its mode, and what is connected stays', async (_, put) => {
    const { promise: accepted, resolve: accept } = withResolvers<Socket>();
    const server = await BoundServer.listen({ kind: 'unix', path }, { mode: 0o660 }, {}, accept, 'a test');
    servers.push(server);
    const [client, ours] = [connect(path), await accepted];
    rmSync(path);
    await put();
    expect(await canConnect()).toBe(false);

    expect(await BoundServer.renewGone()).toEqual([renewed()]);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(readdirSync(dirname(path))).toEqual(['m.sock']);
    expect(await canConnect()).toBe(true);
    ours.write('still here');
    expect(String(await new Promise((resolve) => client.once('data', resolve)))).toBe('still here');
    for (const each of [client, ours]) each.destroy();

    expect(await BoundServer.renewGone()).toEqual([]);
    server.close();
    expect(readdirSync(dirname(path))).toEqual([]);
    expect(await BoundServer.renewGone()).toEqual([]);
  });

  test('is left alone while it is there', async () => {
    await listen();
    const { ino } = statSync(path);
    expect(await BoundServer.renewGone()).toEqual([]);
    expect(statSync(path).ino).toBe(ino);
  });

  test('is taken to be there while that can’t be seen', async () => {
    const folder = dirname(path);
    await listen();
    renameSync(folder, `${folder}.moved`);
    symlinkSync(folder, folder);
    expect(await BoundServer.renewGone()).toEqual([]);
    rmSync(folder);
    renameSync(`${folder}.moved`, folder);
    expect(await canConnect()).toBe(true);
  });

  test('lets those in first who connected while it was there', async () => {
    const server = await listen();
    const client = connect(path);
    const ended = new Promise((resolve, reject) => client.once('end', resolve).once('error', reject).resume());
    rmSync(path);
    expect(await BoundServer.renewGone()).toEqual([renewed()]);
    await ended;
    server.close();
  });

  test('is bound anew once, however many ask for it at once', async () => {
    const server = await listen();
    rmSync(path);
    const all = await Promise.all(Array.from({ length: 3 }, () => BoundServer.renewGone()));
    expect(all).toEqual([[renewed()], [], []]);
    expect(await canConnect()).toBe(true);
    server.close();
  });

  test('does not take its path from somebody who listens there, and has it when that one has left', async () => {
    await listen();
    rmSync(path);
    const other = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => other.listen(path, resolve));
    const { ino } = statSync(path);
    const [renewal] = await BoundServer.renewGone();
    expect(renewal).toMatchObject({ ...renewed(), error: { code: 'ERR_MANAGEMENT_IN_USE' } });
    expect(statSync(path).ino).toBe(ino);
    await new Promise((resolve) => other.close(resolve));
    expect(await BoundServer.renewGone()).toEqual([renewed()]);
    expect(await canConnect()).toBe(true);
  });

  test('is tried again after its folder had gone, too', async () => {
    const folder = dirname(path);
    await listen();
    rmSync(folder, { recursive: true });
    const [renewal] = await BoundServer.renewGone();
    expect(renewal).toMatchObject({ error: { code: 'ERR_MANAGEMENT_LISTEN', hint: 'there is no such folder' } });
    mkdirSync(folder);
    expect(await BoundServer.renewGone()).toEqual([renewed()]);
    expect(await canConnect()).toBe(true);
  });

  test('is not bound anew when it was closed meanwhile', async () => {
    const server = await listen();
    rmSync(path);
    const renewing = BoundServer.renewGone();
    server.close();
    expect(await renewing).toEqual([]);
    expect(readdirSync(dirname(path))).toEqual([]);
  });
});

test('a path as long as the system allows, for its name or for its folder', async () => {
  const long = 'x'.repeat(MAX_UNIX_PATH - dirname(path).length - 1);
  await listen(0o600, join(dirname(path), long));
  const folder = join(dirname(path), long.slice(2));
  mkdirSync(folder);
  expect(join(folder, 'm')).toHaveLength(MAX_UNIX_PATH);
  if (existsSync('/proc/self/fd')) await listen(0o600, join(folder, 'm'));
  else
    await expect(listen(0o600, join(folder, 'm'))).rejects.toMatchObject({ hint: expect.stringMatching(/too long/) });
});

// threads, in which mutants are tried, have no folder and no user of their own
test.runIf(isMainThread)(
  'a socket that was left behind is replaced, by a short name in a folder with a long one',
  async () => {
    const [before, folder] = [process.cwd(), join(dirname(path), 'x'.repeat(MAX_UNIX_PATH))];
    mkdirSync(folder);
    process.chdir(folder);
    try {
      const first = await listen(0o600, 'm.sock');
      // its process was killed
      renameSync('m.sock', 'kept.sock');
      first.close();
      renameSync('kept.sock', 'm.sock');
      (await listen(0o600, 'm.sock')).close();
    } finally {
      process.chdir(before);
    }
  },
);

test('a live socket is left alone, whoever asks', async () => {
  await listen();
  await expect(listen()).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_IN_USE' });
  expect(await canConnect()).toBe(true);
});

test('an accept that fails, as where descriptors are short, ends nothing', async () => {
  const server = await listen();
  const { _handle: handle } = server as unknown as { _handle: { onconnection: (status: number) => void } };
  expect(() => {
    handle.onconnection(-24); // EMFILE, as libuv tells it
  }).not.toThrow();
  expect(await canConnect()).toBe(true);
});

test.runIf(isMainThread && process.geteuid?.() === 0)(
  'what another user left in a sticky folder is said to be that',
  async () => {
    const folder = dirname(path);
    chmodSync(folder, 0o1777);
    const stale = await listen(0o666, join(folder, 'other.sock'));
    linkSync(join(folder, 'other.sock'), path);
    stale.close();
    process.seteuid?.(65_534);
    try {
      await expect(listen()).rejects.toMatchObject({
        code: 'ERR_MANAGEMENT_ADDRESS',
        hint: expect.stringContaining('another user has left a socket there'),
      });
    } finally {
      process.seteuid?.(0);
    }
    expect(readdirSync(folder)).toEqual(['m.sock']);
  },
);
