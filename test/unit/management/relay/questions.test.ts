import { describe, expect, test } from 'vitest';
import { Relay, Secret } from '../../../../src/management/index.ts';
import { GREETING } from '../../../support/fake-daemon.ts';
import { ManagementUser } from '../../../support/management-user.ts';
import { coded } from '../pair.ts';
import { answer, type Relayed, relays } from './relayed.ts';

const relayed = relays();

/** One who comes now is told nothing but that. */
async function comes({ daemon, user }: Relayed): Promise<void> {
  const late = await user(GREETING);
  daemon.say('>INFO:x\r\n');
  expect(await late.hear('>INFO:x\r\n')).toBe('>INFO:x\r\n');
}

describe('questions', () => {
  const HOLD = '>HOLD:Waiting for hold release:0\r\n';
  const released = 'SUCCESS: hold release succeeded\r\n';

  test('go to all, and to whoever comes before they are answered', async () => {
    const all = await relayed({ rights: 'operate' });
    const { daemon, user, relay, client } = all;
    const a = await user();
    daemon.say(HOLD);
    await a.hear(HOLD);
    const b = await user(GREETING + HOLD);
    b.say('hold release\n');
    await answer(daemon, 'hold release', released);
    await b.hear(released);
    // the agent, which would release it too, is told that it needn't
    expect(relay.takeHold(client())).toBe(false);
    await comes(all);
  });

  test('a password wants both halves', async () => {
    const all = await relayed({ rights: 'operate' });
    const { daemon, user } = all;
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
    await comes(all);
    a.say('password Auth x\n');
    await answer(daemon, 'password Auth x', 'ERROR: no password is currently needed at this time\r\n');
    expect(await a.hear('time\r\n')).toContain('ERROR: no password is currently needed at this time\r\n');
  });

  test('a password for a token whose label reads like another question', async () => {
    const all = await relayed({ rights: 'operate' });
    const { daemon, user } = all;
    const a = await user();
    const need = ">PASSWORD:Need 'my username token' password\r\n";
    daemon.say(need);
    await a.hear(need);
    a.say('password "my username token" 1234\n');
    await answer(
      daemon,
      'password "my username token" 1234',
      "SUCCESS: 'my username token' password entered, but not yet verified\r\n",
    );
    await a.hear('verified\r\n');
    await comes(all);
  });

  test('that the daemon repeats to a refused signal are for who sent it', async () => {
    const all = await relayed({ rights: 'operate' });
    const { daemon, user, relay, client } = all;
    const [a, b] = [await user(), await user()];
    daemon.say(HOLD);
    await Promise.all([a.hear(HOLD), b.hear(HOLD)]);
    const ignored = "ERROR: signal 'SIGUSR1' is currently ignored\r\n";
    a.say('signal SIGUSR1\n');
    await answer(daemon, 'signal SIGUSR1', `${ignored}>INFO:between\r\n${HOLD}>INFO:x\r\n`);
    expect(await a.hear('>INFO:x\r\n')).toBe(`${ignored}>INFO:between\r\n${HOLD}>INFO:x\r\n`);
    expect(await b.hear('>INFO:x\r\n')).toBe('>INFO:between\r\n>INFO:x\r\n');
    expect(relay.takeHold(client())).toBe(true);
    await comes(all);
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
    expect(await a.ask('what-comes-next')).toBe("ERROR: unknown command, enter 'help' for more options\r\n");
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
    const { daemon, user, events } = await relayed({ password: new Secret('sesame') });
    const a = await user('ENTER PASSWORD:');
    a.say('wrong\r\n');
    await a.hear('ENTER PASSWORD:');
    a.say('sesame\r\n');
    expect(await a.hear(GREETING)).toBe(`SUCCESS: password is correct\r\n${GREETING}`);
    daemon.say('>INFO:x\r\n');
    expect(await a.hear('>INFO:x\r\n')).toBe('>INFO:x\r\n');
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
    const password = new Secret('sesame');
    const relay = await Relay.listen({ address: { kind: 'tcp', host: '0.0.0.0', port: 0 }, password });
    const { address } = relay;
    await relay[Symbol.asyncDispose]();
    await expect(ManagementUser.open(address)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
