import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ManagementUser } from '../../../support/management-user.ts';
import { FakeClock } from '../../agent/fake-clock.ts';
import { greeting } from '../pair.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const HOLD = '>HOLD:Waiting for hold release:0\r\n';
const CERTIFICATE = '>NEED-CERTIFICATE:x\r\n';
const PID = 'SUCCESS: pid=42\r\n';
/** What comes behind all that is not for a client. */
const LAST = '>INFO:last\r\n';

describe('the agent', () => {
  test('answers itself what no client has answered, and once', async () => {
    const { daemon, relay, client } = await relayed();
    expect([relay.askForCertificate(client()), relay.takeCertificate(client())]).toEqual([false, false]);
    const [hold, need] = [client().next('HOLD'), client().next('NEED-CERTIFICATE')];
    daemon.say(HOLD);
    await hold;
    expect(relay.isAsking(client(), 'HOLD')).toBe(true);
    expect([relay.takeHold(client()), relay.takeHold(client()), relay.isAsking(client(), 'HOLD')]).toEqual([
      ...[true, false, false],
    ]);
    daemon.say(CERTIFICATE);
    await need;
    expect([relay.takeCertificate(client()), relay.takeCertificate(client())]).toEqual([true, false]);
    // nor are clients asked for it then
    expect(relay.askForCertificate(client())).toBe(false);
  });

  test('has the certificate for as long as no client gave one', async () => {
    const { daemon, relay, client } = await relayed();
    const need = client().next('NEED-CERTIFICATE');
    daemon.say(CERTIFICATE);
    await need;
    expect([relay.askForCertificate(client()), relay.askForCertificate(client())]).toEqual([true, false]);
    expect(relay.isAsking(client(), 'NEED-CERTIFICATE')).toBe(true);
    expect([relay.takeCertificate(client()), relay.takeCertificate(client())]).toEqual([true, false]);
  });

  test('may answer a daemon that is relayed no more: nobody else does', async () => {
    const { daemon, relay, client, again } = await relayed();
    const before = client();
    const hold = before.next('HOLD');
    daemon.say(HOLD);
    await hold;
    const next = await again();
    expect([relay.takeHold(before), relay.takeHold(before), relay.takeCertificate(before)]).toEqual([true, true, true]);
    expect([relay.isAsking(before, 'HOLD'), relay.askForCertificate(before)]).toEqual([false, false]);
    // the next one has not asked
    expect([relay.takeHold(client()), relay.isAsking(client(), 'HOLD')]).toEqual([false, false]);
    expect([relay.takeCertificate(client()), relay.askForCertificate(client())]).toEqual([false, false]);
    const need = client().next('NEED-CERTIFICATE');
    next.say(CERTIFICATE);
    await need;
    expect([relay.askForCertificate(before), relay.isAsking(before, 'NEED-CERTIFICATE')]).toEqual([false, false]);
    expect([relay.askForCertificate(client()), relay.isAsking(before, 'NEED-CERTIFICATE')]).toEqual([true, false]);
  });

  test('knows whether somebody is there who may answer', async () => {
    const { relay, user } = await relayed({ rights: 'operate' });
    expect(relay.hasClient('operate')).toBe(false);
    const a = await user();
    expect([relay.hasClient('read'), relay.hasClient('operate'), relay.hasClient('all')]).toEqual([true, true, false]);
    a.say('exit\n');
    await a.gone();
    await expect.poll(() => relay.hasClient('read')).toBe(false);
  });

  test('knows when a question is over', async () => {
    const { relay, daemon, user, client } = await relayed({ rights: 'operate' });
    const a = await user();
    daemon.say(HOLD);
    await a.hear(HOLD);
    expect(relay.isAsking(client(), 'HOLD')).toBe(true);
    a.say('hold release\n');
    await answer(daemon, 'hold release', 'SUCCESS: hold release succeeded\r\n');
    await a.hear('succeeded\r\n');
    expect(relay.isAsking(client(), 'HOLD')).toBe(false);
  });

  test('lets nobody in any more, and whoever is there stays', async () => {
    const { relay, daemon, user } = await relayed();
    const a = await user();
    const { address } = relay;
    relay.stopListening();
    expect(relay.address).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    await expect(ManagementUser.open(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    a.say('pid\n');
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(PID);
    await relay.close();
    await a.gone();
  });

  test.each([
    [undefined, 0o600],
    [0o660, 0o660],
  ])('has a socket that others can not use, unless they are to (%s)', async (mode, expected) => {
    const folder = mkdtempSync(join(tmpdir(), 'pksigd-relay-'));
    folders.push(folder);
    const path = join(folder, 'relay.sock');
    await relayed({ address: { kind: 'unix', path }, mode });
    expect(statSync(path).mode & 0o777).toBe(expected);
  });
});

describe('a block', () => {
  const LONG = 'ERROR: the block is too long\r\n';

  test('that is too long ends the connection, and nothing of it goes to the daemon', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const line = `${'x'.repeat(500)}\n`;
    for (const body of [line.repeat(550), '\n'.repeat(17_000), `${'x'.repeat(1_000)}\n`]) {
      const a = await user();
      a.say(`client-auth 1 2\n${body}END\n`);
      await a.gone();
      expect(a.received).toBe(LONG);
    }
    const a = await user();
    a.say(`client-auth 1 2\n${line.repeat(400)}END\n`);
    await daemon.hear(`client-auth 1 2\n${line.repeat(400)}END\n`);
    expect(daemon.all.split('client-auth')).toHaveLength(2);
  });

  test('may hold commands that only show something', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    const block = ['echo x', 'help', 'load-stats', 'nclients', 'pid', 'state', 'status'].join('\n');
    a.say(`client-auth 1 2\n${block}\nEND\n`);
    await daemon.hear(`client-auth 1 2\n${block}\nEND\n`);
  });

  test('is for nobody where no daemon is there', async () => {
    const { daemon, user, client } = await relayed({ rights: 'all', keep: true });
    const a = await user();
    daemon.socket.destroy();
    await client().closed;
    expect(await a.ask('client-auth 1 2\npush x\nEND')).toBe('ERROR: the daemon is away\r\n');
    expect(await a.ask('certificate')).toBe('ERROR: The certificate command is not currently available\r\n');
  });

  test('with a number that no daemon reads is refused before it is read', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    for (const [ids, wrong] of [
      [`${'\xff'.repeat(200)} 1`, 'CID'],
      ['1234567890 1', 'CID'],
      ['1x 2', 'CID'],
      ['1 x2', 'KID'],
    ])
      expect(await a.ask(`client-auth ${String(ids)}`)).toBe(`ERROR: cannot parse ${String(wrong)}\r\n`);
    a.say('client-auth 12 123456789\nEND\n');
    await daemon.hear('client-auth 12 123456789\nEND\n');
  });
});

describe('what the daemon says', () => {
  test('and is no notification is for nobody', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    daemon.say(`stray\r\n${LAST}`);
    expect(await a.hear(LAST)).toBe(LAST);
  });

  test('that is relayed no more is for nobody', async () => {
    const { daemon, client, user, again } = await relayed({ keep: true });
    const a = await user();
    const before = client();
    const next = await again();
    const heard = before.next('NOTIFY');
    daemon.say('>NOTIFY:info,remote-exit,EXIT\r\n');
    await heard;
    next.say(LAST);
    expect(await a.hear(LAST)).toBe(greeting(5) + LAST);
  });

  test('goes on when one that is relayed no more ends', async () => {
    const { daemon, client, user, again } = await relayed();
    const before = client();
    const next = await again();
    const a = await user();
    daemon.socket.destroy();
    await before.closed;
    next.say(LAST);
    expect(await a.hear(LAST)).toBe(LAST);
  });

  test('and cuts off is for clients where nothing of it can be missed', async () => {
    const { daemon, client, user, again } = await relayed({ rights: 'all', keep: true });
    const a = await user();
    const cut = async (daemonNow: typeof daemon, line: string): Promise<void> => {
      daemonNow.say(line);
      daemonNow.socket.end();
      // all of it has been read
      await client().closed;
    };
    await cut(daemon, '>PK_SIGN:AAA');
    let next = await again();
    expect(await a.hear('\n')).toBe(greeting(5));
    await cut(next, '>CLIENT:CONNECT,0,');
    next = await again();
    expect(await a.hear('\n')).toBe(greeting(5));
    await cut(next, '>STATE:1,WA');
    next = await again();
    next.say(LAST);
    expect(await a.hear(LAST)).toBe(`${greeting(5)}${LAST}`);
  });

  test('of a client’s bytes comes in the interval of whoever asked, for each client of the server', async () => {
    const { daemon, user } = await relayed({ rights: 'read' });
    const [a, b] = [await user(), await user()];
    const changed = 'SUCCESS: bytecount interval changed\r\n';
    a.say('bytecount 1\n');
    await answer(daemon, 'bytecount 1', changed);
    await a.hear(changed);
    expect(await b.ask('bytecount 3600')).toBe(changed);
    const counts = '>BYTECOUNT_CLI:0,1,2\r\n>BYTECOUNT_CLI:12,3,4\r\n';
    const other = '>INFO:>BYTECOUNT_CLI:1,2,3\r\n';
    daemon.say(counts + other + LAST);
    expect(await a.hear(LAST)).toBe(counts + other + LAST);
    expect(await b.hear(LAST)).toBe(other + LAST);
  });

  test('of bytes comes again when the interval is over, by the clock that it was given', async () => {
    const clock = new FakeClock();
    const { daemon, user } = await relayed({ clock });
    const [a, b] = [await user(), await user()];
    const changed = 'SUCCESS: bytecount interval changed\r\n';
    a.say('bytecount 2\n');
    await answer(daemon, 'bytecount 2', changed);
    await a.hear(changed);
    expect(await b.ask('bytecount 10')).toBe(changed);
    const said = `>BYTECOUNT:1,2\r\n${LAST}`;
    for (const [seconds, heard] of [
      [0, LAST],
      [6, LAST],
      [2, said],
      [8, LAST],
      [2, said],
    ] as const) {
      clock.pass(seconds);
      daemon.say(said);
      expect(await b.hear(LAST)).toBe(heard);
    }
  });

  test('of its state, its log and echoes is for those who asked', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    const set = (topic: string): string => `SUCCESS: real-time ${topic} notification set to ON\r\n`;
    for (const topic of ['log', 'state', 'echo']) {
      a.say(`${topic} on\n`);
      await answer(daemon, `${topic} on`, set(topic));
      await a.hear(set(topic));
      const said = `>${topic.toUpperCase()}:1,x,y\r\n${LAST}`;
      daemon.say(said);
      expect(await a.hear(LAST)).toBe(said);
      expect(await b.hear(LAST)).toBe(LAST);
    }
  });
});
