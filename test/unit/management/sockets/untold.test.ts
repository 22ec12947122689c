import type * as Fs from 'node:fs';
import type * as FsPromises from 'node:fs/promises';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { approach, checkOwnerIsKnowable, judgeUsers } from '../../../../src/management/sockets/daemon-owner.ts';
import { InheritedSocket } from '../../../../src/management/sockets/inherited-socket.ts';
import { INHERITED } from '../../../../src/management/sockets/inherited-sockets.ts';
import { listenAt } from '../../../../src/management/sockets/listen.ts';
import { isNeverTold } from '../../../../src/management/sockets/untold.ts';
import { isUnmapped } from '../../../../src/management/sockets/user-namespace.ts';
import { FAILING } from '../../../support/failing-calls.ts';

const UID_MAP = '/proc/self/uid_map';
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>();
  const { unlessFailingSync } = await import('../../../support/failing-calls.ts');
  // a user namespace that knows one user
  const read = (path: string): string => (path === UID_MAP ? '0 1000 1\n' : fs.readFileSync(path, 'utf8'));
  return { ...fs, readFileSync: unlessFailingSync(read) };
});
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { unlessFailing } = await import('../../../support/failing-calls.ts');
  return { ...fs, stat: unlessFailing(fs.stat), lstat: unlessFailing(fs.lstat) };
});

const SELF = process.geteuid?.() ?? 0;
const NOW = ['EMFILE', 'EIO', 'ENOMEM'];

test.each(['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR'])('%s: the system never tells', (code) => {
  expect(isNeverTold(Object.assign(new Error('x'), { code }))).toBe(true);
});

test.each([...NOW, undefined])('%s: it may tell later', (code) => {
  expect(isNeverTold(Object.assign(new Error('x'), { code }))).toBe(false);
});

let path: string;
let server: Server;
beforeEach(async () => {
  path = join(mkdtempSync(join(tmpdir(), 'pksigd-untold-')), 's.sock');
  server = new Server();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  chmodSync(path, 0o666);
});
afterEach(() => {
  FAILING.clear();
  vi.restoreAllMocks();
  server.close();
  rmSync(dirname(path), { recursive: true });
});

// first: what is known once is kept
test.each(NOW)('whether a user has a number is not settled for good by a read that fails (%s)', (code) => {
  FAILING.set(UID_MAP, code);
  expect(() => isUnmapped(65_534)).toThrow(
    expect.objectContaining({ code: 'ERR_MANAGEMENT_PEER', hint: expect.stringContaining(code) }),
  );
});

test('once it is told, it is', () => {
  expect([isUnmapped(65_534), isUnmapped(0)]).toEqual([true, false]);
});

describe.each(NOW)('where a call fails (%s)', (code) => {
  const untold = { code: 'ERR_MANAGEMENT_PEER', message: expect.stringContaining("can't be told at the moment") };

  test('nobody is let in by a socket that was given, since it is not known who can connect', async () => {
    FAILING.set(path, code);
    await expect(judgeUsers(path, { self: SELF })).rejects.toMatchObject(untold);
  });

  test('a relay does not take such a socket, either', async () => {
    for (const at of [path, dirname(path)]) {
      FAILING.clear();
      const socket = new InheritedSocket(new Server(), { kind: 'unix', path }, { fd: 3, name: '' });
      vi.spyOn(INHERITED, 'find').mockResolvedValue(socket);
      FAILING.set(at, code);
      const listening = listenAt({ kind: 'unix', path }, { mode: 0o600 }, {}, () => undefined, 'a test');
      await expect(listening).rejects.toMatchObject(untold);
    }
  });

  test('the end of a daemon’s socket is not one that changed', async () => {
    FAILING.set(path, code);
    await expect(approach({ kind: 'unix', path }, { self: SELF })).rejects.toMatchObject(untold);
  });

  test('a system that tells of TCP is not one that never does', () => {
    FAILING.set('/proc/self/net/tcp', code);
    const address = { kind: 'tcp', host: '127.0.0.1', port: 7505 } as const;
    checkOwnerIsKnowable(address, { self: SELF, user: 7 }, { listens: true, password: true });
  });
});

test.each(['ENOENT', 'EACCES'])('nobody connects to what is not there, or out of reach (%s)', async (code) => {
  FAILING.set(path, code);
  await judgeUsers(path, { self: SELF });
  await approach({ kind: 'unix', path }, { self: SELF });
});
