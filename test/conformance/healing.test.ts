import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect } from 'vitest';
import { type Bench, test } from '../support/bench.ts';
import { ManagementEnd } from '../support/management-end.ts';
import { managementArgs, type OpenVpnClient, type ServerOptions } from '../support/openvpn.ts';

// A connection that is lost inside a block leaves a real daemon waiting for an answer that it does not take.

/** What is left of an agent: it is killed between the first line of a block and END. */
async function killedInside(path: string, asked: RegExp, begun: string): Promise<void> {
  const socket = connect({ path });
  await once(socket, 'connect');
  const agent = new ManagementEnd(socket);
  agent.say('version 3\nhold release\n');
  await agent.hear(asked);
  agent.say(begun);
  socket.end();
  await agent.gone();
}

async function stuck(
  bench: Bench,
  certificate: Parameters<Bench['client']>[1]['certificate'],
  kill: (path: string) => Promise<void>,
  server: ServerOptions = { proto: 'tcp' },
): Promise<OpenVpnClient> {
  const path = bench.path('management');
  const client = bench.client(await bench.server(server), {
    management: { address: path, port: 'unix' },
    certificate,
  });
  await client.logged(/MANAGEMENT: unix domain socket listening/);
  await kill(path);
  await client.logged(/MANAGEMENT: Client disconnected/);
  return client;
}

const inSignature = (path: string): Promise<void> => killedInside(path, />PK_SIGN:[^\n]*\n/, 'pk-sig\n');
const inCertificate = (path: string): Promise<void> =>
  killedInside(path, />NEED-CERTIFICATE:[^\n]*\n/, 'certificate\n-----BEGIN CERTIFICATE-----\n');
const runArgs = (bench: Bench): string[] => [
  'run',
  ...managementArgs({ address: bench.path('management'), port: 'unix' }),
  ...['--key', bench.key('p256', 'file'), '--cert', bench.recipe('p256.crt')],
];

describe('a daemon whose connection was lost', () => {
  test('inside a signature is freed, and connects', async ({ bench }) => {
    const client = await stuck(bench, { file: 'p256' }, inSignature);
    const pksigd = await bench.pksigd(runArgs(bench));
    await client.connected();
    const told = pksigd.messages('the daemon waits for an answer, and takes none: it gets a signal');
    expect(told).toEqual([expect.objectContaining({ level: 'warn', notification: 'PK_SIGN', signal: 'SIGUSR1' })]);
    expect(client.count(/CMD 'signal SIGUSR1'/)).toBe(1);
  });

  test('over UDP connects when a peer of one client has given up the handshake that was lost', async ({ bench }) => {
    // else a minute, as with any client that is restarted within a handshake
    const peer = { proto: 'udp', args: ['--hand-window', '4'] } as const;
    const client = await stuck(bench, { file: 'p256' }, inSignature, peer);
    await bench.pksigd(runArgs(bench));
    await client.connected();
    expect(client.count(/CMD 'signal SIGUSR1'/)).toBe(1);
  });

  test('stays so with --heal none, and is told of', async ({ bench }) => {
    const client = await stuck(bench, { file: 'p256' }, inSignature);
    const pksigd = await bench.pksigd([...runArgs(bench), '--heal', 'none']);
    const told = await pksigd.message('the daemon waits for an answer, and takes none');
    expect(told).toMatchObject({ level: 'error', hint: expect.stringContaining('SIGUSR1') as unknown });
    client.kill('SIGUSR1');
    await client.connected();
  });

  test('inside a certificate is told of: a signal would end it', async ({ bench }) => {
    const client = await stuck(bench, { hint: 'x' }, inCertificate);
    const pksigd = await bench.pksigd(runArgs(bench));
    const told = await pksigd.message('the daemon waits for an answer, and takes none');
    expect(told).toMatchObject({ level: 'error', hint: expect.stringContaining('start the daemon anew') as unknown });
    expect(client.ended).toBe(false);
    await pksigd.stop();
    const socket = connect({ path: bench.path('management') });
    await once(socket, 'connect');
    new ManagementEnd(socket).say('signal SIGUSR1\n');
    await client.logged(/Cannot load inline certificate file/);
    expect(await client.exited).toBe(1);
  });

  test('outside of one is not sent a signal', async ({ bench }) => {
    const waits = (path: string): Promise<void> => killedInside(path, />PK_SIGN:[^\n]*\n/, '');
    const client = await stuck(bench, { file: 'p256' }, waits);
    await bench.pksigd(runArgs(bench));
    await client.connected();
    expect(client.count(/CMD 'signal/)).toBe(0);
  });
});
