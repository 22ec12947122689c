// What one client of the relay is asked first.
import { describe, expect, test } from 'vitest';
import { PasswordGate } from '../../../../src/management/relay/password-gate.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { clientOf, turn } from './lone-client.ts';

describe('a password', () => {
  const PROMPT = 'ENTER PASSWORD:';
  const gateOf = (clock: FakeClock, password = 'sesame'): PasswordGate => new PasswordGate(new Secret(password), clock);

  test('is not asked for where there is none', async () => {
    const { client, told, clock } = clientOf();
    expect([await client.authenticate(), told, clock.waiting]).toEqual([true, [], 0]);
  });

  test('is asked for three times, and waited for no longer than that', async () => {
    const clock = new FakeClock();
    const { client, told, say, take } = clientOf({ clock, gate: gateOf(clock) });
    const given = client.authenticate();
    expect([told, clock.waiting]).toEqual([[PROMPT], 1]);
    for (const delay of [0, 0.25, 0.5]) {
      take();
      expect(told.at(-1)).toBe(PROMPT);
      say('guess\n');
      await turn();
      expect(client.awaitsAnswer).toBe(delay > 0);
      clock.pass(delay);
      await turn();
      expect(client.awaitsAnswer).toBe(false);
    }
    expect([await given, told, clock.waiting]).toEqual([false, [PROMPT, PROMPT, PROMPT], 0]);
  });

  test('that is right lets the client in', async () => {
    const clock = new FakeClock();
    const { client, told, say, take } = clientOf({ clock, gate: gateOf(clock) });
    const given = client.authenticate();
    say('sesame\nstatus\n');
    expect([await given, clock.waiting]).toEqual([true, 0]);
    take();
    expect(told).toEqual([PROMPT, 'SUCCESS: password is correct\r\n']);
    expect((await client.next())?.text).toBe('status');
  });

  test('is no line that is too long, whatever is left of it', async () => {
    const clock = new FakeClock();
    const { client, say, socket } = clientOf({ clock, gate: gateOf(clock, '') });
    const given = client.authenticate();
    say(`${'x'.repeat(1_000)}\n`);
    await turn();
    socket.emit('end');
    expect(await given).toBe(false);
  });

  test('of other bytes than ASCII is compared as it came', async () => {
    const clock = new FakeClock();
    const { client, say } = clientOf({ clock, gate: gateOf(clock, 'größe') });
    const given = client.authenticate();
    say(`${Buffer.from('größe').toString('latin1')}\n`);
    expect(await given).toBe(true);
  });

  test.each(['closes', 'is sent away'])('lets nobody in who %s before the answer', async (how) => {
    const clock = new FakeClock();
    const { client, socket, told, say, take } = clientOf({ clock, gate: gateOf(clock) });
    const given = client.authenticate();
    say('guess\n');
    await turn();
    take();
    say('sesame\n');
    await turn();
    expect(clock.waiting).toBe(2);
    if (how === 'closes') socket.destroy();
    else client.destroy();
    await client.closed;
    await given;
    if (how !== 'closes') expect(await given).toBe(false);
    // nobody is waited for any more
    expect([clock.waiting, client.awaitsAnswer]).toEqual([0, false]);
    expect(told).toEqual([PROMPT, PROMPT]);
  });

  test('is not asked for again behind the end, which would break off what is to go out', async () => {
    const clock = new FakeClock();
    const { client, told, say, take } = clientOf({ clock, gate: gateOf(clock) });
    const given = client.authenticate();
    take();
    say('guess\n');
    await turn();
    say('guess\n');
    await turn();
    client.close();
    clock.pass(0.25);
    await turn();
    expect([await given, client.gone, told]).toEqual([false, false, [PROMPT, PROMPT]]);
    take();
    await client.closed;
  });

  test('that does not come in time ends the connection, once', async () => {
    const clock = new FakeClock();
    const { client, dropped } = clientOf({ clock, gate: gateOf(clock) });
    const given = client.authenticate();
    clock.pass(29.999);
    expect(client.gone).toBe(false);
    clock.pass(0.001);
    expect([await given, client.gone, client.wasDiscarded]).toEqual([false, true, true]);
    expect(dropped).toEqual(['#1: it gave no password within 30 s']);
  });

  test('that does not come in time from one who has left is nothing to tell', async () => {
    const clock = new FakeClock();
    const { client, dropped, socket } = clientOf({ clock, gate: gateOf(clock) });
    const given = client.authenticate();
    socket.destroy();
    clock.pass(30);
    expect([await given, dropped]).toEqual([false, []]);
  });
});
