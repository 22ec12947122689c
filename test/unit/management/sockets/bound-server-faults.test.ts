import type * as Fs from 'node:fs';
import type * as FsPromises from 'node:fs/promises';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MAX_UNIX_PATH, type ManagementAddress } from '../../../../src/management/sockets/address.ts';
import { BoundServer, type SocketAccess } from '../../../../src/management/sockets/bound-server.ts';
import type * as Dial from '../../../../src/management/sockets/dial.ts';

/** What calls fail with, by their names. */
const faults = new Map<string, string>();
/** What was done to the socket while nobody could find it. */
let done: string[];
/** Happens right before the socket gets its path. */
let meanwhile: () => void;
let isPrivate: boolean;
/** The system shows a process its descriptors. */
let hasProc: boolean;
/** What comes of connecting to a socket that is there already. */
let dialled: string | undefined;
let onDial: () => void;

const fail = (call: string): void => {
  const code = faults.get(call);
  if (code !== undefined) throw Object.assign(new Error(`${code}: ${call}`), { code });
};
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>();
  return {
    ...fs,
    chownSync: (_: string, user: number, group: number) => {
      done.push(`chown ${user} ${group}`);
    },
    chmodSync: (path: string, mode: number) => {
      done.push(`chmod ${mode.toString(8)}`);
      fs.chmodSync(path, mode);
      meanwhile();
    },
    existsSync: (path: string) => hasProc && fs.existsSync(path),
    fstatSync: (fd: number) => Object.assign(fs.fstatSync(fd), isPrivate ? {} : { mode: 0o40710 }),
    linkSync: (from: string, to: string) => {
      fail('link');
      fs.linkSync(from, to);
    },
    unlinkSync: (path: string) => {
      fail('unlink');
      fs.unlinkSync(path);
    },
  };
});
vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  return {
    ...fs,
    lstat: async (path: string) => {
      fail('lstat');
      return await fs.lstat(path);
    },
  };
});
vi.mock('../../../../src/management/sockets/dial.ts', async (importOriginal) => {
  const { dial } = await importOriginal<typeof Dial>();
  return {
    dial: async (address: ManagementAddress) => {
      onDial();
      if (dialled === undefined) return await dial(address, undefined);
      throw new Error('not connected', { cause: Object.assign(new Error(dialled), { code: dialled }) });
    },
  };
});

let path: string;
const servers: Server[] = [];
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'pksigd-bound-')), 'm.sock');
  [done, meanwhile, onDial] = [[], () => undefined, () => undefined];
  [isPrivate, hasProc, dialled] = [true, true, undefined];
});
afterEach(() => {
  faults.clear();
  for (const server of servers.splice(0)) server.close();
  rmSync(dirname(path), { recursive: true });
});

async function listenAt(address: ManagementAddress, access: SocketAccess = { mode: 0o600 }): Promise<BoundServer> {
  const server = await BoundServer.listen(address, access, {}, (socket) => socket.end(), 'a test');
  servers.push(server);
  return server;
}
const listen = (access?: SocketAccess): Promise<BoundServer> => listenAt({ kind: 'unix', path }, access);
const left = (): string[] => readdirSync(dirname(path));

/** A socket that nobody listens on any more. */
async function leave(): Promise<void> {
  const server = new Server();
  await new Promise<void>((resolve) => server.listen(`${path}.bound`, resolve));
  renameSync(`${path}.bound`, path);
  await new Promise((resolve) => server.close(resolve));
}

const IN_USE = { code: 'ERR_MANAGEMENT_IN_USE' };
const WRONG = { code: 'ERR_MANAGEMENT_ADDRESS' };
const FAILED = { code: 'ERR_MANAGEMENT_LISTEN' };

describe('who may use a socket', () => {
  test.each([
    [{ mode: 0o600 }, ['chmod 600']],
    [{ mode: 0o660, group: 7 }, ['chown -1 7', 'chmod 660']],
    [{ mode: 0o600, user: 5 }, ['chown 5 -1', 'chmod 600']],
    [{ mode: 0o600, user: 5, group: 0 }, ['chown 5 0', 'chmod 600']],
  ])('is set before anybody finds it, the mode last: %j', async (access, steps) => {
    await listen(access);
    expect(done).toEqual(steps);
  });

  test('is nobody’s choice but ours: a folder that others can enter is not used', async () => {
    isPrivate = false;
    await expect(listen()).rejects.toMatchObject(FAILED);
    expect([left(), done]).toEqual([[], []]);
  });
});

describe('what is there already', () => {
  test('is replaced if it is a socket that was left behind', async () => {
    await leave();
    const before = statSync(path).ino;
    const server = await listen();
    expect(statSync(path).ino).not.toBe(before);
    server.close();
    expect(left()).toEqual([]);
  });

  test('stays if it is no socket', async () => {
    writeFileSync(path, 'precious');
    await expect(listen()).rejects.toMatchObject(WRONG);
    expect(readFileSync(path, 'utf8')).toBe('precious');
    expect(left()).toEqual(['m.sock']);
  });

  test.each([
    ['EAGAIN', 'is busy', IN_USE],
    ['EACCES', 'does not let us in', FAILED],
  ])('stays if whoever listens there %s (%s)', async (code, _, refused) => {
    await leave();
    dialled = code;
    await expect(listen()).rejects.toMatchObject(refused);
    expect(left()).toEqual(['m.sock']);
  });

  test('that went away while it was looked at is in nobody’s way', async () => {
    await leave();
    dialled = 'ENOENT';
    onDial = () => {
      rmSync(path);
    };
    await listen();
    expect(left()).toEqual(['m.sock']);
  });

  test('and came while we began is another’s', async () => {
    for (const comes of [
      (): void => {
        writeFileSync(path, 'another');
      },
      (): void => {
        mkdirSync(path);
      },
    ]) {
      meanwhile = comes;
      await expect(listen()).rejects.toMatchObject(IN_USE);
      expect(left()).toEqual(['m.sock']);
      rmSync(path, { recursive: true });
    }
  });

  test.each([
    [
      'is moved',
      (): void => {
        renameSync(path, `${path}.moved`);
      },
    ],
    // what comes next has its number, on many file systems
    [
      'is removed',
      (): void => {
        rmSync(path);
      },
    ],
  ])('and came in the place of one that was left behind, which %s, is another’s', async (_, goes) => {
    await leave();
    meanwhile = () => {
      goes();
      writeFileSync(path, 'another');
    };
    await expect(listen()).rejects.toMatchObject(IN_USE);
    expect(readFileSync(path, 'utf8')).toBe('another');
  });

  test('and came at the very last is another’s, too', async () => {
    faults.set('link', 'EEXIST');
    await expect(listen()).rejects.toMatchObject(IN_USE);
    expect(left()).toEqual([]);
  });

  test.each([
    ['EPERM', WRONG],
    ['EROFS', FAILED],
  ])('and may not be removed is told (%s)', async (code, refused) => {
    await leave();
    faults.set('unlink', code);
    await expect(listen()).rejects.toMatchObject(refused);
    expect(left()).toEqual(['m.sock']);
  });
});

test('a file system without links has sockets, too', async () => {
  faults.set('link', 'EPERM');
  await listen();
  expect(left()).toEqual(['m.sock']);
  const socket = connect(path);
  await once(socket, 'close');
});

describe('where nobody can listen', () => {
  test('a path is too long', async () => {
    const long = join(dirname(path), 'x'.repeat(MAX_UNIX_PATH));
    await expect(listenAt({ kind: 'unix', path: long })).rejects.toMatchObject(WRONG);
  });

  test('a path can’t be looked at', async () => {
    faults.set('lstat', 'EIO');
    await expect(listen()).rejects.toMatchObject({ ...FAILED, cause: { code: 'EIO' } });
    expect(left()).toEqual([]);
  });

  test('the system has no socket left', async () => {
    const bind = vi.spyOn(Server.prototype, 'listen').mockImplementationOnce(function (this: Server) {
      process.nextTick(() => this.emit('error', Object.assign(new Error('EMFILE: listen'), { code: 'EMFILE' })));
      return this;
    });
    await expect(listen()).rejects.toMatchObject({ ...FAILED, cause: { code: 'EMFILE' } });
    expect(left()).toEqual([]);
    bind.mockRestore();
  });

  test('a folder beside it has too long a path, on a system that can’t do without', async () => {
    hasProc = false;
    const long = join(
      dirname(path),
      'x'.repeat(MAX_UNIX_PATH - `${dirname(path)}//.pksigd-123456/123456789012`.length),
    );
    for (const each of [long, `${long}x`]) mkdirSync(each);
    await listenAt({ kind: 'unix', path: join(long, 'm.sock') });
    await expect(listenAt({ kind: 'unix', path: join(`${long}x`, 'm.sock') })).rejects.toMatchObject({
      ...FAILED,
      hint: expect.stringContaining('1 bytes too long'),
    });
    expect(readdirSync(`${long}x`)).toEqual([]);
  });

  test('a folder is not there', async () => {
    const away = { kind: 'unix', path: join(dirname(path), 'no', 'm.sock') } as const;
    await expect(listenAt(away)).rejects.toMatchObject({ ...FAILED, cause: { code: 'ENOENT' } });
  });

  test('an address is another host’s', async () => {
    await expect(listenAt({ kind: 'tcp', host: '192.0.2.1', port: 0 })).rejects.toMatchObject(FAILED);
  });
});

describe('a port', () => {
  const ANY = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

  test('that the system picks is told', async () => {
    const server = await listenAt(ANY);
    const place = server.addressOf(ANY);
    expect(place).toMatchObject({ kind: 'tcp', host: '127.0.0.1' });
    expect(place.kind === 'tcp' && place.port > 0).toBe(true);
    const socket: Socket = connect(place as { port: number });
    await once(socket, 'close');
    await expect(listenAt(place)).rejects.toMatchObject(IN_USE);
    const unix = { kind: 'unix', path } as const;
    expect((await listenAt(unix)).addressOf(unix)).toStrictEqual(unix);
    expect(server.isInherited).toBe(false);
    server.close();
    expect(server.addressOf(ANY)).toStrictEqual(ANY);
  });
});

describe('a socket whose file has gone', () => {
  test('is not bound anew when it is closed while another in its place is looked at', async () => {
    const server = await listen();
    rmSync(path);
    await leave();
    const { ino } = statSync(path);
    onDial = () => server.close();
    expect(await BoundServer.renewGone()).toEqual([]);
    expect([server.listening, statSync(path).ino]).toEqual([false, ino]);
  });

  test('is tried again after another came to its path at the very last', async () => {
    await listen();
    rmSync(path);
    meanwhile = () => {
      writeFileSync(path, 'another');
    };
    expect(await BoundServer.renewGone()).toMatchObject([{ error: IN_USE }]);
    rmSync(path);
    meanwhile = () => undefined;
    expect(await BoundServer.renewGone()).toEqual([{ address: { kind: 'unix', path } }]);
    expect(left()).toEqual(['m.sock']);
  });

  test('is listened for no more than once', async () => {
    const server = await listen();
    const before = server.listenerCount('error');
    rmSync(path);
    expect(await BoundServer.renewGone()).toHaveLength(1);
    expect([server.listenerCount('error'), before]).toEqual([1, 1]);
  });
});
