import { setMaxListeners } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, watch, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectLoop } from '../../../src/agent/connect-loop.ts';
import { NextTry } from '../../../src/agent/next-try.ts';
import { agentRounds } from '../../../src/agent/retry-rounds.ts';
import { NETWORK } from '../../../src/agent/tunnel.ts';
import { AgentError } from '../../../src/errors.ts';
import type { ManagementAddress, ManagementClient } from '../../../src/management/index.ts';
import { PathWatches, type WatchPath } from '../../../src/management/internal.ts';
import { FakeListener, GREETING } from '../../support/fake-daemon.ts';
import { FakeClock } from './fake-clock.ts';

/** Lets what was settled be heard. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let folder: string;
let clock: FakeClock;
let stop: AbortController;
let watches: PathWatches;
/** Loops and listeners, to be ended. */
let ends: (() => Promise<void>)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-next-'));
  clock = new FakeClock();
  stop = new AbortController();
  setMaxListeners(0, stop.signal);
  // whatever else happens on this machine is no flood: nothing would be told, and no time passes
  let now = 0;
  watches = new PathWatches(watch, () => (now += 1_000));
  ends = [];
});
afterEach(async () => {
  stop.abort();
  for (const end of ends) await end();
  expect(watches.size).toBe(0);
  rmSync(folder, { recursive: true });
});

async function listen(path: string): Promise<FakeListener> {
  const listener = await FakeListener.appear(path);
  ends.push(() => listener.stop());
  return listener;
}

/** A real connection to a socket, in a world where time stands still. */
function serve(path: string, watchPath: WatchPath = watches.watch) {
  const connected: ManagementClient[] = [];
  let count = 0;
  let wake: () => void = () => undefined;
  const tried = { times: 0, inVain: 0 };
  let onVain: () => void = () => undefined;
  const loop = connectLoop({
    nextTry: new NextTry({ address: unix(path), watchPath, rounds: agentRounds(clock), clock, signal: stop.signal }),
    connect: async (onConnected, signal) => {
      tried.times += 1;
      try {
        const owner = { self: process.geteuid?.() ?? 0 };
        return await NETWORK.connect(unix(path), { connectTimeout: 0, onConnected, signal, owner });
      } catch (error) {
        tried.inVain += 1;
        onVain();
        throw error;
      }
    },
    serve: async (client) => {
      connected.push(client);
      wake();
      return (await client.closed).by;
    },
    signal: stop.signal,
    emit: () => undefined,
    clock,
  });
  ends.unshift(async () => {
    for (const client of connected) await client.close();
    await loop;
  });
  const isServed = async (): Promise<void> => {
    count += 1;
    while (connected.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  /** Waits for the first try that finds nobody. */
  const isTriedInVain = async (): Promise<void> => {
    if (tried.inVain === 0) await new Promise<void>((resolve) => (onVain = resolve));
    await turn();
  };
  return { tried, isServed, isTriedInVain };
}

const unix = (path: string): ManagementAddress => ({ kind: 'unix', path });

/** Greets the first connection, and each that is made in its place. */
async function greets(listener: FakeListener): Promise<void> {
  (await listener.next()).say(GREETING);
  void greets(listener);
}

/** Lets a loop come to where it waits, most times: what is tested must hold also if it has not. */
async function rests({ tried }: { tried: { times: number } }): Promise<void> {
  for (let quiet = 0, before = 0; quiet < 50; quiet += 1) {
    if (tried.times !== before) quiet = 0;
    before = tried.times;
    await turn();
  }
}

describe('without any time passing', () => {
  test('a daemon is found that makes its folders and socket later', async () => {
    const loop = serve(join(folder, 'run', 'openvpn', 'sock'));
    await rests(loop);
    mkdirSync(join(folder, 'run', 'openvpn'), { recursive: true });
    await rests(loop);
    await greets(await listen(join(folder, 'run', 'openvpn', 'sock')));
    await loop.isServed();
  });

  test('a daemon is found that replaces the socket of one which crashed', async () => {
    const path = join(folder, 'sock');
    const crashed = await deaf(path);
    const loop = serve(path);
    await rests(loop);
    unlinkSync(path);
    const listener = await listen(path);
    await greets(listener);
    await loop.isServed();
    await crashed();
  });

  test('a daemon is found each time that it is started again', async () => {
    const path = join(folder, 'sock');
    const loop = serve(path);
    for (let times = 0; times < 5; times += 1) {
      await rests(loop);
      // so many tries are allowed in a row, and a busy machine takes some while the one before ends
      clock.pass(3);
      await rests(loop);
      const listener = await listen(path);
      await greets(listener);
      await loop.isServed();
      await listener.stop();
    }
  });

  test('a daemon is found whose folder is replaced, and by links', async () => {
    mkdirSync(join(folder, 'old'));
    mkdirSync(join(folder, 'new'));
    symlinkSync('old', join(folder, 'run'));
    const loop = serve(join(folder, 'run', 'sock'));
    await rests(loop);
    symlinkSync('new', join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'run'));
    await rests(loop);
    await greets(await listen(join(folder, 'new', 'sock')));
    await loop.isServed();
  });
});

/** A socket at which nobody listens any more, as a daemon leaves it that crashed. */
async function deaf(path: string): Promise<() => Promise<void>> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}-bound`, resolve));
  renameSync(`${path}-bound`, path);
  await new Promise((resolve) => server.close(resolve));
  return () => Promise.resolve();
}

test('where nothing can be watched, the socket is found by time', async () => {
  const exhausted = new PathWatches(() => {
    throw Object.assign(new Error('ENOSPC: watch'), { code: 'ENOSPC' });
  });
  const loop = serve(join(folder, 'sock'), exhausted.watch);
  await loop.isTriedInVain();
  const listener = await listen(join(folder, 'sock'));
  await rests(loop);
  expect(loop.tried.times).toBe(1);
  clock.pass(0.25);
  await greets(listener);
  await loop.isServed();
  expect(loop.tried.times).toBe(2);
});

test('a connection that lasts leaves nothing watched', async () => {
  const loop = serve(join(folder, 'sock'));
  await loop.isTriedInVain();
  while (watches.size === 0) await turn();
  await greets(await listen(join(folder, 'sock')));
  await loop.isServed();
  clock.pass(10);
  expect(watches.size).toBe(0);
});

/** A loop whose daemon is never there, and a watch that the test has. */
function hopeless(address: ManagementAddress, error: () => AgentError, rounds = agentRounds(clock)) {
  const tries: number[] = [];
  let change: () => void = () => undefined;
  const watchPath: WatchPath = (_, onChange) => {
    change = onChange;
    let isFirst = true;
    const renew = (): Promise<boolean> => {
      const isNews = isFirst;
      isFirst = false;
      return Promise.resolve(isNews);
    };
    return { isWhole: true, renew, [Symbol.dispose]: () => undefined };
  };
  const loop = connectLoop({
    nextTry: new NextTry({ address, watchPath, rounds, clock, signal: stop.signal }),
    connect: () => {
      tries.push(clock.now());
      return Promise.reject(error());
    },
    serve: () => Promise.resolve(''),
    signal: stop.signal,
    emit: () => undefined,
    clock,
  });
  ends.push(() => loop);
  return {
    tries,
    change: () => {
      change();
    },
  };
}

const failed = (code: string) => (): AgentError =>
  new AgentError('ERR_MANAGEMENT_CONNECT', 'no', { cause: Object.assign(new Error(code), { code }) });

async function pass(milliseconds: number, step: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += step) {
    clock.pass(step / 1000);
    await turn();
  }
}

describe('a socket that is watched', () => {
  test('and refused after a change is tried again within milliseconds: its daemon may be about to listen', async () => {
    const { tries, change } = hopeless(unix('/run/sock'), failed('ECONNREFUSED'));
    await turn();
    await pass(10_000, 1_000);
    const before = tries.length;
    change();
    await pass(100, 1);
    expect(tries.length - before).toBeGreaterThanOrEqual(6);
  });

  test('is hardly tried where nothing changes', async () => {
    const { tries } = hopeless(unix('/run/sock'), failed('ENOENT'));
    await turn();
    await pass(3_600_000, 1_000);
    expect(tries.length).toBeGreaterThan(3_600 / 32);
    expect(tries.length).toBeLessThan(3_600 / 30 + 20);
  });

  test.for(['ECONNREFUSED', 'ENOENT', 'EACCES'])(
    'is tried four times a second at most, however often it changes (%s)',
    async (code) => {
      const { tries, change } = hopeless(unix('/run/sock'), failed(code));
      await turn();
      for (let milliseconds = 0; milliseconds < 60_000; milliseconds += 1) {
        change();
        await pass(1, 1);
      }
      expect(tries.length).toBeGreaterThan(4 * 60 - 5);
      expect(tries.length).toBeLessThan(4 * 60 + 15);
    },
  );

  test('is not tried again at once where a person must help, unless it changes', async () => {
    const { tries, change } = hopeless(unix('/run/sock'), failed('EACCES'));
    await turn();
    await turn();
    expect(tries).toHaveLength(1);
    change();
    await turn();
    expect(tries).toHaveLength(2);
  });
});

test('however many wait, so many tries a second are made, and each has its turn', async () => {
  const rounds = agentRounds(clock);
  const near: ManagementAddress = { kind: 'tcp', host: '127.0.0.1', port: 7505 };
  const all = Array.from({ length: 1_000 }, () => hopeless(near, failed('ECONNREFUSED'), rounds).tries);
  await turn();
  const before = all.map((tries) => tries.length);
  await pass(60_000, 50);
  const counts = all.map((tries, index) => tries.length - (before[index] ?? 0));
  const sum = counts.reduce((a, b) => a + b);
  expect(sum).toBeLessThanOrEqual(200 * 60);
  expect(sum).toBeGreaterThan(190 * 60);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
});

test('many sockets that are watched are looked at twice a second, all together', async () => {
  const rounds = agentRounds(clock);
  const all = Array.from({ length: 1_000 }, (_, index) => hopeless(unix(`/run/${index}`), failed('ENOENT'), rounds));
  await turn();
  await pass(10_000, 50);
  const before = all.reduce((sum, { tries }) => sum + tries.length, 0);
  await pass(60_000, 50);
  expect(all.reduce((sum, { tries }) => sum + tries.length, 0) - before).toBeLessThanOrEqual(2 * 60 + 1);
});

test('a stop ends the waiting, whatever is waited for', async () => {
  writeFileSync(join(folder, 'file'), '');
  for (const path of ['sock', 'none/sock', 'file', 'file/sock']) {
    const loop = serve(join(folder, path));
    await rests(loop);
  }
  stop.abort();
  for (const end of ends) await end();
  expect(watches.size).toBe(0);
});
