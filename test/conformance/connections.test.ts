import { networkInterfaces } from 'node:os';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench } from '../support/bench.ts';
import { managementArgs, type Management } from '../support/openvpn.ts';
import type { Pksigd } from '../support/pksigd.ts';

type Transport = 'TCP on IPv4' | 'TCP on IPv6' | 'a unix socket';

/** A free place for a management interface, with a password file if asked. */
async function place(bench: Bench, transport: Transport = 'TCP on IPv4', password = false): Promise<Management> {
  const passwordFile = password ? await bench.write('management-password', 'correct horse\n') : undefined;
  if (transport === 'a unix socket') return { address: bench.path('management'), port: 'unix', passwordFile };
  const address = transport === 'TCP on IPv6' ? '::1' : ownAddress();
  return { address, port: `${await freePort(address)}`, passwordFile };
}

function run(bench: Bench, management: Management, ...args: string[]): Promise<Pksigd> {
  return bench.pksigd(['run', ...managementArgs(management), '--key', bench.key('p256', 'SoftHSM'), ...args]);
}

const certificate = { file: 'p256' } as const;
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
if (!hasIpv6) console.warn('left out: connections over IPv6, as there is no ::1');
const transports: Transport[] = ['TCP on IPv4', ...(hasIpv6 ? (['TCP on IPv6'] as const) : []), 'a unix socket'];
const ways = transports.flatMap((transport) => [false, true].map((password) => ({ transport, password })));

describe.concurrent('pksigd connects to the daemon', () => {
  test.for(ways)('over $transport, management password: $password', async ({ transport, password }, { bench }) => {
    const management = await place(bench, transport, password);
    const client = bench.client(await bench.server(), { management, certificate });
    await run(bench, management);
    await client.connected();
  });

  test('that starts later', async ({ bench }) => {
    const management = await place(bench);
    const pksigd = await run(bench, management);
    await pksigd.message('waiting for the daemon');
    const client = bench.client(await bench.server(), { management, certificate });
    await client.connected();
  });

  test('that starts later on a unix socket, with a password', async ({ bench }) => {
    const management = await place(bench, 'a unix socket', true);
    const pksigd = await run(bench, management);
    await pksigd.message('waiting for the daemon');
    const client = bench.client(await bench.server(), { management, certificate });
    await client.connected();
  });

  test('that does not hold', async ({ bench }) => {
    const management = await place(bench);
    const client = bench.client(await bench.server(), { management, certificate, hold: false });
    await run(bench, management);
    await client.connected();
  });

  test('again, when it restarts', async ({ bench }) => {
    const server = await bench.server();
    const management = await place(bench);
    const first = bench.client(server, { management, certificate });
    const pksigd = await run(bench, management);
    await first.connected();
    await first.stop();
    const second = bench.client(server, { management, certificate });
    await second.connected();
    expect(await pksigd.signed(2)).toHaveLength(2);
    expect(pksigd.ended).toBe(false);
  });
});

describe.concurrent('the daemon connects to pksigd (--management-client)', () => {
  test.for(ways)('over $transport, management password: $password', async ({ transport, password }, { bench }) => {
    const management = await place(bench, transport, password);
    const pksigd = await run(bench, management, '--management-client');
    await pksigd.listening();
    const client = bench.client(await bench.server(), { management, certificate, managementClient: true });
    await client.connected();
  });

  test('again, when it restarts', async ({ bench }) => {
    const server = await bench.server();
    const management = await place(bench, 'a unix socket');
    const pksigd = await run(bench, management, '--management-client');
    await pksigd.listening();
    const options = { management, certificate, managementClient: true };
    const first = bench.client(server, options);
    await first.connected();
    await first.stop();
    await bench.client(server, options).connected();
    expect(await pksigd.signed(2)).toHaveLength(2);
  });
});

describe.concurrent('the certificate (--management-external-cert)', () => {
  const hint = 'the one for the test';
  const sources = [
    { from: 'the file given by --cert', key: 'file', cert: 'file' },
    { from: "the token, by the key's CKA_ID", key: 'SoftHSM', cert: undefined },
    { from: 'a file, for a key in the token', key: 'SoftHSM', cert: 'file' },
    { from: 'the token, by the URI given by --cert', key: 'SoftHSM', cert: 'SoftHSM' },
  ] as const;

  test.for(sources)('comes from $from', async ({ key, cert }, { bench }) => {
    const server = await bench.server();
    const management = await place(bench);
    const client = bench.client(server, { management, certificate: { hint } });
    const file = cert === 'file' ? bench.recipe('rsa2048.crt') : undefined;
    const named = cert === undefined ? [] : ['--cert', file ?? bench.key('rsa2048', 'SoftHSM')];
    await bench.pksigd(['run', ...managementArgs(management), '--key', bench.key('rsa2048', key), ...named]);
    await client.connected();
    await server.logged(/VERIFY OK: depth=0, CN=pksigd rsa2048/);
  });
});

describe.concurrent('a tunnel that lives on', () => {
  test('is renegotiated on SIGUSR1', async ({ bench }) => {
    const management = await place(bench);
    const client = bench.client(await bench.server(), { management, certificate });
    const pksigd = await run(bench, management);
    for (let times = 1; times <= 3; times += 1) {
      await client.connected(times);
      client.kill('SIGUSR1');
    }
    await client.connected(4);
    expect(await pksigd.signed(4)).toHaveLength(4);
  });

  test('asks again for its certificate after SIGUSR1', async ({ bench }) => {
    const management = await place(bench);
    const client = bench.client(await bench.server(), { management, certificate: { hint: 'p256' } });
    await run(bench, management);
    await client.connected();
    client.kill('SIGUSR1');
    await client.connected(2);
  });

  test.for(['server', 'client'] as const)('renegotiates 20 times, as the %s wishes', async (side, { bench }) => {
    const often = ['--reneg-sec', '1'];
    const management = await place(bench);
    const server = await bench.server({ args: side === 'server' ? often : [] });
    const client = bench.client(server, { management, certificate, args: side === 'client' ? often : [] });
    const pksigd = await run(bench, management);
    await client.connected();
    await server.handshakes(21);
    await pksigd.signed(21);
    expect(pksigd.messages('failed')).toEqual([]);
    expect(client.count(/TLS Error/)).toBe(0);
  });

  test('gets the signature it waits for from a pksigd that was started anew', async ({ bench }) => {
    const management = await place(bench);
    const client = bench.client(await bench.server(), { management, certificate });
    // the host is stopped meanwhile, for as long as a busy machine takes
    const first = await run(bench, management, '--deadline', '120');
    await client.connected();
    const [host = 0] = first.children;
    // the request is under way and can't be answered: then pksigd goes away
    process.kill(host, 'SIGSTOP');
    client.kill('SIGUSR1');
    await client.logged(/VERIFY OK: depth=0/, 2);
    first.kill('SIGKILL');
    process.kill(host, 'SIGKILL');
    await first.exited;
    const second = await run(bench, management);
    await client.connected(2);
    expect(await second.signed(1)).toHaveLength(1);
    expect(client.count(/TLS Error|SIGUSR1\[soft,tls-error\]/)).toBe(0);
  });
});
