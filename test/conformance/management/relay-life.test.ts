import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { type Bench, test } from '../../support/bench.ts';
import { ManagementUser } from '../../support/management-user.ts';
import type { ClientOptions, OpenVpnClient, OpenVpnServer } from '../../support/openvpn.ts';
import type { Pksigd } from '../../support/pksigd.ts';

const GREETING = />INFO:OpenVPN Management Interface.*\r\n/;

function user(bench: Bench): Promise<ManagementUser> {
  return ManagementUser.open({ kind: 'unix', path: bench.path('relay.sock') });
}

async function agent(bench: Bench, key: string, ...more: string[]): Promise<Pksigd> {
  const words = ['run', '--management', bench.path('daemon.sock'), 'unix', '--key', key];
  const pksigd = await bench.pksigd([...words, '--relay', bench.path('relay.sock'), 'unix', ...more]);
  await pksigd.message('listening for management clients');
  return pksigd;
}

function daemon(bench: Bench, server: OpenVpnServer, options: Partial<ClientOptions> = {}): OpenVpnClient {
  const management = { address: bench.path('daemon.sock'), port: 'unix' };
  return bench.client(server, { management, certificate: { file: 'p256' }, ...options });
}

describe.concurrent('a relay and its daemon', () => {
  test('a client that is kept sees one daemon go and the next one come', async ({ bench }) => {
    const server = await bench.server();
    const pksigd = await agent(bench, bench.key('p256', 'file'), '--management-client', '--relay-keep');
    await pksigd.listening();
    const one = await user(bench);
    const first = daemon(bench, server, { managementClient: true });
    await one.hear(GREETING);
    await one.ask('state on all');
    await one.hear(/>STATE:\d+,CONNECTED,.*\r\n/);
    await first.stop();
    await one.hear(/>STATE:\d+,EXITING,.*\r\n/);
    await pksigd.message('disconnected from the daemon');
    expect(await one.ask('pid')).toBe('ERROR: the daemon is away\r\n');
    const second = daemon(bench, server, { managementClient: true });
    await one.hear(GREETING);
    await one.hear(/>STATE:\d+,CONNECTED,.*\r\n/);
    expect(await one.ask('pid')).toContain(`SUCCESS: pid=${second.pid}\r\n`);
  });

  test('others are sent away with it, and find the next', async ({ bench }) => {
    const server = await bench.server();
    await agent(bench, bench.key('p256', 'file'));
    const first = daemon(bench, server);
    const one = await user(bench);
    await one.hear(GREETING);
    await first.connected();
    await first.stop();
    await one.gone();
    const two = await user(bench);
    const second = daemon(bench, server);
    await two.hear(GREETING);
    expect(await two.ask('pid')).toContain(`pid=${second.pid}\r\n`);
  });

  test('a client brings the certificate that the agent does not have', async ({ bench }) => {
    const server = await bench.server();
    // a key alone: its file holds no certificate
    const key = await bench.write('alone.pem', await readFile(bench.recipe('p256.pem')));
    await agent(bench, key, '--relay-allow', 'all');
    const one = await user(bench);
    const client = daemon(bench, server, { certificate: { hint: 'office' } });
    await one.hear(GREETING);
    await one.hear('>NEED-CERTIFICATE:office\r\n');
    const pem = await readFile(bench.recipe('p256.crt'), 'latin1');
    expect(await one.ask(`certificate\n${pem.trim()}\nEND`)).toContain('SUCCESS: certificate command succeeded\r\n');
    await client.connected();
    expect(one.all).not.toContain('_SIGN');
  });

  test('a password is asked of all, and the first who knows it is heard', async ({ bench }) => {
    const server = await bench.server();
    await agent(bench, bench.key('p256', 'file'), '--relay-allow', 'operate');
    const client = daemon(bench, server, { args: ['--auth-user-pass', '--management-query-passwords', '--pull'] });
    const [one, two] = [await user(bench), await user(bench)];
    const need = ">PASSWORD:Need 'Auth' username/password\r\n";
    await Promise.all([one.hear(need), two.hear(need)]);
    expect(await one.ask('username Auth joe')).toBe("SUCCESS: 'Auth' username entered, but not yet verified\r\n");
    const late = await user(bench);
    await late.hear(need);
    expect(await two.ask('password "Auth" "se cret"')).toBe(
      "SUCCESS: 'Auth' password entered, but not yet verified\r\n",
    );
    expect(await late.ask('password Auth other')).toBe('ERROR: no password is currently needed at this time\r\n');
    await client.logged(/Control Channel: TLSv1/);
  });

  test('nothing in a block becomes a command, whatever the daemon takes', async ({ bench }) => {
    const server = await bench.server();
    await agent(bench, bench.key('p256', 'file'), '--relay-allow', 'all');
    const client = daemon(bench, server);
    await client.connected();
    const one = await user(bench);
    await one.hear(GREETING);
    await client.logged(/MANAGEMENT: CMD 'pk-sig'/);
    const before = client.count(/MANAGEMENT: CMD '/);
    for (const head of ['client-pf 1', 'client-auth 1 2', 'client-auth 1 2 3'])
      for (const line of ['pk-sig', '"pk-sig"', 'verb 9', 'signal SIGTERM'])
        expect(await one.ask(`${head}\n${line}\nAAAA\nEND`)).toMatch(
          /^ERROR: (?:unknown command|a line of the block)/m,
        );
    // it answers for itself, takes the block as one, and nothing of it shows in its log as a command
    await one.ask('client-auth 1 2\npid\npush "route 10.0.0.0"\nEND');
    await one.ask('pid');
    // its answer may come before its log is read
    await client.logged(/MANAGEMENT: CMD 'pid'/);
    expect(client.count(/MANAGEMENT: CMD '/) - before).toBe(2);
    expect(client.count(/MANAGEMENT: CMD '(?:client-auth 1 2|pid)'/)).toBe(2);
  });

  test('a client that leaves right behind its commands has them all done', async ({ bench }) => {
    const server = await bench.server();
    await agent(bench, bench.key('p256', 'file'), '--relay-allow', 'all');
    const client = daemon(bench, server);
    await client.connected();
    const two = await user(bench);
    await two.hear(GREETING);
    for (const [index, leave] of [
      (one: ManagementUser) => one.socket.end(),
      (one: ManagementUser) => one.socket.destroy(),
    ].entries()) {
      const one = await user(bench);
      await one.hear(GREETING);
      const mute = 9005 + index;
      await new Promise<void>((resolve) => {
        one.socket.write(`status 3\nload-stats\nversion\nmute ${mute}\nquit\n`, () => {
          resolve();
        });
      });
      leave(one);
      await client.logged(new RegExp(`MANAGEMENT: CMD 'mute ${mute}'`));
      expect(await two.ask('mute')).toContain(`SUCCESS: mute=${mute}\r\n`);
    }
  });
});
