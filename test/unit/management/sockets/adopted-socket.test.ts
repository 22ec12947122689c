import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { connect, Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { InheritedSocket } from '../../../../src/management/sockets/inherited-socket.ts';
import { realPath } from '../../../../src/management/sockets/real-path.ts';
import { readUnixRow } from '../../../../src/management/sockets/unix-table.ts';

vi.mock('../../../../src/management/sockets/unix-table.ts', { spy: true });

let folder: string;
let path: string;
let adopted: InheritedSocket | undefined;
beforeEach(() => {
  folder = realPath(mkdtempSync(join(tmpdir(), 'pksigd-adopted-')));
  path = join(folder, 's.sock');
});
afterEach(() => {
  vi.restoreAllMocks();
  adopted?.close();
  adopted = undefined;
  rmSync(folder, { recursive: true });
});

/** @returns a socket that is listened on, as who starts us does */
async function given(at: object): Promise<{ readonly fd: number }> {
  const server = new Server().listen(at);
  await once(server, 'listening');
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
}

/** The server that listens on it. */
let server: Server;

/** What a server does itself when it is told to listen. */
interface Listening extends Server {
  _handle: unknown;
  _listen2: (address: null, port: number, family: number, backlog: number) => void;
}

async function adopt(at: object, name = ''): Promise<InheritedSocket> {
  const handle = await given(at);
  const listen = vi.spyOn(Server.prototype, 'listen').mockImplementationOnce(function (this: Server, ...args) {
    const [options, done] = args as unknown as [{ readonly fd?: number }, () => void];
    expect(options).toEqual({ fd: handle.fd });
    // no second handle has its descriptor: that would close it once more, when it may be another file's
    Object.assign(this.once('listening', done), { _handle: handle });
    (this as Listening)._listen2(null, -1, -1, 511);
    return this;
  });
  adopted = await InheritedSocket.adopt({ fd: handle.fd, name });
  [server] = listen.mock.contexts as [Server];
  return adopted;
}

const serve = (socket: Socket): unknown => socket.end('served');

test('a unix socket that was given is known by its path, without links in its folder, and serves', async () => {
  symlinkSync(folder, `${folder}-link`);
  const socket = await adopt({ path: join(`${folder}-link`, 's.sock') });
  rmSync(`${folder}-link`);
  expect(socket.address).toEqual({ kind: 'unix', path });
  socket.take({ options: {}, onClient: serve });
  expect(await text(connect(path))).toBe('served');
});

test('a TCP socket that was given is known by its address and port, and serves', async () => {
  const socket = await adopt({ host: '127.0.0.1', port: 0 }, 'office');
  expect(socket.address).toEqual({ kind: 'tcp', host: '127.0.0.1', port: expect.any(Number) });
  socket.take({ options: {}, onClient: serve });
  const { port } = socket.address as { readonly port: number };
  expect(await text(connect(port, '127.0.0.1'))).toBe('served');
});

test('where the system tells no path its name may be one', async () => {
  vi.mocked(readUnixRow).mockReturnValueOnce(undefined);
  expect((await adopt({ path }, path)).address).toEqual({ kind: 'unix', path });
});

test('a socket without a path is at no address of ours', async () => {
  expect((await adopt({ path: `\0${path}` }, path)).address).toBeUndefined();
});

test('nor is one of which the system tells nothing, and that has a name', async () => {
  vi.mocked(readUnixRow).mockReturnValueOnce(undefined);
  expect((await adopt({ path }, 'office')).address).toBeUndefined();
});

test('a connection that can’t be accepted ends nothing', async () => {
  await adopt({ path });
  for (let count = 0; count < 2; count++) expect(server.emit('error', new Error('EMFILE'))).toBe(true);
});

test('a connection is no listening socket, and nobody tries', async () => {
  const listening = new Server().listen(path);
  const client = connect(path);
  await once(client, 'connect');
  const { fd } = (client as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const error = await InheritedSocket.adopt({ fd, name: 'office' }).catch((each: unknown) => each);
  expect(error).toMatchObject({ code: 'ERR_USAGE', hint: expect.stringContaining('ListenStream=') });
  const { message, cause } = error as Error;
  expect([message.endsWith(' is no listening stream socket'), cause]).toEqual([true, undefined]);
  client.destroy();
  listening.close();
  await once(listening, 'close');
});

test('a socket for datagrams is none, as listening on it says', async () => {
  const udp = createSocket('udp4').bind(0, '127.0.0.1');
  await once(udp, 'listening');
  await expect(InheritedSocket.adopt({ fd: fdOf(udp), name: '' })).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: expect.stringMatching(/ is no listening stream socket \(.*EINVAL/),
    cause: expect.objectContaining({ code: 'EINVAL' }),
  });
  udp.close();
});

function fdOf(socket: UdpSocket): number {
  const states = socket as unknown as Record<symbol, { readonly handle: { readonly fd: number } } | undefined>;
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol');
  return (symbol && states[symbol]?.handle.fd) ?? -1;
}
