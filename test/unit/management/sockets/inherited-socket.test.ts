import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ManagementAddress } from '../../../../src/management/index.ts';
import { InheritedSocket, type Taker } from '../../../../src/management/sockets/inherited-socket.ts';
import { unixRow } from '../../../../src/management/sockets/unix-table.ts';

let path: string;
let server: Server;
let socket: InheritedSocket;

beforeEach(async () => {
  path = join(mkdtempSync(join(tmpdir(), 'pksigd-inherited-')), 's.sock');
  server = new Server().listen(path);
  await once(server, 'listening');
  socket = new InheritedSocket(server, { kind: 'unix', path }, { fd: 3, name: 'office' });
});
afterEach(() => {
  socket.close();
  rmSync(dirname(path), { recursive: true });
});

/** Serves one line, and says it back. */
function echo(name: string): Taker {
  const onClient = (client: Socket): void => {
    client.once('data', (data: Buffer) => client.end(`${name}: ${data.toString()}`));
  };
  return { options: { allowHalfOpen: true }, onClient };
}

/** A connection that has been accepted. */
async function client(words: string): Promise<Socket> {
  const accepted = once(server, 'connection');
  const made = connect(path);
  if (words !== '') made.write(words);
  await accepted;
  return made;
}

test('who comes between two takers waits for the second, with all that it has said', async () => {
  const first = echo('first');
  socket.take(first);
  expect(await text(await client('a'))).toBe('first: a');
  socket.release(first);
  const waiting = await client('b');
  expect(socket.isTaken).toBe(false);
  socket.take(echo('second'));
  expect(await text(waiting)).toBe('second: b');
  // an end that comes late
  socket.release(first);
  expect(await text(await client('c'))).toBe('second: c');
});

test('who waits in vain is turned away, and so is who comes then, until there is a taker', async () => {
  const waiting = await client('');
  socket.untaken = 'go';
  expect(await text(waiting)).toBe('');
  expect(await text(await client(''))).toBe('');
  socket.take(echo('taker'));
  expect(await text(await client('a'))).toBe('taker: a');
});

test('who waited and was taken is not ended with those whom nobody takes', async () => {
  const waiting = await client('');
  socket.take(echo('taker'));
  socket.untaken = 'go';
  waiting.write('a');
  expect(await text(waiting)).toBe('taker: a');
});

test('one that has said all, and waits for the answer, gets it', async () => {
  const waiting = await client('a');
  waiting.end();
  socket.take({
    options: { allowHalfOpen: true },
    onClient: (its) => {
      its.resume().once('end', () => its.end('answer'));
    },
  });
  expect(await text(waiting)).toBe('answer');
});

test('one that went away meanwhile comes to nobody', async () => {
  const waiting = await client('');
  const ended = once(waiting, 'close');
  waiting.end();
  await ended;
  let count = 0;
  socket.take({ options: {}, onClient: () => (count += 1) });
  expect(count).toBe(0);
});

test('of too many that wait the oldest goes', async () => {
  const first = await client('first');
  const gone = once(first, 'close');
  first.resume();
  const others: Socket[] = [];
  for (let number = 0; number < 64; number++) others.push(await client(`${number}`));
  await gone;
  socket.take(echo('taker'));
  expect(await text(others[0] ?? first)).toBe('taker: 0');
  for (const other of others) other.destroy();
});

test('one that went away takes nobody’s place', async () => {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const gone = connect(path);
  const [its] = await accepted;
  gone.destroy();
  await once(its, 'close');
  const waiting: Socket[] = [];
  for (let number = 0; number < 65; number++) waiting.push(await client(`${number}`));
  const taken: Socket[] = [];
  socket.take({ options: {}, onClient: (each) => taken.push(each) });
  expect(taken).toHaveLength(64);
  for (const each of [...waiting, ...taken]) each.destroy();
});

test('is called by its descriptor, name and place', () => {
  expect(socket.label).toBe(`descriptor 3 'office' (${path})`);
  const labelOf = (name: string, address?: ManagementAddress): string =>
    new InheritedSocket(new Server(), address, { fd: 4, name }).label;
  expect(labelOf('')).toBe('descriptor 4');
  expect(labelOf('x', { kind: 'tcp', host: '::1', port: 1 })).toBe("descriptor 4 'x' ([::1]:1)");
});

test('keeps the process alive while somebody serves it, and not otherwise', () => {
  const isKept = (): boolean => (server as unknown as { _handle: { hasRef(): boolean } })._handle.hasRef();
  const taker = echo('taker');
  expect(isKept()).toBe(false);
  socket.take(taker);
  expect(isKept()).toBe(true);
  socket.release(echo('another'));
  expect(isKept()).toBe(true);
  socket.release(taker);
  expect(isKept()).toBe(false);
  socket.take(taker);
  socket.unref();
  expect(isKept()).toBe(false);
});

test.each([
  [{}, false, []],
  [{ allowHalfOpen: true, noDelay: true }, true, [[true]]],
])('gives a connection its taker’s options: %j', async (options, isHalfOpen, delayed) => {
  const delays = vi.spyOn(Socket.prototype, 'setNoDelay');
  const taken = new Promise<Socket>((resolve) => {
    socket.take({ options, onClient: resolve });
  });
  const made = connect(path);
  const its = await taken;
  expect([its.allowHalfOpen, delays.mock.calls]).toEqual([isHalfOpen, delayed]);
  delays.mockRestore();
  made.destroy();
  its.destroy();
});

test('one that breaks while nobody takes it ends nothing', async () => {
  let its: Socket | undefined;
  server.once('connection', (each) => (its = each));
  const waiting = await client('');
  its?.destroy(new Error('ECONNRESET'));
  await once(waiting.resume(), 'close');
  socket.untaken = 'go';
  const other = await client('');
  await once(other.resume(), 'close');
});

test('what /proc/net/unix says of a socket', () => {
  const table = [
    'Num       RefCount Protocol Flags    Type St Inode Path',
    '0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/a b.sock',
    '0000000000000000: 00000003 00000000 00000000 0001 03 101',
    '0000000000000000: 00000002 00000000 00000000 0002 01 102 /run/log',
    '0000000000000000: 00000002 00000000 00010000 0005 01 103 @abstract',
    '',
  ].join('\n');
  expect(unixRow(table, 100)).toEqual({ isListeningStream: true, path: '/run/a b.sock' });
  expect(unixRow(table, 101)).toEqual({ isListeningStream: false, path: undefined });
  expect(unixRow(table, 102)).toEqual({ isListeningStream: false, path: '/run/log' });
  expect(unixRow(table, 103)).toEqual({ isListeningStream: false, path: '@abstract' });
  expect(unixRow(table, 104)).toBeUndefined();
  expect(unixRow('', 0)).toBeUndefined();
});
