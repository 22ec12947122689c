import { describe, expect, test } from 'vitest';
import { GREETING } from '../../../support/fake-daemon.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const PID = 'SUCCESS: pid=42\r\n';
const COUNTED = 'SUCCESS: bytecount interval changed\r\n';
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

  test.each(['ends its side', 'closes', 'breaks off'] as const)(
    'what one wrote that then %s is carried out to the last line',
    async (how) => {
      const { daemon, user } = await relayed({ rights: 'all' });
      const a = await user();
      const lines = [
        'status 3',
        'load-stats',
        'version',
        'mute 9005',
        ...Array.from({ length: 200 }, (_, n) => `mute ${n}`),
      ];
      const text = `${lines.join('\n')}\nquit\n`;
      if (how === 'ends its side') a.socket.end(text);
      else {
        // all of it has left for the relay
        await new Promise<void>((resolve) =>
          a.socket.write(text, () => {
            resolve();
          }),
        );
        if (how === 'closes') a.socket.destroy();
        else {
          await daemon.hear('status 3\n');
          a.socket.resetAndDestroy();
        }
      }
      for (const line of lines) {
        if (how !== 'breaks off' || line !== 'status 3') await daemon.hear(`${line}\n`);
        daemon.say(line === 'status 3' || line === 'version' ? 'x\r\nEND\r\n' : 'SUCCESS: mute level changed\r\n');
      }
    },
  );

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

  test('a block that the daemon did not end is not passed on, nor what it did not end of a line glued to the next', async () => {
    const { daemon, user, again } = await relayed({ keep: true, rights: 'all' });
    const a = await user();
    daemon.say('>CLIENT:CONNECT,0,0\r\n>CLIENT:ENV,a=1\r\n>NOTIFY:info,half');
    daemon.socket.end();
    await a.hear('>NOTIFY:info,half\r\n');
    const next = await again();
    next.say('>INFO:x\r\n');
    expect(await a.hear('>INFO:x\r\n')).toBe(`${GREETING}>INFO:x\r\n`);
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

  test('and the next daemon is asked once, and for nothing of those who left meanwhile', async () => {
    const { daemon, client, user, again } = await relayed({ keep: true });
    const [a, b, c] = [await user(), await user(), await user()];
    const stateOn = ON.replace('log', 'state');
    a.say('log on\n');
    await answer(daemon, 'log on', ON);
    await a.hear(ON);
    b.say('state on\n');
    await answer(daemon, 'state on', stateOn);
    await b.hear(stateOn);
    daemon.socket.destroy();
    await client().closed;
    b.say('exit\n');
    await b.gone();
    const next = await again();
    await answer(next, 'log on', ON);
    c.say('exit\n');
    await c.gone();
    a.say('pid\n');
    await answer(next, 'pid', PID);
    await a.hear(PID);
    // nor is anything turned off twice
    a.say('exit\n');
    await answer(next, 'log off', ON.replace('ON', 'OFF'));
    for (const line of ['exit', 'pid']) (await user()).say(`${line}\n`);
    await answer(next, 'pid', PID);
    expect(next.received).toBe('');
  });

  test.each([
    ['log on', 'log on', ON],
    ['log on', 'log off', ON],
    ['bytecount 5', 'bytecount 5', COUNTED],
    ['bytecount 5', 'bytecount 0', COUNTED],
  ])('one that had %s, and says %s while the daemon is away, gets what it had', async (before, meanwhile, reply) => {
    const { relay, daemon, client, user, again } = await relayed({ keep: true });
    const a = await user();
    a.say(`${before}\n`);
    await answer(daemon, before, reply);
    await a.hear(reply);
    daemon.socket.destroy();
    await client().closed;
    expect(await a.ask(meanwhile)).toBe('ERROR: the daemon is away\r\n');
    const next = await again();
    await answer(next, before, reply);
    next.say('>LOG:1,,x\r\n>BYTECOUNT:1,2\r\n>INFO:x\r\n');
    const notification = before === 'log on' ? '>LOG:1,,x' : '>BYTECOUNT:1,2';
    expect(await a.hear('>INFO:x\r\n')).toBe(`${GREETING}${notification}\r\n>INFO:x\r\n`);
    await relay.close();
  });

  test.each(['ends its side', 'closes'])('one that %s before a daemon is there is not kept', async (how) => {
    const { daemon, client, relay, events } = await relayed();
    daemon.socket.destroy();
    await client().closed;
    const early = await ManagementUser.open(relay.address);
    if (how === 'closes') early.close();
    else early.socket.end();
    await early.gone();
    expect(early.all).toBe('');
    await expect.poll(() => events.at(-1)?.type).toBe('disconnected');
  });

  test('a block that was begun for a daemon is for no other', async () => {
    const { daemon, client, user, again } = await relayed({ keep: true, rights: 'all' });
    const a = await user();
    a.say('pid\nclient-auth 0 1\npush x\n');
    await answer(daemon, 'pid', PID);
    await a.hear(PID);
    daemon.socket.destroy();
    await client().closed;
    const next = await again();
    await a.hear(GREETING);
    a.say('END\npid\n');
    await next.hear('pid\n');
    expect(next.all).toBe('version 3\npid\n');
    next.say(PID);
    expect(await a.hear(PID)).toBe(`ERROR: the daemon is away\r\n${PID}`);
  });

  test('nor is a certificate that was begun for another, though the next one asks as well', async () => {
    const { relay, daemon, client, user, again } = await relayed({ keep: true, rights: 'all' });
    const ask = '>NEED-CERTIFICATE:x\r\n';
    const a = await user();
    daemon.say(ask);
    await client().next('NEED-CERTIFICATE');
    relay.askForCertificate(client());
    await a.hear(ask);
    a.say('pid\ncertificate\n-----BEGIN CERTIFICATE-----\nAAAA\n');
    await answer(daemon, 'pid', PID);
    await a.hear(PID);
    daemon.socket.destroy();
    await client().closed;
    const next = await again();
    const asked = client().next('NEED-CERTIFICATE');
    next.say(ask);
    await asked;
    relay.askForCertificate(client());
    await a.hear(GREETING + ask);
    a.say('-----END CERTIFICATE-----\nEND\npid\n');
    await next.hear('pid\n');
    expect(next.all).toBe('version 3\npid\n');
    next.say(PID);
    expect(await a.hear(PID)).toBe(`ERROR: the daemon is away\r\n${PID}`);
    expect(relay.isAsking(client(), 'NEED-CERTIFICATE')).toBe(true);
  });
});
