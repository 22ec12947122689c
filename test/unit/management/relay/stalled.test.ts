import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FakeClock } from '../../agent/fake-clock.ts';
import { answer, type Relayed, relays } from './relayed.ts';

const relayed = relays();

/** More than a unix socket has room for. */
const LONG = `${`${'x'.repeat(998)}\r\n`.repeat(2_000)}END\r\n`;

/** Says when the relay has written a reply: it looks a minute later whether something of it was taken. */
class RelayClock extends FakeClock {
  hasReplied = false;

  override after(milliseconds: number, call: () => void): () => void {
    if (milliseconds === 60_000) this.hasReplied = true;
    return super.after(milliseconds, call);
  }
}

let path: string;
let socket: Socket | undefined;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'pksigd-stalled-')), 'r.sock');
});
afterEach(() => {
  vi.useRealTimers();
  socket?.destroy();
  rmSync(join(path, '..'), { recursive: true });
});

/** A client that has asked for a long reply, and reads nothing. */
async function asks(
  clock: RelayClock,
): Promise<{ client: Socket; daemon: Relayed['daemon']; events: unknown[]; relay: Relayed['relay'] }> {
  const { relay, daemon, events } = await relayed({ address: { kind: 'unix', path }, clock });
  const client = connect(path).pause();
  socket = client.on('error', () => undefined);
  await once(client, 'connect');
  client.write('status\n');
  await answer(daemon, 'status', LONG);
  // it waits for its turn
  client.write('pid\n');
  await expect.poll(() => clock.hasReplied).toBe(true);
  return { client, daemon, events, relay };
}

const DROPPED = { type: 'dropped', client: '#1', reason: 'it takes nothing of a reply' };

test('a client that writes on, and is told things, but takes nothing of a reply for a minute, is gone', async () => {
  const clock = new RelayClock();
  const { client, daemon, events } = await asks(clock);
  for (let minutes = 0; minutes < 2; minutes += 1) {
    client.write('pid\n');
    daemon.say('>INFO:1\r\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.pass(60);
  }
  expect(events).toContainEqual(DROPPED);
});

test('one that reads slowly gets all of it', async () => {
  const clock = new RelayClock();
  const { client, events } = await asks(clock);
  let length = 0;
  client.on('data', (chunk: Buffer) => {
    length += chunk.length;
    client.pause();
  });
  const wants = (upTo: number): boolean => length < Math.min(upTo, LONG.length) && !client.destroyed;
  while (wants(LONG.length)) {
    const before = length;
    // more than a unix socket holds
    while (wants(before + 500_000)) {
      client.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    clock.pass(60);
  }
  clock.pass(600);
  expect(events).not.toContainEqual(DROPPED);
});

test('one that is told things and reads nothing is gone when a mebibyte of them waits for it', async () => {
  const { daemon, events } = await relayed({ address: { kind: 'unix', path } });
  const client = connect(path).pause();
  socket = client.on('error', () => undefined);
  await expect.poll(() => events.map(({ type }) => type)).toEqual(['connected']);
  const lines = `>INFO:${'x'.repeat(994)}\r\n`.repeat(100);
  let said = 0;
  while (events.length === 1 && said < 20_000_000) {
    await new Promise<void>((resolve) =>
      daemon.socket.write(lines, () => {
        resolve();
      }),
    );
    said += lines.length;
  }
  await expect.poll(() => events.length).toBeGreaterThan(1);
  expect(events[1]?.reason).toMatch(/^\d{7} bytes wait for it$/);
});

test('what waits for a client goes out whole when the relay ends, whatever would come behind it', async () => {
  const { client, daemon, relay } = await asks(new RelayClock());
  // the second that it has for reading is the machine's, which may be busy
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  let length = 0;
  client.on('data', (chunk: Buffer) => (length += chunk.length));
  let isClosed = false;
  const closed = relay.close().then(() => (isClosed = true));
  daemon.say('>INFO:1\r\n>HOLD:1\r\n');
  await new Promise((resolve) => setImmediate(resolve));
  expect(isClosed).toBe(false);
  client.resume();
  await closed;
  vi.useRealTimers();
  if (!client.closed) await once(client, 'close');
  expect(length).toBeGreaterThanOrEqual(LONG.length);
});
