import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench } from '../support/bench.ts';
import { managementArgs, type Management } from '../support/openvpn.ts';
import { canBeOther } from '../support/other-user.ts';
import type { Pksigd } from '../support/pksigd.ts';

const certificate = { file: 'p256' } as const;
const self = `${process.getuid?.() ?? 0}`;

async function overTcp(bench: Bench): Promise<Management> {
  const address = ownAddress();
  const passwordFile = await bench.write('management-password', 'correct horse\n');
  return { address, port: `${await freePort(address)}`, passwordFile };
}

function run(bench: Bench, management: Management, ...args: string[]): Promise<Pksigd> {
  return bench.pksigd(['run', ...managementArgs(management), '--key', bench.key('p256', 'file'), ...args]);
}

describe.concurrent('--management-user, with a real daemon', () => {
  test.for(['TCP', 'a unix socket'] as const)('of that user, over %s', async (kind, { bench }) => {
    const server = await bench.server();
    const management = kind === 'TCP' ? await overTcp(bench) : { address: bench.path('d.sock'), port: 'unix' };
    await run(bench, management, '--management-user', self);
    await bench.client(server, { management, certificate }).connected();
  });

  test.for(['TCP', 'a unix socket'] as const)('of that user, which connects over %s', async (kind, { bench }) => {
    const server = await bench.server();
    const management = kind === 'TCP' ? await overTcp(bench) : { address: bench.path('d.sock'), port: 'unix' };
    await (await run(bench, management, '--management-client', '--management-user', self)).listening();
    await bench.client(server, { management, certificate, managementClient: true }).connected();
  });

  test('of another user', async ({ bench }) => {
    const server = await bench.server();
    const management = await overTcp(bench);
    const client = bench.client(server, { management, certificate });
    const pksigd = await run(bench, management, '--management-user', '65533');
    await pksigd.logged(/belongs to user \d+, not user 65533/);
    await pksigd.stop();
    expect(client.count(/MANAGEMENT: CMD/)).toBe(0);
  });

  // who listens counts: the process that accepts us is nobody's by then
  test.runIf(canBeOther)('that has given up its privileges (--user nobody)', async ({ bench }) => {
    const server = await bench.server();
    const management = await overTcp(bench);
    const args = ['--user', 'nobody', '--persist-key'];
    const client = bench.client(server, { management, certificate, args });
    const first = await run(bench, management);
    await client.connected();
    await first.stop();
    await run(bench, management, '--management-user', 'root');
    client.kill('SIGUSR1');
    await client.connected(2);
  });
});
