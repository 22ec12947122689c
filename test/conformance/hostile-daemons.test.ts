import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { managementArgs } from '../support/openvpn.ts';
import type { Pksigd } from '../support/pksigd.ts';

const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\n";
const REQUEST = `>PK_SIGN:${createHash('sha256').update('x').digest('base64')},ECDSA\n`;
const ASKED = 'a signature is asked for';
const MEBIBYTE = 1024 * 1024;

/** A peer that connects to pksigd and says what it likes; it takes what it is told, and its end, as they come. */
async function peer(bench: Bench): Promise<Socket> {
  const socket = connect(bench.path('management'));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.resume();
  socket.write(GREETING);
  return socket;
}

/** Writes a text over and over until pksigd ends the connection, or the test calls it off. */
function flood(socket: Socket, text: string): () => void {
  const chunk = text.repeat(Math.ceil(65_536 / text.length));
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
  return () => {
    socket.destroy();
  };
}

function residentBytes({ pid }: Pksigd): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

/** pksigd with a token, listening for daemons. */
async function listening(bench: Bench): Promise<Pksigd> {
  const place = [bench.path('management'), 'unix', '--management-client'];
  const pksigd = await bench.pksigd(['run', '--management', ...place, '--key', bench.key('p256', 'SoftHSM')]);
  await pksigd.message('key ready');
  return pksigd;
}

/** A real daemon that connects to pksigd. */
async function connectsAll(bench: Bench): Promise<void> {
  const server = await bench.server();
  const management = { address: bench.path('management'), port: 'unix' };
  const client = bench.client(server, { management, certificate: { file: 'p256' }, managementClient: true });
  await client.connected();
}

describe.concurrent('beside a peer that floods the agent, a real daemon connects', () => {
  test.for([
    ['requests', REQUEST],
    ['requests that are refused', '>PK_SIGN:!,ECDSA\n'],
    ['requests that are too long', `>PK_SIGN:${'A'.repeat(9000)},ECDSA\n`],
    ['holds with a pause', '>HOLD:Waiting for hold release:300\n'],
    ['holds', '>HOLD:Waiting for hold release:0\n'],
    ['questions for the certificate', '>NEED-CERTIFICATE:x\n'],
    ['last words', '>FATAL:x\n'],
    ['passwords', ">PASSWORD:Need 'Auth' username/password\n"],
    ['nothing', '\n'],
    ['empty notifications', '>\n'],
    ['variables', '>CLIENT:CONNECT,0,1\n>CLIENT:ENV,x=y\n'],
    ['lines without an end', 'x'.repeat(1000)],
  ] as const)('%s', async ([, text], { bench }) => {
    const pksigd = await listening(bench);
    const stops = [1, 2, 3].map(async () => flood(await peer(bench), text));
    await connectsAll(bench);
    expect(residentBytes(pksigd)).toBeLessThan(400 * MEBIBYTE);
    for (const stop of stops) (await stop)();
    expect(pksigd.ended).toBe(false);
    // nor is the disk filled
    expect(pksigd.log.filter(({ msg }) => msg !== 'signed').length).toBeLessThan(2000);
  });
});

describe.concurrent('requests of a connection', () => {
  test('that has ended are not signed', async ({ bench }) => {
    const pksigd = await listening(bench);
    const gone = await peer(bench);
    gone.end(REQUEST.repeat(2000));
    await pksigd.message('disconnected from the daemon');
    await connectsAll(bench);
    await pksigd.stop();
    expect(pksigd.messages('signed').length).toBeLessThan(100);
  });

  test('that was restarted while it waited: the new one is answered', async ({ bench }) => {
    const management = { address: bench.path('management'), port: 'unix' };
    const server = await bench.server();
    const client = bench.client(server, { management, certificate: { file: 'p256' } });
    const args = [...managementArgs(management), '--key', bench.key('p256', 'SoftHSM'), '--log-level', 'debug'];
    // its host is stopped meanwhile, for as long as a busy machine takes
    args.push('--deadline', '120');
    const pksigd = await bench.pksigd(['run', ...args]);
    await client.connected();
    const [host] = pksigd.children;
    if (host === undefined) throw new Error('no module host');
    process.kill(host, 'SIGSTOP');
    client.kill('SIGUSR1');
    await pksigd.message(ASKED, 2);
    client.kill('SIGUSR1');
    // a server without --mode server hears no new handshake before it gave up the old one
    await server.stop();
    await bench.server({ insteadOf: server });
    await pksigd.message(ASKED, 3);
    await pksigd.until('the first one dropped', () => pksigd.log.find(({ outcome }) => outcome === 'dropped'));
    process.kill(host, 'SIGCONT');
    await client.connected(2);
    expect(client.count(/CMD 'pk-sig'/)).toBe(2);
  });
});

describe.concurrent('a real daemon that is not served: the log says why', () => {
  test('another management client has its only seat; it is served when that has gone', async ({ bench }) => {
    const management = { address: bench.path('management'), port: 'unix' };
    const client = bench.client(await bench.server(), { management, certificate: { file: 'p256' } });
    await client.logged(/MANAGEMENT: unix domain socket listening/);
    const other = connect(management.address);
    await once(other, 'data');
    const pksigd = await bench.pksigd(['run', ...managementArgs(management), '--key', bench.key('p256', 'file')]);
    const warning = await pksigd.until('warning', () => pksigd.log.find(({ level }) => level === 'warn'));
    expect(warning['msg']).toContain('another management client has its only seat');
    other.end();
    await client.connected();
  });

  test('management-external-key lacks pss', async ({ bench }) => {
    const management = { address: bench.path('management'), port: 'unix' };
    const client = bench.client(await bench.server(), {
      management,
      certificate: { file: 'rsa2048' },
      externalKey: 'pkcs1',
    });
    const pksigd = await bench.pksigd(['run', ...managementArgs(management), '--key', bench.key('rsa2048', 'file')]);
    const warning = await pksigd.until('warning', () => pksigd.log.find(({ level }) => level === 'warn'));
    expect(warning).toMatchObject({
      msg: expect.stringContaining('asked for no signature') as string,
      hint: expect.stringContaining("without 'pss'") as string,
    });
    expect(client.ended).toBe(false);
  });

  test('a wrong management password', async ({ bench }) => {
    const passwordFile = await bench.write('right', 'right\n');
    const management = { address: bench.path('management'), port: 'unix', passwordFile };
    const client = bench.client(await bench.server(), { management, certificate: { file: 'p256' } });
    const wrong = managementArgs({ ...management, passwordFile: await bench.write('wrong', 'wrong\n') });
    const pksigd = await bench.pksigd(['run', ...wrong, '--key', bench.key('p256', 'file')]);
    const error = await pksigd.until('error', () => pksigd.log.find(({ level }) => level === 'error'));
    expect(error).toMatchObject({ code: 'ERR_MANAGEMENT_PASSWORD', msg: 'the daemon is not served' });
    expect(client.ended).toBe(false);
  });
});
