import { expect, test } from 'vitest';
import { connectLoop } from '../../../src/agent/connect-loop.ts';
import type { TunnelEvent } from '../../../src/agent/events.ts';
import { NextTry } from '../../../src/agent/next-try.ts';
import { agentRounds } from '../../../src/agent/retry-rounds.ts';
import { AgentError } from '../../../src/errors.ts';
import { type ManagementAddress, ManagementClient } from '../../../src/management/index.ts';
import { FakeClock } from './fake-clock.ts';

/** Lets what was settled be heard. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Bed {
  readonly clock: FakeClock;
  readonly events: TunnelEvent[];
  /** Seconds at which a connection was tried. */
  readonly tries: number[];
  readonly stop: AbortController;
  readonly loop: Promise<void>;
  /** Lets time pass second by second, so that all that comes of one is done before the next. */
  readonly pass: (seconds: number) => Promise<void>;
}

const FAR: ManagementAddress = { kind: 'tcp', host: '192.0.2.1', port: 7505 };
const NEAR: ManagementAddress = { kind: 'tcp', host: '127.0.0.1', port: 7505 };

function bed(
  connect: (onConnected: () => void, signal: AbortSignal) => Promise<ManagementClient>,
  { serve = 'closed by the daemon', address = FAR }: { serve?: string; address?: ManagementAddress } = {},
): Bed {
  const clock = new FakeClock();
  const events: TunnelEvent[] = [];
  const tries: number[] = [];
  const stop = new AbortController();
  const loop = connectLoop({
    connect: (onConnected, signal) => {
      tries.push(clock.now() / 1000);
      return connect(onConnected, signal);
    },
    serve: () => Promise.resolve(serve),
    signal: stop.signal,
    emit: (event) => events.push(event),
    clock,
    nextTry: new NextTry({
      address,
      watchPath: () => {
        throw new Error('nothing is watched for a TCP address');
      },
      rounds: agentRounds(clock),
      clock,
      signal: stop.signal,
    }),
  });
  const pass = async (seconds: number): Promise<void> => {
    for (let tenth = 0; tenth < seconds * 10; tenth += 1) {
      clock.pass(0.1);
      await turn();
    }
  };
  return { clock, events, tries, stop, loop, pass };
}

const refusedWith = (code: 'ERR_MANAGEMENT_CONNECT' | 'ERR_MANAGEMENT_PASSWORD') => () =>
  Promise.reject(new AgentError(code, 'no'));

test('a daemon on another host is tried every five seconds at last, and told after ten', async () => {
  const { events, tries, stop, loop, pass } = bed(refusedWith('ERR_MANAGEMENT_CONNECT'));
  await pass(60);
  stop.abort();
  await loop;
  const pauses = tries.map((at, index) => at - (tries[index - 1] ?? 0)).slice(1);
  expect(pauses[0]).toBeLessThan(0.5);
  expect(Math.max(...pauses)).toBeLessThan(5.5);
  expect(events.filter(({ type }) => type === 'daemon-awaited')).toHaveLength(1);
  const told = events.filter((event) => event.type === 'trouble');
  expect(told[0]).toMatchObject({ trouble: 'unreachable', level: 'warn' });
  expect(told[0]?.seconds).toBeGreaterThanOrEqual(10);
});

test('a loopback port that refuses is tried every quarter of a second, for ever', async () => {
  const { events, tries, stop, loop, pass } = bed(refusedWith('ERR_MANAGEMENT_CONNECT'), { address: NEAR });
  await pass(600);
  stop.abort();
  await loop;
  expect(tries.length).toBeGreaterThan(1_900);
  expect(tries.length).toBeLessThanOrEqual(2_401);
  expect(events.filter(({ type }) => type === 'daemon-awaited')).toHaveLength(1);
});

test('what needs a person is told at once, and tried less often', async () => {
  const { events, tries, stop, loop, pass } = bed(refusedWith('ERR_MANAGEMENT_PASSWORD'));
  await pass(1);
  expect(events).toContainEqual(expect.objectContaining({ type: 'trouble', level: 'error', seconds: 0 }));
  await pass(120);
  stop.abort();
  await loop;
  expect(tries.length).toBeLessThan(20);
});

test('a daemon that accepts and does not greet has its seat taken', async () => {
  const { events, stop, loop, pass } = bed((onConnected) => {
    onConnected();
    return new Promise(() => undefined);
  });
  await pass(6);
  expect(events).toEqual([expect.objectContaining({ type: 'trouble', trouble: 'no-greeting' })]);
  stop.abort();
  await loop;
});

test('a connection that comes after the stop is closed', async () => {
  let arrive: ((client: ManagementClient) => void) | undefined;
  const { stop, loop } = bed(() => new Promise((resolve) => (arrive = resolve)));
  stop.abort();
  await loop;
  let isClosed = false;
  const close = (): Promise<void> => {
    isClosed = true;
    return Promise.resolve();
  };
  arrive?.(Object.assign(Object.create(ManagementClient.prototype) as ManagementClient, { close }));
  await turn();
  expect(isClosed).toBe(true);
});

test('a stop gives up a connection that is not greeted, and leaves one that stands to be served to its end', async () => {
  const signals: AbortSignal[] = [];
  const waiting = bed((_, signal) => {
    signals.push(signal);
    return new Promise(() => undefined);
  });
  waiting.stop.abort();
  await waiting.loop;
  const standing = bed((_, signal) => {
    signals.push(signal);
    return Promise.resolve(Object.create(ManagementClient.prototype) as ManagementClient);
  });
  await turn();
  standing.stop.abort();
  await standing.loop;
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
});

test('connections that do not last are told', async () => {
  const client = Object.create(ManagementClient.prototype) as ManagementClient;
  const { events, stop, loop, pass } = bed(() => Promise.resolve(client));
  await pass(20);
  stop.abort();
  await loop;
  expect(events).toContainEqual(expect.objectContaining({ type: 'trouble', trouble: 'short-lived' }));
});
