import { describe, expect, test } from 'vitest';
import type { RelayRights } from '../../../../src/management/index.ts';
import type { ManagementUser } from '../../../support/management-user.ts';
import { greeting } from '../pair.ts';
import { answer, relays } from './relayed.ts';

const relayed = relays();
const PID = 'SUCCESS: pid=42\r\n';
const FILTER = ['[CLIENTS DROP]', '+bob', '-carol', '', '# subnets', '[SUBNETS ACCEPT]', '-10.0.0.0/8', '[END]'];

/** That nothing of what was written before has gone to the daemon. */
async function nothingCame(relay: Awaited<ReturnType<typeof relayed>>): Promise<void> {
  const one = await relay.user('');
  one.say('pid\n');
  expect(await relay.daemon.hear('pid\n')).toBe('pid\n');
  relay.daemon.say(PID);
}

describe('a block goes to a daemon that takes one there', () => {
  test.each([1, 3])('client-pf, management version %s', async (management) => {
    const { daemon, user } = await relayed({ rights: 'all' }, greeting(management));
    if (management === 1) daemon.say('OpenVPN Version: x\r\nEND\r\n');
    const a = await user();
    a.say(`client-pf 1\n${FILTER.join('\n')}\nEND\n`);
    await daemon.hear(`client-pf 1\n${FILTER.join('\n')}\nEND\n`);
    daemon.say('SUCCESS: client-pf command succeeded\r\n');
    await a.hear('SUCCESS: client-pf command succeeded\r\n');
  });

  test.each([5, 6, 7])('client-pf, no longer at management version %s', async (management) => {
    const all = await relayed({ rights: 'all' }, greeting(management));
    const a = await all.user('');
    await a.hear('\n');
    a.say('client-pf 1\npk-sig\nAAAA\nEND\n');
    // a release after ours is asked
    if (management === 7) await answer(all.daemon, 'help', 'Commands:\r\nclient-auth CID KID : (MULTILINE)\r\nEND\r\n');
    expect(await a.hear('\n')).toMatch(
      /^ERROR: unknown command(?: \[client-pf\])?, enter 'help' for more options\r\n$/,
    );
    await nothingCame(all);
  });

  test('a release that came after ours says itself which', async () => {
    const { daemon, user } = await relayed({ rights: 'all' }, greeting(7));
    const a = await user();
    a.say('client-auth 1 2\npush x\nEND\n');
    await answer(daemon, 'help', 'Commands:\r\nclient-auth CID KID    : Authenticate (MULTILINE)\r\nEND\r\n');
    await daemon.hear('client-auth 1 2\npush x\nEND\n');
    daemon.say('SUCCESS: client-auth command succeeded\r\n');
    await a.hear('SUCCESS: client-auth command succeeded\r\n');
    a.say('client-auth 1 2\npush x\nEND\n');
    await answer(daemon, 'help', 'Commands:\r\nclient-auth CID KID    : Authenticate\r\nEND\r\n');
    expect(await a.hear('\n')).toMatch(/^ERROR: unknown command/);
    // what it has beyond ours could take one
    expect(await a.ask('what-comes-next 1')).toMatch(/^ERROR: unknown command/);
  });
});

describe('a block holds nothing that could be a command', () => {
  test.each([
    ['pk-sig'],
    [' pk-sig'],
    ['"pk-sig"'],
    ['"pk-sig"x'],
    ['"pk-sig"pk-sig'],
    ["'quit''x'"],
    ['"" quit'],
    ["'rsa-sig' x"],
    ['pk\\-sig'],
    ['certificate'],
    ['version 1'],
    ['signal SIGTERM'],
    ['client-auth 1 2'],
    ['exit'],
    ['\x0bquit'],
    ['p\0k-sig\r'],
  ])('client-auth, %j', async (line) => {
    const all = await relayed({ rights: 'all' });
    const a = await all.user();
    a.say(`client-auth 1 2\npush x\n${line}\nEND\n`);
    expect(await a.hear('\n')).toMatch(/^ERROR: a line of the block can't stand in it: /);
    await nothingCame(all);
  });

  test.each([['pk-sig'], ['pid'], ['bob'], [' +bob'], ['[pk-sig'], ['[END] x y\x7f;']])(
    'client-pf, %j',
    async (line) => {
      const all = await relayed({ rights: 'all' }, greeting(3));
      const a = await all.user(greeting(3));
      a.say(`client-pf 1\n[CLIENTS DROP]\n${line}\nEND\n`);
      expect(await a.hear('\n')).toMatch(/^ERROR: a line of the block can't stand in it: /);
      await nothingCame({ ...all, user: () => all.user(greeting(3)) });
    },
  );

  test.each([
    ['pk-sig'],
    ['quit'],
    ['AAAA\n-----BEGIN CERTIFICATE-----'],
    ['A=A='],
    ['-----END CERTIFICATE-----'],
    ['verb 9'],
    ['AAAA\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----'],
    ['AAAA\nquit'],
    ['AAAA\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nverb 9'],
    ['-AAAA'],
    ['AAA==='],
    ['A'.repeat(77)],
  ])('certificate, %j', async (line) => {
    const all = await relayed({ rights: 'all' });
    const a = await all.user();
    all.daemon.say('>NEED-CERTIFICATE:x\r\n>INFO:x\r\n');
    await a.hear('>INFO:x\r\n');
    expect(all.relay.askForCertificate(all.client())).toBe(true);
    await a.hear('>NEED-CERTIFICATE:x\r\n');
    const end = line.endsWith('BEGIN CERTIFICATE-----') ? '' : '\n-----END CERTIFICATE-----';
    a.say(`certificate\n-----BEGIN CERTIFICATE-----\n${line}${end}\nEND\n`);
    expect(await a.hear('\n')).toBe('ERROR: the block holds no PEM certificate\r\n');
    await nothingCame({ ...all, user: () => Promise.resolve(a) });
  });
});

describe('a client that leaves in the midst of a block', () => {
  test.each([
    ['all', 'client-auth 1 2'],
    ['read', 'client-auth 1 2'],
    ['all', 'certificate'],
  ] as const)('is told nothing, and has left: %s, %s', async (rights, line) => {
    const { daemon, relay, client, user, events } = await relayed({ rights });
    const a = await user();
    daemon.say('>NEED-CERTIFICATE:x\r\n>INFO:x\r\n');
    await a.hear('>INFO:x\r\n');
    relay.askForCertificate(client());
    await a.hear('>NEED-CERTIFICATE:x\r\n');
    a.socket.end(`${line}\npush x\nEN`);
    await a.gone();
    await expect.poll(() => events.length).toBe(2);
    expect([events[1]?.type, a.received, daemon.received]).toEqual(['disconnected', '', '']);
  });
});

describe('while the daemon asks for a certificate', () => {
  const NEED = '>NEED-CERTIFICATE:x\r\n';
  const PEM = ['-----BEGIN CERTIFICATE-----', `${'A'.repeat(74)}==`, '-----END CERTIFICATE-----'].join('\n');
  const notNow = (name: string): string => `ERROR: The ${name} command is not currently available\r\n`;

  /** Two clients who are asked for it. */
  async function asked(rights: RelayRights): Promise<{
    all: Awaited<ReturnType<typeof relayed>>;
    a: ManagementUser;
    b: ManagementUser;
  }> {
    const all = await relayed({ rights });
    const [a, b] = [await all.user(), await all.user()];
    all.daemon.say(`${NEED}>INFO:x\r\n`);
    await Promise.all([a, b].map((each) => each.hear('>INFO:x\r\n')));
    all.relay.askForCertificate(all.client());
    await Promise.all([a, b].map((each) => each.hear(NEED)));
    return { all, a, b };
  }

  test('no client makes a signature', async () => {
    const { all, a } = await asked('all');
    for (const name of ['pk-sig', 'rsa-sig']) expect(await a.ask(name)).toBe(notNow(name));
    await nothingCame({ ...all, user: () => Promise.resolve(a) });
  });

  test('no client gives one that may not do all', async () => {
    const { all, a } = await asked('operate');
    expect(await a.ask('certificate')).toBe(notNow('certificate'));
    await nothingCame({ ...all, user: () => Promise.resolve(a) });
  });

  test('the first one counts, and a slower client’s does not go to the daemon', async () => {
    const { all, a, b } = await asked('all');
    const { daemon } = all;
    b.say('pid\ncertificate\n-----BEGIN CERTIFICATE-----\n');
    await answer(daemon, 'pid', PID);
    await b.hear(PID);
    a.say(`certificate\n${PEM}\nEND\n`);
    await daemon.hear(`certificate\n${PEM}\nEND\n`);
    daemon.say('SUCCESS: certificate command succeeded\r\n');
    await a.hear('SUCCESS: certificate command succeeded\r\n');
    b.say('BBBB\n-----END CERTIFICATE-----\nEND\n');
    expect(await b.hear('\n')).toBe(notNow('certificate'));
    await nothingCame({ ...all, user: () => Promise.resolve(b) });
  });
});

describe('a block for a daemon of a later release', () => {
  const BEGUN = 'pid\nclient-auth 1 2\npush x\n';

  test('is for no other one', async () => {
    const { daemon, client, user, again } = await relayed({ rights: 'all', keep: true }, greeting(7));
    const a = await user();
    a.say(BEGUN);
    await answer(daemon, 'pid', PID);
    await a.hear(PID);
    daemon.socket.destroy();
    await client().closed;
    const next = await again();
    await a.hear(greeting(7));
    expect(await a.ask('END')).toBe('ERROR: the daemon is away\r\n');
    a.say('pid\n');
    await next.hear('pid\n');
    expect(next.all).toBe('version 3\npid\n');
  });

  test('is for nobody where that one goes before it says whether it takes one', async () => {
    const { daemon, user } = await relayed({ rights: 'all', keep: true }, greeting(7));
    const a = await user();
    a.say(`${BEGUN}END\n`);
    await answer(daemon, 'pid', PID);
    await a.hear(PID);
    await daemon.hear('help\n');
    daemon.socket.destroy();
    expect(await a.hear('\n')).toMatch(/^ERROR: unknown command/);
    expect(await a.ask('pid')).toBe('ERROR: the daemon is away\r\n');
  });

  test.each([
    ['none of its name', 'client-auth-nt CID KID : (MULTILINE)'],
    ['one line of it', 'client-auth CID KID : Authenticate\r\nclient-deny CID : (MULTILINE)'],
  ])('is not sent where its help has %s', async (_, help) => {
    const all = await relayed({ rights: 'all' }, greeting(7));
    const a = await all.user();
    a.say('client-auth 1 2\npush x\nEND\n');
    await answer(all.daemon, 'help', `Commands:\r\n${help}\r\nEND\r\n`);
    expect(await a.hear('\n')).toMatch(/^ERROR: unknown command/);
    await nothingCame({ ...all, user: () => Promise.resolve(a) });
  });
});

test('a password with one word would be a block to a client of version 5', async () => {
  const all = await relayed({ rights: 'operate' }, greeting(6));
  const a = await all.user(greeting(6));
  expect(await a.ask('password Auth')).toBe("ERROR: the 'password' command requires 2 parameters\r\n");
  await nothingCame(all);
});
