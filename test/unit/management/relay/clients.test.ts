import { describe, expect, test } from 'vitest';
import { GREETING } from '../fake-daemon.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const PID = 'SUCCESS: pid=42\r\n';
const ON = 'SUCCESS: real-time log notification set to ON\r\n';

describe('clients that come and go', () => {
  test('exit ends one client only', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('exit\n');
    await a.gone();
    b.say('pid\n');
    await answer(daemon, 'pid', PID);
    expect(await b.hear(PID)).toBe(PID);
  });

  test('one that does not read is dropped, and holds up nobody', async () => {
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

  test('a line that no daemon could read is refused', async () => {
    const { user } = await relayed();
    const a = await user();
    expect(await a.ask('x'.repeat(100_000))).toBe('ERROR: the line is too long\r\n');
  });

  test('when the daemon goes, connections end; new ones wait for the next daemon', async () => {
    const { daemon, user, again } = await relayed();
    const a = await user();
    a.say('status\n');
    await daemon.hear('status\n');
    daemon.say('>FATAL:over\r\n');
    daemon.socket.destroy();
    await a.gone();
    expect(a.received).toBe('>FATAL:over\r\n');
    const b = await user('');
    b.say('pid\n');
    const next = await again();
    await answer(next, 'pid', PID);
    expect(await b.hear(PID)).toBe(GREETING + PID);
  });

  test('or stay, if they are to be kept, and get what they had asked for', async () => {
    const { daemon, user, again } = await relayed({ keep: true });
    const a = await user();
    a.say('log on\n');
    await answer(daemon, 'log on', ON);
    await a.hear(ON);
    a.say('pid\n');
    await daemon.hear('pid\n');
    daemon.socket.destroy();
    expect(await a.hear('\n')).toMatch(/^ERROR: the management connection to .* is closed\r\n/);
    expect(await a.ask('pid')).toBe('ERROR: the daemon is away\r\n');
    const next = await again();
    await answer(next, 'log on', ON);
    next.say('>LOG:1,,x\r\n');
    expect(await a.hear('x\r\n')).toBe(`${GREETING}>LOG:1,,x\r\n`);
  });
});
