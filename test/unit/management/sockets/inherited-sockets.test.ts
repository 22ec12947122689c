import { chmodSync, existsSync, mkdtempSync, openSync, closeSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { once } from 'node:events';
import { connect, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ManagementAddress } from '../../../../src/management/index.ts';
import { InheritedSocket } from '../../../../src/management/sockets/inherited-socket.ts';
import { INHERITED, InheritedSockets } from '../../../../src/management/sockets/inherited-sockets.ts';
import { closed, listenAt, ownAccess } from '../../../../src/management/sockets/listen.ts';
import { realPath } from '../../../../src/management/sockets/real-path.ts';

const OURS = { kind: 'tcp', host: '127.0.0.1', port: 7505 } as const;

let folder: string;
let path: string;
let server: Server;
beforeEach(async () => {
  folder = realPath(mkdtempSync(join(tmpdir(), 'pksigd-given-')));
  path = join(folder, 's.sock');
  server = new Server({ allowHalfOpen: true }).listen(path);
  await once(server, 'listening');
  chmodSync(path, 0o600);
});
afterEach(() => {
  vi.restoreAllMocks();
  INHERITED.close();
  server.close();
  rmSync(folder, { recursive: true });
});

/** Has sockets given to us: the first is at {@link path}, the others nobody connects to. */
async function give(to: InheritedSockets, ...addresses: (ManagementAddress | undefined)[]): Promise<InheritedSocket[]> {
  const sockets = [{ kind: 'unix', path } as const, ...addresses].map(
    (address, at) => new InheritedSocket(at === 0 ? server : new Server(), address, { fd: 3 + at, name: '' }),
  );
  vi.spyOn(InheritedSocket, 'adopt').mockImplementation(({ fd }) => {
    const socket = sockets[fd - 3];
    return socket === undefined ? Promise.reject(new Error(`no descriptor ${fd}`)) : Promise.resolve(socket);
  });
  await to.adopt(sockets.map((_, at) => ({ fd: 3 + at, name: '' })));
  return sockets;
}

const client = { options: {}, onClient: (socket: Socket) => socket.end('served') };

describe('a socket that was given is found', () => {
  test('by its path, however that is written', async () => {
    const all = new InheritedSockets();
    expect(await all.find({ kind: 'unix', path })).toBeUndefined();
    expect(all.hasPath(path)).toBe(false);
    const [socket] = await give(all, undefined, OURS);
    symlinkSync(basename(folder), `${folder}-link`);
    for (const at of [path, join(`${folder}-link`, 's.sock'), `${folder}/../${basename(folder)}//s.sock`]) {
      expect(await all.find({ kind: 'unix', path: at })).toBe(socket);
      expect(all.hasPath(at)).toBe(true);
    }
    rmSync(`${folder}-link`);
    expect(await all.find({ kind: 'unix', path: `${path}x` })).toBeUndefined();
    expect(all.hasPath(`${path}x`)).toBe(false);
    expect(all.hasPath(join(folder, 'no folder', 's.sock'))).toBe(false);
  });

  test('by its port, and its host by whatever name', async () => {
    const all = new InheritedSockets();
    const v6 = { kind: 'tcp', host: '::1', port: 7505 } as const;
    const [, , ...others] = await give(
      all,
      undefined,
      { ...OURS, port: 7506 },
      { ...OURS, host: '127.0.0.2' },
      OURS,
      v6,
    );
    const [other, second, first, sixth] = others;
    expect(await all.find(OURS)).toBe(first);
    expect(await all.find({ ...OURS, host: '127.0.0.2' })).toBe(second);
    expect(await all.find({ ...OURS, port: 7506 })).toBe(other);
    expect(await all.find({ ...v6, host: '0:0:0:0:0:0:0:1' })).toBe(sixth);
    expect(await all.find({ ...OURS, port: 7507 })).toBeUndefined();
    expect(await all.find({ ...OURS, host: '127.0.0.3' })).toBeUndefined();
    expect(await all.find({ ...OURS, host: 'no such host.invalid' })).toBeUndefined();
  });

  test('only while nobody has it', async () => {
    const all = new InheritedSockets();
    const [socket] = await give(all);
    socket?.take(client);
    expect(await all.find({ kind: 'unix', path })).toBeUndefined();
    expect(all.hasPath(path)).toBe(true);
    socket?.release(client);
    expect(await all.find({ kind: 'unix', path })).toBe(socket);
  });

  test('and no more once they are closed', async () => {
    const all = new InheritedSockets();
    await give(all);
    all.close();
    expect(await all.find({ kind: 'unix', path })).toBeUndefined();
    expect(server.listening).toBe(false);
  });
});

describe('a socket that nobody serves', () => {
  test('is told of once, until somebody had it', async () => {
    const all = new InheritedSockets();
    const [socket, other] = await give(all, OURS);
    socket?.take(client);
    expect(all.settle()).toEqual([other?.label]);
    expect(all.settle()).toEqual([]);
    socket?.release(client);
    other?.take(client);
    expect(all.settle()).toEqual([socket?.label]);
    other?.release(client);
    expect(all.settle()).toEqual([other?.label]);
  });

  test('has its connections wait while settings are taken, and ended afterwards', async () => {
    const all = new InheritedSockets();
    const [socket] = await give(all);
    all.settle();
    expect(await text(connect(path))).toBe('');
    all.hold();
    const [waiting] = [connect(path), await once(server, 'connection')];
    // settings may be taken again meanwhile
    all.hold();
    socket?.take(client);
    expect(await text(waiting)).toBe('served');
  });
});

test('what is no listening socket is refused, by its name', async () => {
  const fd = openSync(folder, 'r');
  try {
    await expect(InheritedSocket.adopt({ fd, name: 'office' })).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining(`descriptor ${fd} 'office',`),
    });
  } finally {
    closeSync(fd);
  }
  await expect(new InheritedSockets().adopt([{ fd: 1_000_000, name: '' }])).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: expect.stringContaining('descriptor 1000000,'),
  });
});

describe('listening', () => {
  const at = (): ManagementAddress => ({ kind: 'unix', path });

  test('goes to the socket that was given, which stays when we listen no more', async () => {
    const [socket] = await give(INHERITED);
    const listening = await listenAt(at(), { mode: 0o600 }, client.options, client.onClient, 'a test');
    expect([listening.isInherited, listening.addressOf(at())]).toEqual([true, at()]);
    expect(await text(connect(path))).toBe('served');
    const { _handle: handle } = server as unknown as { _handle: { hasRef(): boolean } };
    expect(handle.hasRef()).toBe(true);
    listening.unref();
    expect(handle.hasRef()).toBe(false);
    await closed(listening);
    expect(socket?.isTaken).toBe(false);
    expect(server.listening).toBe(true);
    listening.close();
  });

  test('makes a socket where none was given', async () => {
    await give(INHERITED);
    const own = join(folder, 'own.sock');
    const access = ownAccess(undefined);
    const listening = await listenAt({ kind: 'unix', path: own }, access, client.options, client.onClient, 'a test');
    expect(listening.isInherited).toBe(false);
    expect(statSync(own).mode & 0o777).toBe(0o600);
    await closed(listening);
    expect(existsSync(own)).toBe(false);
    await closed(undefined);
  });

  test('goes to a given socket that nobody can find any more, whatever its mode was', async () => {
    chmodSync(path, 0o666);
    await give(INHERITED);
    rmSync(path);
    await closed(await listenAt(at(), { mode: 0o600 }, client.options, client.onClient, 'a test'));
  });

  test('a group that is named may use our own socket', () => {
    expect(ownAccess(7)).toEqual({ mode: 0o660, group: 7 });
  });

  test('does not go to a socket that every user can connect to, unless it is meant for all', async () => {
    chmodSync(folder, 0o755);
    chmodSync(path, 0o666);
    await give(INHERITED);
    const refused = listenAt(at(), { mode: 0o660 }, client.options, client.onClient, 'a test');
    await expect(refused).rejects.toMatchObject({ code: 'ERR_USAGE' });
    const listening = await listenAt(at(), { mode: 0o666 }, client.options, client.onClient, 'a test');
    await closed(listening);
    // a folder keeps them out
    chmodSync(dirname(path), 0o700);
    await closed(await listenAt(at(), { mode: 0o600 }, client.options, client.onClient, 'a test'));
    // and of TCP there is no mode
    vi.spyOn(INHERITED, 'find').mockResolvedValue(new InheritedSocket(new Server(), OURS, { fd: 3, name: '' }));
    await closed(await listenAt(OURS, { mode: 0o600 }, client.options, client.onClient, 'a test'));
  });
});
