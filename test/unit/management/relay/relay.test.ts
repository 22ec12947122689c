import { afterEach, describe, expect, test } from 'vitest';
import {
  type ManagementClient,
  Relay,
  type RelayEvent,
  type RelayOptions,
  Secret,
} from '../../../../src/management/index.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { type FakeDaemon, GREETING } from '../fake-daemon.ts';
import { coded, greeting, setUp } from '../pair.ts';

const { pair } = setUp();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Relayed {
  readonly relay: Relay;
  readonly daemon: FakeDaemon;
  readonly events: RelayEvent[];
  readonly user: (greeted?: string) => Promise<ManagementUser>;
  /** The agent's own client of the daemon. */
  readonly client: () => ManagementClient;
  /** The daemon's own connection ends and a new one is relayed. */
  readonly again: () => Promise<FakeDaemon>;
}

async function relayed(options: Partial<RelayOptions> = {}, greet = GREETING): Promise<Relayed> {
  const events: RelayEvent[] = [];
  const relay = await Relay.listen({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    onEvent: (event) => events.push(event),
    ...options,
  });
  closing.push(() => relay.close());
  let client: ManagementClient;
  const again = async (): Promise<FakeDaemon> => {
    const { client: connected, daemon } = await pair({ clientVersion: 3, encoding: 'latin1' }, greet);
    client = connected;
    relay.attach(client);
    await daemon.hear('version 3\n');
    return daemon;
  };
  const daemon = await again();
  const user = async (greeted = greet): Promise<ManagementUser> => {
    const opened = await ManagementUser.open(relay.address);
    closing.push(() => {
      opened.close();
    });
    if (greeted !== '') expect(await opened.hear(greeted)).toBe(greeted);
    return opened;
  };
  return { relay, daemon, events, user, again, client: () => client };
}

/** Answers `command`, once it comes, with `reply`. */
async function answer(daemon: FakeDaemon, command: string, reply: string): Promise<void> {
  expect(await daemon.hear(`${command}\n`)).toBe(`${command}\n`);
  daemon.say(reply);
}

const PID = 'SUCCESS: pid=42\r\n';
const ON = 'SUCCESS: real-time log notification set to ON\r\n';
const OFF = 'SUCCESS: real-time log notification set to OFF\r\n';

describe('replies', () => {
  test('go to whoever asked, whole, in the order of asking', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('status 2\r\npid\n');
    await daemon.hear('status 2\n');
    b.say('version\n');
    daemon.say('TITLE,x\r\nTIME,\xe9\r\n');
    daemon.say('END\r\n');
    await answer(daemon, 'version', 'OpenVPN Version: OpenVPN 2.6.14\r\nManagement Version: 5\r\nEND\r\n');
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(`TITLE,x\r\nTIME,\xe9\r\nEND\r\n${PID}`);
    expect(await b.hear('END\r\n')).toBe('OpenVPN Version: OpenVPN 2.6.14\r\nManagement Version: 5\r\nEND\r\n');
  });

  test('come before what the daemon sent behind them, also in one packet', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    a.say('log on all\n');
    await answer(daemon, 'log on all', `>LOG:1,D,CMD\r\n${ON}1,I,old\r\nEND\r\n>LOG:2,I,new\r\n`);
    expect(await a.hear('new\r\n')).toBe(`${ON}1,I,old\r\nEND\r\n>LOG:2,I,new\r\n`);
  });

  test('of a client that left are nobody else’s', async () => {
    const { daemon, user, events } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('status\n');
    await daemon.hear('status\n');
    a.close();
    b.say('pid\n');
    daemon.say('of a\r\nEND\r\n');
    await answer(daemon, 'pid', PID);
    expect(await b.hear(PID)).toBe(PID);
    expect(events.at(-1)).toEqual({ type: 'disconnected', client: '#1' });
  });

  test('of those who end their side still come', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    a.socket.end('pid\npid\npi');
    await answer(daemon, 'pid', PID);
    await answer(daemon, 'pid', PID);
    await a.gone();
    expect(a.received).toBe(PID + PID);
  });
});

describe('what concerns the key', () => {
  test('is never seen, nor answered, by a client', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    daemon.say('>PK_SIGN:AAAA,ECDSA\r\n>RSA_SIGN:AAAA\r\n>NEED-CERTIFICATE:x\r\n>INFO:seen\r\n');
    expect(await a.hear('seen\r\n')).toBe('>INFO:seen\r\n');
    for (const line of ['pk-sig', '"pk-sig"', 'rsa-sig', ' pk-sig x', 'pk\x01-sig', '\\ pk-sig', 'certificate'])
      expect(await a.ask(line)).toMatch(
        /^ERROR: The (?:pk-sig|rsa-sig|certificate) command is not currently available/,
      );
    const late = await user();
    a.say('pid\n');
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(PID);
    expect(late.received).toBe('');
  });

  test('goes ahead of what clients wait for', async () => {
    const { daemon, user, client } = await relayed();
    for (const each of [await user(), await user()]) each.say('status\nstatus\n');
    await daemon.hear('status\n');
    const signed = client().pkSig(Buffer.from('abc'));
    // the second client's command waits for the first one's reply, the signature doesn't
    await daemon.hear('pk-sig\nYWJj\nEND\n');
    daemon.say('END\r\n');
    await daemon.hear('status\n');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    await signed;
  });

  test('is passed on where the agent has no certificate', async () => {
    const { daemon, user, relay } = await relayed({ rights: 'all' });
    const a = await user();
    daemon.say('>NEED-CERTIFICATE:office\r\n>INFO:x\r\n');
    await a.hear('>INFO:x\r\n');
    relay.askForCertificate();
    await a.hear('>NEED-CERTIFICATE:office\r\n');
    const late = await user(`${GREETING}>NEED-CERTIFICATE:office\r\n`);
    late.say('certificate\ntext\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nEND\n');
    await daemon.hear('certificate\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nEND\n');
    daemon.say('SUCCESS: certificate command succeeded\r\n');
    await late.hear('SUCCESS: certificate command succeeded\r\n');
    expect(await a.ask('certificate')).toBe('ERROR: The certificate command is not currently available\r\n');
  });
});

describe('what a client turns on or off', () => {
  test('is its own: the daemon is asked once for all', async () => {
    const { daemon, user } = await relayed();
    const [a, b, c] = [await user(), await user(), await user()];
    for (const each of [a, b]) {
      each.say('log on\n');
      await answer(daemon, 'log on', ON);
      await each.hear(ON);
    }
    daemon.say('>LOG:1,,one\r\n>INFO:1\r\n');
    expect(await c.hear('>INFO:1\r\n')).toBe('>INFO:1\r\n');
    a.say('log off\n');
    // b still wants it
    await answer(daemon, 'log on', ON);
    expect(await a.hear(OFF)).toBe(`>LOG:1,,one\r\n>INFO:1\r\n${OFF}`);
    daemon.say('>LOG:2,,two\r\n>INFO:2\r\n');
    expect(await a.hear('>INFO:2\r\n')).toBe('>INFO:2\r\n');
    expect(await b.hear('>INFO:2\r\n')).toBe('>LOG:1,,one\r\n>INFO:1\r\n>LOG:2,,two\r\n>INFO:2\r\n');
    b.close();
    await daemon.hear('log off\n');
  });

  test('state, echo and their history too', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    a.say('echo on\n');
    await answer(daemon, 'echo on', ON.replace('log', 'echo'));
    b.say('echo 5 off\n');
    await answer(daemon, 'echo 5 on', `1,x\r\nEND\r\n${ON.replace('log', 'echo')}`);
    expect(await b.hear('OFF\r\n')).toBe(`1,x\r\nEND\r\n${OFF.replace('log', 'echo')}`);
    b.say('state on all\n');
    await answer(daemon, 'state on all', `${ON.replace('log', 'state')}1,WAIT,,,\r\nEND\r\n`);
    daemon.say('>STATE:1,AUTH,,,\r\n>ECHO:2,y\r\n>INFO:1\r\n');
    expect(await a.hear('INFO:1\r\n')).toBe(`${ON.replace('log', 'echo')}>ECHO:2,y\r\n>INFO:1\r\n`);
    expect(await b.hear('INFO:1\r\n')).toContain('END\r\n>STATE:1,AUTH,,,\r\n>INFO:1\r\n');
    b.say('state bogus\n');
    await answer(daemon, 'state bogus', "ERROR: state parameter must be 'on' or 'off' or some number n or 'all'\r\n");
    await b.hear("ERROR: state parameter must be 'on' or 'off' or some number n or 'all'\r\n");
  });

  test('byte counts: the daemon counts in the shortest interval', async () => {
    const { daemon, user } = await relayed();
    const [a, b] = [await user(), await user()];
    const changed = 'SUCCESS: bytecount interval changed\r\n';
    a.say('bytecount 9\n');
    await answer(daemon, 'bytecount 9', changed);
    await a.hear(changed);
    b.say('bytecount 2\n');
    await answer(daemon, 'bytecount 2', changed);
    await b.hear(changed);
    expect(await a.ask('bytecount 600')).toBe(changed);
    daemon.say('>BYTECOUNT:1,2\r\n>INFO:1\r\n');
    expect(await a.hear('INFO:1\r\n')).toBe('>INFO:1\r\n');
    expect(await b.hear('INFO:1\r\n')).toBe('>BYTECOUNT:1,2\r\n>INFO:1\r\n');
    b.say('bytecount 0\n');
    await answer(daemon, 'bytecount 600', changed);
    await b.hear(changed);
    a.close();
    await daemon.hear('bytecount 0\n');
  });

  test.for([
    [1, 'version 4', 'version', 'OpenVPN Version: x\r\nEND\r\n'],
    [5, 'version 1', undefined, ''],
    [5, 'version 4', undefined, ''],
    [6, 'version 3', undefined, ''],
    [6, 'version 5', undefined, 'SUCCESS: Management client version set to 5\r\n'],
  ] as const)('management version %s acknowledges "%s"', async ([management, line, sent, reply]) => {
    const { daemon, user } = await relayed({}, greeting(management));
    const a = await user();
    // such a daemon prints its version for whatever version is announced
    if (management === 1) daemon.say('OpenVPN Version: x\r\nEND\r\n');
    a.say(`${line}\npid\n`);
    if (sent !== undefined) await answer(daemon, sent, reply);
    await answer(daemon, 'pid', PID);
    expect(await a.hear(PID)).toBe(reply + PID);
  });
});

describe('questions', () => {
  const HOLD = '>HOLD:Waiting for hold release:0\r\n';
  const released = 'SUCCESS: hold release succeeded\r\n';

  test('go to all, and to whoever comes before they are answered', async () => {
    const { daemon, user, relay } = await relayed({ rights: 'operate' });
    const a = await user();
    daemon.say(HOLD);
    await a.hear(HOLD);
    const b = await user(GREETING + HOLD);
    b.say('hold release\n');
    await answer(daemon, 'hold release', released);
    await b.hear(released);
    expect(relay.question).toBeUndefined();
    await user(GREETING);
  });

  test('a password wants both halves', async () => {
    const { daemon, user } = await relayed({ rights: 'operate' });
    const a = await user();
    const need = ">PASSWORD:Need 'Auth' username/password\r\n";
    daemon.say(need);
    await a.hear(need);
    a.say('username Auth joe\n');
    await answer(daemon, 'username Auth joe', "SUCCESS: 'Auth' username entered, but not yet verified\r\n");
    const b = await user(GREETING + need);
    b.say('password Auth s\xc3\xa0\xe9\n');
    await answer(daemon, 'password Auth s\xc3\xa0\xe9', "SUCCESS: 'Auth' password entered, but not yet verified\r\n");
    await b.hear('verified\r\n');
    await user(GREETING);
    a.say('password Auth x\n');
    await answer(daemon, 'password Auth x', 'ERROR: no password is currently needed at this time\r\n');
    expect(await a.hear('time\r\n')).toContain('ERROR: no password is currently needed at this time\r\n');
  });

  test('that the daemon repeats to a refused signal are for who sent it', async () => {
    const { daemon, user, relay } = await relayed({ rights: 'operate' });
    const [a, b] = [await user(), await user()];
    daemon.say(HOLD);
    await Promise.all([a.hear(HOLD), b.hear(HOLD)]);
    const ignored = "ERROR: signal 'SIGUSR1' is currently ignored\r\n";
    a.say('signal SIGUSR1\n');
    await answer(daemon, 'signal SIGUSR1', `${ignored}${HOLD}>INFO:x\r\n`);
    expect(await a.hear('>INFO:x\r\n')).toBe(`${ignored}${HOLD}>INFO:x\r\n`);
    expect(await b.hear('>INFO:x\r\n')).toBe('>INFO:x\r\n');
    relay.holdReleased();
    await user(GREETING);
  });
});

describe('blocks', () => {
  test('go to the daemon whole, or not at all', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const [a, b] = [await user(), await user()];
    a.say('client-auth 0 1\r\npush "route 10.0.0.0"\r\n');
    b.say('client-auth 2 3\npush x\nEN');
    b.socket.end();
    await b.gone();
    a.say('pid\r\n\r\nEND\r\n');
    await daemon.hear('END\n');
    daemon.say('SUCCESS: client-auth command succeeded\r\n');
    expect(await a.hear('\n')).toBe('SUCCESS: client-auth command succeeded\r\n');
    expect(daemon.chunks.join('')).toContain('client-auth 0 1\npush "route 10.0.0.0"\npid\n\nEND\n');
    expect(daemon.chunks.join('')).not.toContain('client-auth 2');
  });

  test('never smuggle commands behind a line that the daemon would refuse', async () => {
    const { daemon, user } = await relayed({ rights: 'all' });
    const a = await user();
    expect(await a.ask('client-auth x 1')).toBe('ERROR: cannot parse CID\r\n');
    expect(await a.ask('client-auth 1 -')).toBe('ERROR: cannot parse KID\r\n');
    expect(await a.ask('client-auth\xa01 2', /\n/)).toMatch(/^ERROR: /);
    expect(await a.ask('pk-sig')).toMatch(/^ERROR: The pk-sig/);
    a.say('client-auth 1\n');
    const error = "ERROR: the 'client-auth' command requires 2 parameters\r\n";
    await answer(daemon, 'client-auth 1', error);
    expect(await a.hear(error)).toBe(error);
  });
});

describe('rights', () => {
  test.for([
    [
      'read',
      ['status 3', 'state', 'log 5', 'help', 'pid', 'echo all', 'verb', 'load-stats'],
      ['verb 4', 'hold', 'kill x', 'signal SIGUSR1', 'remote-entry-get all', 'pkcs11-id-count', 'password a b'],
    ],
    [
      'operate',
      ['hold on', 'signal SIGHUP', 'signal "SIGUSR1"', 'needok x ok', 'username Auth x'],
      ['signal SIGTERM', 'kill x', 'verb 3', 'forget-passwords', 'signal SIGUSR1 x'],
    ],
    ['all', ['signal SIGTERM', 'kill x', 'forget-passwords', 'what-comes-next 1'], []],
  ] as const)('%s', async ([rights, allowed, refused]) => {
    const { daemon, user } = await relayed({ rights });
    const a = await user();
    for (const line of refused)
      expect(await a.ask(line)).toBe(
        `ERROR: The '${line.split(' ')[0] ?? ''}' command is not allowed on this relay (--relay-allow ${rights})\r\n`,
      );
    for (const line of allowed) {
      a.say(`${line}\n`);
      await daemon.hear(`${line.replaceAll('"', '')}\n`);
      daemon.say('ERROR: x\r\n');
      expect(await a.hear('\n')).toBe('ERROR: x\r\n');
    }
    if (rights === 'all') return;
    expect(await a.ask('what-comes-next')).toBe(
      "ERROR: unknown command [what-comes-next], enter 'help' for more options\r\n",
    );
    a.say('client-auth 1 2\nexit\nEND\n');
    expect(await a.hear('\n')).toContain('not allowed');
  });

  test('those who may only read get no secrets', async () => {
    const { daemon, user } = await relayed();
    const a = await user();
    daemon.say(
      '>PASSWORD:Auth-Token:secret\r\n>CLIENT:CONNECT,0,0\r\n>CLIENT:ENV,password=secret\r\n>CLIENT:ENV,END\r\n',
    );
    expect(await a.hear('END\r\n')).toBe('>CLIENT:CONNECT,0,0\r\n>CLIENT:ENV,END\r\n');
  });

  test('a password, as a daemon asks for it', async () => {
    const { user, events } = await relayed({ password: new Secret('sesame') });
    const a = await user('ENTER PASSWORD:');
    a.say('wrong\r\n');
    await a.hear('ENTER PASSWORD:');
    a.say('sesame\r\n');
    expect(await a.hear(GREETING)).toBe(`SUCCESS: password is correct\r\n${GREETING}`);
    const b = await user('ENTER PASSWORD:');
    b.say('status\n1\n2\n');
    await b.gone();
    expect(b.received).toBe('ENTER PASSWORD:ENTER PASSWORD:');
    expect(events.map(({ type }) => type)).toEqual(['connected', 'refused']);
  });

  test('an address that others reach wants a password', async () => {
    await expect(Relay.listen({ address: { kind: 'tcp', host: '0.0.0.0', port: 0 } })).rejects.toEqual(
      coded('ERR_USAGE', 'needs a password'),
    );
  });
});

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
