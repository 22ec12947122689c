import { statSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test } from '../support/bench.ts';
import { ManagementUser } from '../support/management-user.ts';

const RUN = ['run', '--management', '/nowhere/daemon.sock', 'unix'];

describe('--relay', () => {
  test.for([
    [['--relay', '0.0.0.0', '7505'], /needs a password/],
    [['--relay', 'relay.sock'], /--relay takes ADDRESS PORT\|unix/],
    [['--relay', 'relay.sock', 'unix', '--relay-mode', '99'], /is not an octal mode/],
    [['--relay', 'relay.sock', 'unix', '--relay-group', 'no such group'], /there is no group/],
    [['--relay', '127.0.0.1', '7505', '--relay-mode', '0600'], /are for unix sockets/],
    [['--relay-keep'], /are for --relay/],
    [['--relay-allow', 'all'], /are for --relay/],
    [['--relay', 'relay.sock', 'unix', '--relay-allow', 'some'], /--relay-allow/],
  ] as const)('%s is refused', async ([words, said], { bench }) => {
    const pksigd = await bench.pksigd([...RUN, '--key', bench.recipe('p256.pem'), ...words]);
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.stderr.join('\n')).toMatch(said);
  });

  test('a unix socket is this user’s own, or a group’s', async ({ bench }) => {
    const key = ['--key', bench.recipe('p256.pem')];
    const own = await bench.pksigd([...RUN, ...key, '--relay', bench.path('own.sock'), 'unix']);
    const group = await bench.pksigd([
      ...[...RUN, ...key, '--relay', bench.path('group.sock'), 'unix'],
      ...['--relay-group', `${process.getgid?.() ?? 0}`],
    ]);
    await Promise.all([own, group].map((pksigd) => pksigd.message('listening for management clients')));
    expect(statSync(bench.path('own.sock')).mode & 0o777).toBe(0o600);
    expect(statSync(bench.path('group.sock')).mode & 0o777).toBe(0o660);
  });

  test('a port that every user of the host reaches: a warning, or a password', async ({ bench }) => {
    const [address, port] = [ownAddress(), await freePort(ownAddress())];
    const words = [...RUN, '--key', bench.recipe('p256.pem'), '--relay', address, `${port}`];
    const open = await bench.pksigd(words);
    await open.message('every user of this host can use the relay: name a password file, or use a unix socket');
    await open.stop();
    const closed = await bench.pksigd([...words, await bench.write('password', 'sesame\n')]);
    await closed.message('listening for management clients');
    const user = await ManagementUser.open({ kind: 'tcp', host: address, port });
    expect(await user.hear('ENTER PASSWORD:')).toBe('ENTER PASSWORD:');
    user.say('sesame\n');
    // no greeting: there is no daemon yet
    expect(await user.hear('\r\n')).toBe('SUCCESS: password is correct\r\n');
    user.close();
    expect(closed.transcript).not.toContain('sesame');
  });
});
