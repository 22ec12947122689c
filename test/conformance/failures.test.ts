import { randomBytes } from 'node:crypto';
import { appendFile, copyFile, rename } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { test, type Bench, type KeyName, type KeyHome } from '../support/bench.ts';
import { openssl } from '../support/openssl.ts';
import {
  managementArgs,
  type ClientOptions,
  type OpenVpnClient,
  type OpenVpnServer,
  type ServerOptions,
} from '../support/openvpn.ts';
import type { Pksigd } from '../support/pksigd.ts';

/** OpenVPN got an answer that is none, gave this handshake up, and tries again. */
const GAVE_UP = /SIGUSR1\[soft,tls-error\]/;

interface Tunnel {
  server: OpenVpnServer;
  client: OpenVpnClient;
  pksigd: Pksigd;
}

interface Setup {
  key?: { name: KeyName; home: KeyHome };
  server?: ServerOptions;
  client?: Partial<ClientOptions>;
  args?: readonly string[];
}

async function tunnel(bench: Bench, setup: Setup = {}): Promise<Tunnel> {
  const management = { address: bench.path('management'), port: 'unix' };
  const { name, home } = setup.key ?? { name: 'p256', home: 'SoftHSM' };
  const server = await bench.server(setup.server);
  const client = bench.client(server, { management, certificate: { file: 'p256' }, ...setup.client });
  const args = [...managementArgs(management), '--key', bench.key(name, home), ...(setup.args ?? [])];
  return { server, client, pksigd: await bench.pksigd(['run', ...args]) };
}

/** A server without --mode server keeps a broken handshake for a minute, and hears no other: it is started anew. */
async function forgetHandshake(bench: Bench, server: OpenVpnServer): Promise<void> {
  await server.stop();
  await bench.server({ insteadOf: server });
}

function hostOf(pksigd: Pksigd): number {
  const [host, ...others] = pksigd.children;
  if (host === undefined || others.length > 0) throw new Error(`${others.length + 1} module hosts, 1 expected`);
  return host;
}

describe.concurrent('a module host', () => {
  test('that was killed is replaced: the next handshake connects', async ({ bench }) => {
    const { client, pksigd } = await tunnel(bench);
    await client.connected();
    const host = hostOf(pksigd);
    process.kill(host, 'SIGKILL');
    client.kill('SIGUSR1');
    await client.connected(2);
    expect(hostOf(pksigd)).not.toBe(host);
  });

  test('that is killed time and again is replaced each time', async ({ bench }) => {
    const { client, pksigd } = await tunnel(bench);
    for (let times = 1; times <= 5; times += 1) {
      await client.connected(times);
      process.kill(hostOf(pksigd), 'SIGKILL');
      client.kill('SIGUSR1');
    }
    await client.connected(6);
  });

  test('that is killed while it signs leaves no daemon waiting', async ({ bench }) => {
    const { server, client, pksigd } = await tunnel(bench);
    await client.connected();
    const host = hostOf(pksigd);
    process.kill(host, 'SIGSTOP');
    client.kill('SIGUSR1');
    await client.logged(/VERIFY OK: depth=0/, 2);
    process.kill(host, 'SIGKILL');
    // with an answer of a new host, or with an empty one
    await client.logged(/CMD 'pk-sig'/, 2);
    if (client.count(GAVE_UP) > 0) await forgetHandshake(bench, server);
    await client.connected(2);
  });

  test('that hangs is ended at the deadline, and the daemon connects', async ({ bench }) => {
    const { server, client, pksigd } = await tunnel(bench, { args: ['--deadline', '10'] });
    await client.connected();
    const host = hostOf(pksigd);
    process.kill(host, 'SIGSTOP');
    client.kill('SIGUSR1');
    // by a request, or by a look at the token that came before it
    await pksigd.until('end of the host', () => pksigd.log.find(({ reason }) => String(reason).includes('deadline')));
    const outcome = await pksigd.until('answer', () => pksigd.messages('failed')[0] ?? pksigd.messages('signed')[1]);
    if (outcome['msg'] === 'failed') await forgetHandshake(bench, server);
    await client.connected(2);
    expect(hostOf(pksigd)).not.toBe(host);
  });
});

describe.concurrent('the daemon gets an answer', () => {
  test('when the token is gone, and connects when it is back', async ({ bench }) => {
    const { server, client, pksigd } = await tunnel(bench);
    await client.connected();
    await rename(bench.path('tokens'), bench.path('away'));
    client.kill('SIGUSR1');
    // the request meets no token, or the loss was noticed before and the daemon is held
    await pksigd.until('loss of the token', () =>
      pksigd.log.find(({ msg }) => msg === 'failed' || msg === 'the token is away'),
    );
    await rename(bench.path('away'), bench.path('tokens'));
    await forgetHandshake(bench, server);
    await client.connected(2);
  });

  test.for([
    ['rsa2048', 'p256'],
    ['p256', 'ed25519'],
    ['ed448', 'rsa2048'],
  ] as const)('when the certificate is one for %s and the key is %s', async ([certificate, name], { bench }) => {
    const { server, client, pksigd } = await tunnel(bench, {
      key: { name, home: 'file' },
      client: { certificate: { file: certificate } },
    });
    await client.logged(GAVE_UP);
    await forgetHandshake(bench, server);
    // it tries again
    await client.logged(GAVE_UP, 2);
    expect((await pksigd.message('refused'))['code']).toMatch(/^ERR_REQUEST_/);
    expect(client.count(/Initialization Sequence Completed/)).toBe(0);
  });

  test('when OpenVPN cuts its request off', async ({ bench }) => {
    // in TLS 1.2 a server names its CAs, and what is signed is the whole handshake: beyond 10,239 characters a line ends
    const cas = bench.path('cas.crt');
    await copyFile(bench.recipe('ca.crt'), cas);
    for (let i = 0; i < 30; i += 1) {
      const subject = ['O', 'OU', 'CN'].map((part) => `/${part}=${randomBytes(32).toString('hex')}`).join('');
      await appendFile(cas, await openssl(['req', '-x509', '-key', bench.recipe('ca.pem'), '-subj', subject]));
    }
    const { client, pksigd } = await tunnel(bench, {
      server: { tls: '1.2', args: ['--ca', cas] },
      client: { externalKey: 'nopadding pkcs1 pss digest' },
    });
    await client.logged(GAVE_UP);
    expect((await pksigd.message('refused'))['code']).toBe('ERR_REQUEST_TRUNCATED');
  });
});

test('a certificate that is not the key’s is found before the daemon is let go', async ({ bench }) => {
  const { client, pksigd } = await tunnel(bench, {
    key: { name: 'rsa3072', home: 'SoftHSM' },
    client: { certificate: { hint: 'any' } },
    args: ['--cert', bench.recipe('rsa2048.crt')],
  });
  expect(await pksigd.exited).toBe(2);
  expect(client.ended).toBe(false);
});
