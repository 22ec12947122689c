import { describe, expect, test } from 'vitest';
import { Secret } from '../../../../src/management/index.ts';
import { GREETING } from '../../../support/fake-daemon.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const PID = 'SUCCESS: pid=42\r\n';
const PROMPT = 'ENTER PASSWORD:';

describe('a client that does not read', () => {
  test('is dropped, and holds up nobody', async () => {
    const { daemon, user, events } = await relayed({ maxBuffered: 64 * 1024 });
    const [a, b] = [await user(), await user()];
    a.socket.pause();
    const line = `>INFO:${'x'.repeat(1000)}\r\n`;
    while (!events.some(({ type }) => type === 'dropped')) {
      daemon.say(line.repeat(100));
      await b.hear(line.repeat(100));
    }
    expect(events.find(({ type }) => type === 'dropped')?.client).toBe('#1');
  });

  test('nor does it keep the relay from closing', async () => {
    const { daemon, user, relay } = await relayed();
    const [a, b] = [await user(), await user()];
    a.socket.pause();
    const line = `>INFO:${'x'.repeat(1000)}\r\n`.repeat(900);
    daemon.say(line);
    await b.hear(line);
    await relay.close();
  });
});

describe('those who have left', () => {
  test('and wait for a daemon with what they wrote, make room', async () => {
    const { daemon, client, user, again, events } = await relayed();
    daemon.socket.destroy();
    await client().closed;
    const silent = await user('');
    for (let left = 499; left > 0; left -= 1) {
      const early = await user('');
      early.socket.end('pid\n');
    }
    const late = await user('');
    while (events.at(-1)?.type !== 'disconnected') await new Promise(setImmediate);
    const next = await again();
    await Promise.all([silent, late].map((each) => each.hear(GREETING)));
    // the first of them went
    for (let left = 498; left > 0; left -= 1) await answer(next, 'pid', PID);
    late.say('load-stats\n');
    await next.hear('load-stats\n');
  });
});

describe('a client for which there is no place', () => {
  test('is told of, and so are no others for a while', async () => {
    const { relay, user, events } = await relayed();
    for (let count = 0; count < 500; count += 1) await user();
    for (let count = 0; count < 2; count += 1) await (await ManagementUser.open(relay.address)).gone();
    expect(events.filter(({ type }) => type !== 'connected')).toEqual([
      { type: 'refused', client: '#501', reason: 'too many clients' },
    ]);
  });
});

describe('who does not know the password', () => {
  test('has no place of those who know it, however many there are', async () => {
    const { relay, user, events } = await relayed({ password: new Secret('sesame'), clock: new FakeClock() });
    const early = await user(PROMPT);
    early.say('sesame\n');
    await early.hear(GREETING);
    const strangers: ManagementUser[] = [];
    for (let index = 0; index < 600; index += 1) strangers.push(await ManagementUser.open(relay.address));
    const late = await user(PROMPT);
    late.say('sesame\n');
    await late.hear(GREETING);
    expect(early.ended).toBe(false);
    // the first of them had to go, with one line in the log
    await strangers[0]?.gone();
    expect(events.filter(({ type }) => type === 'refused')).toHaveLength(1);
    for (const each of strangers) each.close();
  });
});
