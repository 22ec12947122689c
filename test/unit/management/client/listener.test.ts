import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { getEventListeners, once } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  listenManagement,
  type ListenOptions,
  type ManagementAddress,
  ManagementClient,
  type ManagementListener,
} from '../../../../src/management/index.ts';
import { ManagementConnection } from '../../../../src/management/connection/connection.ts';
import { KEEP_ALIVE } from '../../../../src/management/sockets/keep-alive.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeDaemon, GREETING } from '../../../support/fake-daemon.ts';

let folder: string;
const listeners: ManagementListener[] = [];
const daemons: FakeDaemon[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-listen-'));
});
afterEach(async () => {
  for (const each of daemons.splice(0)) each.close();
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  rmSync(folder, { recursive: true });
});

async function listen(address: ManagementAddress, options?: ListenOptions): Promise<ManagementListener> {
  const listener = await listenManagement(address, options);
  listeners.push(listener);
  return listener;
}

/** A daemon with --management-client. */
async function daemon(address: ManagementAddress): Promise<FakeDaemon> {
  const its = await FakeDaemon.open(address);
  daemons.push(its);
  return its;
}

const anyPort: ManagementAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 };

test('hands out daemons as they connect, each with its password and version', async () => {
  const listener = await listen(anyPort, { password: new Secret('pw'), clientVersion: 3 });
  const iterator = listener[Symbol.asyncIterator]();
  for (let round = 0; round < 2; round += 1) {
    const next = iterator.next();
    const its = await daemon(listener.address);
    its.say('ENTER PASSWORD:');
    await its.hear('pw\nversion 3\n');
    its.say(`SUCCESS: password is correct\r\n${GREETING}>HOLD:Waiting for hold release:${round}\r\n`);
    const client = (await next).value as { next(type: 'HOLD'): Promise<{ waitSeconds: number }> };
    expect((await client.next('HOLD')).waitSeconds).toBe(round);
  }
});

test('a daemon that fails is reported and doesn’t stop the others', async () => {
  const rejected: string[] = [];
  const listener = await listen(anyPort, { onRejected: ({ code }) => rejected.push(code) });
  const bad = await daemon(listener.address);
  bad.say('ENTER PASSWORD:');
  await bad.gone();
  const good = await daemon(listener.address);
  good.say(GREETING);
  for await (const client of listener) {
    expect(client.daemonVersion.management).toBe(5);
    break;
  }
  expect(rejected).toEqual(['ERR_MANAGEMENT_PASSWORD']);
});

test('closing ends iteration and leaves clients that were handed out', async () => {
  const stop = new AbortController();
  const listener = await listen(anyPort, { signal: stop.signal });
  const its = await daemon(listener.address);
  its.say(GREETING);
  const iterator = listener[Symbol.asyncIterator]();
  const client = (await iterator.next()).value as { raw(line: string): Promise<{ text: string }>; close(): unknown };
  const end = iterator.next();
  stop.abort();
  expect((await end).done).toBe(true);
  const pid = client.raw('pid');
  await its.hear('pid\n');
  its.say('SUCCESS: pid=1\r\n');
  expect((await pid).text).toBe('pid=1');
  await expect(daemon(listener.address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await client.close();
});

test('a port in use', async () => {
  const first = await listen(anyPort);
  await expect(listenManagement(first.address)).rejects.toMatchObject({
    code: 'ERR_MANAGEMENT_IN_USE',
    line: expect.stringMatching(
      /^can't listen for OpenVPN on 127\.0\.0\.1:\d+: already in use, another process listens on it$/,
    ) as string,
  });
});

test('a unix socket: private, removed on close, stale ones replaced, others left alone', async () => {
  const address: ManagementAddress = { kind: 'unix', path: join(folder, 'm.sock') };
  const listener = await listen(address);
  expect(statSync(address.path).mode & 0o777).toBe(0o600);
  await expect(listenManagement(address)).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_IN_USE' });
  const its = await daemon(address);
  its.say(GREETING);
  for await (const client of listener) {
    expect(client.peer).toBe(address.path);
    break;
  }
  await listener.close();
  expect(existsSync(address.path)).toBe(false);
  await listener.close();

  // what a process leaves that was killed
  const left = createServer();
  await new Promise<void>((resolve) => left.listen(join(folder, 'bound.sock'), resolve));
  renameSync(join(folder, 'bound.sock'), address.path);
  await new Promise((resolve) => left.close(resolve));
  expect(existsSync(address.path)).toBe(true);
  const again = await listen(address, { mode: 0o660 });
  expect(statSync(address.path).mode & 0o777).toBe(0o660);
  await again.close();

  writeFileSync(address.path, 'precious');
  await expect(listenManagement(address)).rejects.toMatchObject({
    code: 'ERR_MANAGEMENT_ADDRESS',
    hint: expect.stringContaining('there is something that is not a socket'),
  });
  expect(readFileSync(address.path, 'utf8')).toBe('precious');
});

test('where it can’t listen, and aborted', async () => {
  await expect(listenManagement({ kind: 'unix', path: join(folder, 'no', 'm.sock') })).rejects.toMatchObject({
    code: 'ERR_MANAGEMENT_LISTEN',
  });
  await expect(listenManagement(anyPort, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'ERR_ABORTED',
  });
});

test('so many daemons at a time; the one that was faster with its greeting counts', async () => {
  const rejected: string[] = [];
  const listener = await listen(anyPort, { maxDaemons: 1, onRejected: ({ code }) => rejected.push(code) });
  const [slow, fast] = [await daemon(listener.address), await daemon(listener.address)];
  fast.say(GREETING);
  const iterator = listener[Symbol.asyncIterator]();
  const client = (await iterator.next()).value as { close(): Promise<unknown> };
  slow.say(GREETING);
  await slow.gone();
  await (await daemon(listener.address)).gone();
  expect(rejected[0]).toBe('ERR_MANAGEMENT_LIMIT');
  await client.close();
  (await daemon(listener.address)).say(GREETING);
  expect((await iterator.next()).done).toBe(false);
});

test('the peer that is silent longest makes room for the next', async () => {
  const listener = await listen(anyPort, { connectTimeout: 0 });
  const silent = await Promise.all(Array.from({ length: 72 }, () => daemon(listener.address)));
  await Promise.all(silent.slice(0, 8).map((each) => each.gone()));
  silent.at(-1)?.say(GREETING);
  for await (const client of listener) {
    expect(client.daemonVersion.management).toBe(5);
    break;
  }
});

test.each(['\r\n', '>NOTE:x\r\n', '>'])('endless %j is no greeting', async (text) => {
  const rejected: string[] = [];
  const listener = await listen(anyPort, { connectTimeout: 0, onRejected: ({ code }) => rejected.push(code) });
  const its = await daemon(listener.address);
  its.say(text.repeat(200_000 / text.length));
  await its.gone();
  await listener.close();
  expect(rejected.length).toBeLessThanOrEqual(1);
});

test('a daemon that has greeted is never pushed out, however many are silent', async () => {
  const listener = await listen(anyPort, { connectTimeout: 0 });
  const its = await daemon(listener.address);
  its.say(GREETING);
  const iterator = listener[Symbol.asyncIterator]();
  const client = (await iterator.next()).value as ManagementClient;
  const silent = await Promise.all(Array.from({ length: 66 }, () => daemon(listener.address)));
  await Promise.all(silent.slice(0, 2).map((each) => each.gone()));
  const pid = client.pid();
  await its.hear('pid\n');
  its.say('SUCCESS: pid=1\r\n');
  expect(await pid).toBe(1);
  // the third oldest waits still
  silent[2]?.say(GREETING);
  expect((await iterator.next()).done).toBe(false);
});

test('who never greets is turned away in time, who greeted stays', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const rejected: string[] = [];
    const listener = await listen(anyPort, { onRejected: ({ code }) => rejected.push(code) });
    const [silent, good] = [await daemon(listener.address), await daemon(listener.address)];
    good.say(GREETING);
    // who came before it has been accepted then
    const client = (await listener[Symbol.asyncIterator]().next()).value as ManagementClient;
    vi.advanceTimersByTime(10_000);
    await silent.gone();
    const pid = client.pid();
    await good.hear('pid\n');
    good.say('SUCCESS: pid=1\r\n');
    expect(await pid).toBe(1);
    expect(rejected).toEqual(['ERR_MANAGEMENT_TIMEOUT']);
  } finally {
    vi.useRealTimers();
  }
});

test('its end leaves nobody who waits: silent ones, and ones that nobody took', async () => {
  const rejected: string[] = [];
  const stop = new AbortController();
  const listener = await listen(anyPort, { signal: stop.signal, onRejected: ({ code }) => rejected.push(code) });
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
  const [untaken, silent, taken] = [
    await daemon(listener.address),
    await daemon(listener.address),
    await daemon(listener.address),
  ];
  untaken.say(GREETING);
  // once one is handed out, the others have been accepted
  const iterator = listener[Symbol.asyncIterator]();
  expect((await iterator.next()).done).toBe(false);
  taken.say(GREETING);
  const second = (await iterator.next()).value as ManagementClient;
  const third = await daemon(listener.address);
  third.say(GREETING);
  const last = await daemon(listener.address);
  last.say('220 smtp\r\n');
  await last.gone();
  await listener.close();
  await Promise.all([silent.gone(), third.gone()]);
  expect(rejected).toEqual(['ERR_MANAGEMENT_PROTOCOL']);
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
  expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
  await second.close();
});

test('those that were turned away and not told of yet are told of at its end', async () => {
  const rejected: [string, number][] = [];
  const listener = await listen(anyPort, { onRejected: ({ code }, _, count) => rejected.push([code, count]) });
  for (let each = 0; each < 3; each += 1) {
    const its = await daemon(listener.address);
    its.say('220 smtp\r\n');
    await its.gone();
  }
  await listener[Symbol.asyncDispose]();
  expect(rejected).toEqual([
    ['ERR_MANAGEMENT_PROTOCOL', 1],
    ['ERR_MANAGEMENT_PROTOCOL', 2],
  ]);
});

test('a daemon that ends its side is gone, and makes room', async () => {
  const rejected: unknown[] = [];
  const listener = await listen(anyPort, { maxDaemons: 1, onRejected: ({ reason }) => rejected.push(reason) });
  const its = await daemon(listener.address);
  its.say(GREETING);
  const client = (await listener[Symbol.asyncIterator]().next()).value as ManagementClient;
  await (await daemon(listener.address)).gone();
  expect(rejected).toEqual(['too-many-daemons']);
  its.socket.end();
  expect((await client.closed).by).toBe('daemon');
});

test('a daemon that connects is answered at once, and asked whether it is there when it is silent', async () => {
  const [delay, alive] = [vi.spyOn(Socket.prototype, 'setNoDelay'), vi.spyOn(Socket.prototype, 'setKeepAlive')];
  const listener = await listen(anyPort);
  const its = await daemon(listener.address);
  its.say(GREETING);
  const client = (await listener[Symbol.asyncIterator]().next()).value as ManagementClient;
  const ours = alive.mock.contexts[0];
  expect(alive.mock.calls).toEqual([[true, KEEP_ALIVE]]);
  expect(delay.mock.calls.filter((_, call) => delay.mock.contexts[call] === ours)).toEqual([[true]]);
  vi.restoreAllMocks();
  await client.close();
});

test('a daemon that greeted before anybody asked for it is not lost', async () => {
  const listener = await listen(anyPort, { maxDaemons: 1 });
  const both = [await daemon(listener.address), await daemon(listener.address)];
  for (const each of both) each.say(GREETING);
  // once one of them is one too many, the other waits to be taken
  await Promise.race(both.map((each) => each.gone()));
  const { done, value } = await listener[Symbol.asyncIterator]().next();
  expect(done).toBe(false);
  expect((value as ManagementClient).daemonVersion.management).toBe(5);
  await (value as ManagementClient).close();
});

test('who is turned away is told of by its own address, and how many were there', async () => {
  for (const [maxDaemons, served] of [
    [1, 'another daemon is'],
    [2, '2 daemons are'],
  ] as const) {
    const rejected: string[] = [];
    const listener = await listen(anyPort, {
      maxDaemons,
      onRejected: ({ message }, peer) => rejected.push(peer, message),
    });
    const iterator = listener[Symbol.asyncIterator]();
    for (let each = 0; each < maxDaemons; each += 1) {
      (await daemon(listener.address)).say(GREETING);
      await iterator.next();
    }
    const its = await daemon(listener.address);
    const peer = `127.0.0.1:${its.socket.localPort}`;
    await its.gone();
    expect(rejected).toEqual([peer, `${peer} was turned away: ${served} connected already`]);
  }
});

describe('a connection that the system hands over late', () => {
  let server: Server;
  let place: ManagementAddress;
  let next: Promise<Socket>;
  beforeEach(async () => {
    server = createServer();
    next = once(server, 'connection').then(([socket]) => socket as Socket);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    place = { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  });
  afterEach(() => void server.close());

  test('gets nothing once the listener ends, not even our version', async () => {
    const rejected: string[] = [];
    const listener = await listen(anyPort, { clientVersion: 3, onRejected: ({ code }) => rejected.push(code) });
    const its = await daemon(place);
    its.say(GREETING);
    await listener.close();
    await listener.accept(await next);
    await its.gone();
    expect([its.all, rejected]).toEqual(['', []]);
  });

  test('is told of by the address that it came to, if it has gone by then', async () => {
    const peers: string[] = [];
    const listener = await listen(anyPort, { onRejected: (_, peer) => peers.push(peer) });
    await daemon(place);
    const socket = await next;
    socket.destroy();
    await listener.accept(socket);
    const { port } = listener.address as { port: number };
    expect(peers).toEqual([`127.0.0.1:${port}`]);
  });
});

test('a daemon that greets just as the listener ends is handed to nobody', async () => {
  const listener = await listen(anyPort);
  const greets = vi.spyOn(ManagementClient.prototype, 'greeted').mockImplementation(async function (
    this: ManagementClient,
  ) {
    await ManagementConnection.prototype.greeted.call(this);
    void listener.close();
  });
  const its = await daemon(listener.address);
  its.say(GREETING);
  await its.gone();
  greets.mockRestore();
  expect(await listener[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
});
