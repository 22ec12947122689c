import { describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { NotificationHub } from '../../../../src/management/connection/notification-hub.ts';
import type { Notification } from '../../../../src/management/index.ts';
import { GREETING } from '../../../support/fake-daemon.ts';
import { coded, setUp, soon } from '../pair.ts';

const { pair } = setUp();

/** A hub without a connection, and how often it told of a change. */
function hubOf(): { hub: NotificationHub; told: { changed: number }; push: (...lines: string[]) => void } {
  const told = { changed: 0 };
  const hub = new NotificationHub(() => (told.changed += 1));
  const push = (...lines: string[]): void => {
    for (const line of lines) hub.push({ notification: { type: 'STRAY', line }, lines: [line], bytes: [line] });
  };
  return { hub, told, push };
}
const closed = (): AgentError => new AgentError('ERR_MANAGEMENT_CLOSED', 'closed');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('what waits is counted', () => {
  test('while nobody listens, and until somebody does', async () => {
    const { hub, told, push } = hubOf();
    push('a', 'b');
    const { held } = hub;
    expect([hub.queued, held > 0, hub.isHeard]).toEqual([2, true, false]);
    push('c');
    expect(hub.held).toBe(1.5 * held);
    for (const type of ['HOLD', 'FATAL'] as const) hub.on(type, () => undefined);
    expect(hub.isHeard).toBe(false);
    await turn();
    expect([hub.queued, hub.held, hub.isHeard, told.changed]).toEqual([0, 0, true, 1]);
    // later nothing changes for the connection when somebody listens
    hub.on('HOLD', () => undefined);
    await turn();
    expect(told.changed).toBe(1);
  });

  test('by the reader who has most of it to take', async () => {
    const { hub, push } = hubOf();
    const [quick, slow] = [hub.stream(), hub.stream()];
    await turn();
    push('a', 'b');
    await quick.next();
    expect([hub.queued, hub.held]).toEqual([2, slow.held]);
    await slow.return();
    expect([hub.queued, hub.held]).toEqual([1, quick.held]);
  });
});

describe('a reader', () => {
  test('that comes later gets what comes from then on', async () => {
    const { hub, push } = hubOf();
    hub.on('HOLD', () => undefined);
    push('a');
    await turn();
    const stream = hub.stream();
    push('b');
    expect(await soon(stream.next())).toEqual({ done: false, value: { type: 'STRAY', line: 'b' } });
  });

  test('that left is not told of anything any more, and others are', async () => {
    const { hub, push } = hubOf();
    const [left, stays] = [hub.stream(), hub.stream()];
    await turn();
    const told = vi.spyOn(left, 'push');
    await left.return();
    push('a');
    expect([told.mock.calls, stays.size]).toEqual([[], 1]);
  });
});

describe('the end of the connection', () => {
  test('comes behind what was kept, for all who begin to listen then', async () => {
    const { hub, push } = hubOf();
    push('a');
    const heard: unknown[] = [];
    hub.on('STRAY', ({ line }) => heard.push(line));
    hub.atEnd((error) => heard.push(error?.message));
    const stream = hub.stream();
    hub.end(new Error('broken'));
    expect(heard).toEqual([]);
    await turn();
    expect(heard).toEqual(['a', 'broken']);
    expect((await stream.next()).done).toBe(false);
    await expect(stream.next()).rejects.toThrow('broken');
  });

  test('is told once, at once to who asks later, and not to who called that off', async () => {
    const { hub } = hubOf();
    const told: string[] = [];
    hub.on('HOLD', () => undefined);
    await turn();
    hub.atEnd(() => told.push('first'));
    hub.atEnd(() => told.push('called off'))();
    hub.end(undefined);
    expect(told).toEqual(['first']);
    hub.atEnd(() => told.push('later'));
    hub.end(undefined);
    expect(told).toEqual(['first', 'later']);
    expect((await hub.stream().next()).done).toBe(true);
  });

  test('before anybody listened leaves what came to who does', async () => {
    const { hub, push } = hubOf();
    push('a');
    hub.end(undefined);
    const stream = hub.stream();
    expect([(await stream.next()).done, (await stream.next()).done]).toEqual([false, true]);
    await expect(soon(hub.next('STRAY', {}, closed))).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });
});

describe('who listens no more', () => {
  test('hears nothing, and others do', async () => {
    const { hub, push } = hubOf();
    const heard: string[] = [];
    const stop = hub.on('STRAY', ({ line }) => heard.push(`first ${line}`));
    hub.on('STRAY', ({ line }) => heard.push(`second ${line}`));
    await turn();
    push('a');
    stop();
    push('b');
    expect(heard).toEqual(['first a', 'second a', 'second b']);
  });

  test('for the next of a type leaves nothing behind', async () => {
    const { hub, push } = hubOf();
    const giveUp = new AbortController();
    const reason = new Error('enough');
    let asked = 0;
    const why = (): AgentError => {
      asked += 1;
      return closed();
    };
    const [next, never] = [hub.next('STRAY', {}, why), hub.next('HOLD', { signal: giveUp.signal }, why)];
    await turn();
    push('a', 'b');
    expect(await soon(next)).toEqual({ type: 'STRAY', line: 'a' });
    giveUp.abort(reason);
    await expect(soon(never)).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
    await expect(soon(hub.next('HOLD', { signal: giveUp.signal }, why))).rejects.toMatchObject({ cause: reason });
    hub.end(undefined);
    expect(asked).toBe(0);
    await expect(soon(hub.next('HOLD', {}, why))).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    expect(asked).toBe(1);
  });
});

describe('notifications', () => {
  test('what came before anybody listened is kept, for all who start together', async () => {
    const { client, daemon } = await pair({}, `${GREETING}>HOLD:Waiting for hold release:0\r\n>PK_SIGN:AAAA,ECDSA\r\n`);
    daemon.say('>STATE:1,CONNECTING,,,,,,\r\n');
    const held: unknown[] = [];
    const all: unknown[] = [];
    client.on('HOLD', (notification) => held.push(notification.waitSeconds));
    client.on('*', (notification, lines) => all.push([notification.type, ...lines]));
    const stream = client.notifications();
    const types = [];
    for (let index = 0; index < 4; index += 1) types.push(((await stream.next()).value as Notification).type);
    expect(types).toEqual(['INFO', 'HOLD', 'PK_SIGN', 'STATE']);
    expect(held).toEqual([0]);
    expect(all).toContainEqual(['PK_SIGN', '>PK_SIGN:AAAA,ECDSA']);
  });

  test('iterating ends when the daemon closes, after what came before', async () => {
    const { client, daemon } = await pair();
    daemon.say('>FATAL:bye\r\n>LOG:1,I,unfini');
    daemon.socket.end();
    await client.closed;
    const types: string[] = [];
    for await (const { type } of client) types.push(type);
    expect(types).toEqual(['INFO', 'FATAL', 'TRUNCATED']);
    expect((await client.closed).by).toBe('daemon');
  });

  test('a slow reader holds the daemon back, but not the reply that it awaits', async () => {
    const { client, daemon } = await pair({ highWaterMark: 10 });
    const stream = client.notifications();
    for (let index = 0; index < 200; index += 1) daemon.say(`>BYTECOUNT:${index},0\r\n`);
    const asked = client.raw('pid');
    await daemon.hear('pid\n');
    daemon.say('SUCCESS: pid=7\r\n');
    expect((await asked).text).toBe('pid=7');
    const seen: number[] = [];
    for await (const notification of stream) {
      if (notification.type === 'BYTECOUNT') seen.push(notification.bytesIn);
      if (seen.length === 200) break;
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => index));
  });

  test('taken one after the other, from what was kept to the last; what fails concerns no other', async () => {
    const { client, daemon } = await pair({}, `${GREETING}>HOLD:Waiting for hold release:0\r\n`);
    const taken: string[] = [];
    let underWay = 0;
    const taker = client.takeEach(async ({ type }) => {
      underWay += 1;
      await new Promise((resolve) => setImmediate(resolve));
      taken.push(`${type} ${underWay}`);
      underWay -= 1;
      if (type === 'HOLD') throw new Error('this one can not be taken');
    });
    for (let index = 0; index < 100; index += 1) daemon.say('>BYTECOUNT:1,2\r\n');
    daemon.say('>FATAL:bye\r\n');
    daemon.socket.end();
    await taker.over();
    expect(taken).toEqual(['INFO 1', 'HOLD 1', ...Array.from({ length: 100 }, () => 'BYTECOUNT 1'), 'FATAL 1']);
    expect([taker.size, taker.held]).toEqual([0, 0]);
    // and to who comes when all is over
    await client.takeEach(() => Promise.resolve()).over();
  });

  test('next: the next of a type, given up by signal or with the connection', async () => {
    const { client, daemon } = await pair();
    const next = client.next('HOLD');
    daemon.say('>HOLD:Waiting for hold release:3\r\n');
    expect((await next).waitSeconds).toBe(3);
    await expect(client.next('HOLD', { signal: AbortSignal.abort() })).rejects.toEqual(coded('ERR_ABORTED'));
    await expect(client.next('HOLD', { timeout: 1 })).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
    const never = client.next('HOLD');
    daemon.socket.end();
    await expect(never).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    await expect(client.next('HOLD')).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });

  test('a request that the daemon cut is noticed at once and answered with an empty block', async () => {
    const { client, daemon } = await pair();
    const cut = client.next('TRUNCATED');
    daemon.say('>PK_SIGN:'.padEnd(10_239, 'A'));
    expect((await cut).of).toBe('PK_SIGN');
    const answered = client.pkSig(null);
    await daemon.hear('pk-sig\nEND\n');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    await answered;
  });

  test('a listener that throws is not the connection’s end', async () => {
    const { client, daemon } = await pair();
    const others = process.rawListeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    const held = client.next('HOLD');
    client.on('HOLD', () => {
      throw new Error('the listener’s own');
    });
    daemon.say('>HOLD:x\r\n');
    await held;
    expect(await thrown).toMatchObject({ message: 'the listener’s own' });
    for (const other of others) process.on('uncaughtException', other as () => void);
  });
});
