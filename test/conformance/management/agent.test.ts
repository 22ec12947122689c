import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  connectManagement,
  LINE_CUT,
  listenManagement,
  type ManagementAddress,
  type ManagementClient,
} from '../../../src/management/index.ts';
import { Secret } from '../../../src/secret.ts';
import { freePort as freeTcpPort } from '../../support/bench.ts';
import { clientArgs, freePort, Lab, managementArgs, serverArgs } from './real-daemon.ts';

let lab: Lab;
let port: number;
let key: KeyObject;
beforeAll(() => {
  lab = new Lab();
  key = createPrivateKey(readFileSync(lab.path('client.key')));
  writeFileSync(lab.path('management.pw'), 'management "pass word\n', { mode: 0o600 });
});
afterAll(() => lab.remove());
// a server without a device serves one client, and keeps to one whose handshake failed
beforeEach(async () => {
  port = await freePort();
  await lab.start(serverArgs(port)).logged('UDPv4 link remote: [AF_UNSPEC]');
});

/** Signs whatever is asked for until the tunnel stands, as an agent would. */
async function serve(client: ManagementClient): Promise<void> {
  await client.raw('state on');
  for await (const notification of client) {
    if (notification.type === 'HOLD') await client.holdRelease();
    if (notification.type === 'NEED-CERTIFICATE') {
      expect(notification.hint).toBe('a hint');
      await client.certificate(readFileSync(lab.path('client.crt'), 'utf8'));
    }
    if (notification.type === 'PK_SIGN') {
      expect(notification.algorithm).toBe('ECDSA,hashalg=SHA256,data=message');
      await client.pkSig(sign('sha256', Buffer.from(notification.data, 'base64'), key));
    }
    if (notification.type === 'STATE' && notification.name === 'CONNECTED') return;
  }
  throw new Error('the daemon went away');
}

async function unixAddress(name: string): Promise<ManagementAddress> {
  const path = lab.path(name);
  await Promise.resolve();
  return { kind: 'unix', path };
}

async function tcpAddress(): Promise<ManagementAddress> {
  return { kind: 'tcp', host: '127.0.0.1', port: await freeTcpPort() };
}

const external = ['--cert', 'client.crt', '--management-external-key', 'digest'];

describe('OpenVPN connects, its key being ours', () => {
  test.each([
    ['unix', () => unixAddress('a.sock')],
    ['tcp', tcpAddress],
  ])('over %s', async (_, addressOf) => {
    const address = await addressOf();
    const daemon = lab.start([...clientArgs(port), ...managementArgs(address), '--management-hold', ...external]);
    await daemon.logged('listening on');
    const client = await connectManagement(address, { clientVersion: 3 });
    await serve(client);
    await client.signal('SIGTERM');
    expect((await client.closed).by).toBe('daemon');
    expect(await daemon.exited()).toBe(0);
  });

  test('with a password file and a certificate of ours', async () => {
    const address = await unixAddress('b.sock');
    const daemon = lab.start([
      ...[...clientArgs(port), ...managementArgs(address), 'management.pw', '--management-hold'],
      ...['--management-external-key', 'digest', '--management-external-cert', 'a hint'],
    ]);
    await daemon.logged('listening on');
    await expect(connectManagement(address)).rejects.toMatchObject({ code: 'ERR_MANAGEMENT_PASSWORD' });
    await expect(connectManagement(address, { password: new Secret('wrong') })).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_PASSWORD',
    });
    const password = new Secret('management "pass word');
    const client = await connectManagement(address, { clientVersion: 3, password });
    await serve(client);
    await client.close();
    await daemon.stop();
  });

  test.each([
    ['unix', () => unixAddress('c.sock')],
    ['tcp', (): ManagementAddress => ({ kind: 'tcp', host: '127.0.0.1', port: 0 })],
  ])('as --management-client over %s', async (_, addressOf) => {
    const listener = await listenManagement(await addressOf(), {
      clientVersion: 3,
      password: new Secret('management "pass word'),
    });
    const daemon = lab.start([
      ...[...clientArgs(port), ...managementArgs(listener.address), 'management.pw', '--management-client'],
      ...['--management-hold', ...external],
    ]);
    for await (const client of listener) {
      await serve(client);
      // the daemon ends when its management client goes away
      await client.close();
      break;
    }
    expect(await daemon.exited()).toBe(0);
    await listener.close();
    if (listener.address.kind === 'unix') expect(existsSync(listener.address.path)).toBe(false);
  });
});

test('an empty block fails the handshake at once, and the next request comes', async () => {
  const address = await unixAddress('d.sock');
  const daemon = lab.start([...clientArgs(port), ...managementArgs(address), '--management-hold', ...external]);
  await daemon.logged('listening on');
  const client = await connectManagement(address, { clientVersion: 3 });
  const held = client.next('HOLD');
  await held;
  const asked = client.next('PK_SIGN');
  await client.holdRelease();
  await asked;
  const again = client.next('HOLD');
  await client.pkSig(null);
  expect((await again).waitSeconds).toBeGreaterThan(0);
  // that server without a device is still busy with the handshake that failed: its next would come a minute later
  await client.close();
  await daemon.stop();
});

test('a request is repeated to the next management client', async () => {
  const address = await unixAddress('e.sock');
  const daemon = lab.start([...clientArgs(port), ...managementArgs(address), '--management-hold', ...external]);
  await daemon.logged('listening on');
  const first = await connectManagement(address, { clientVersion: 3 });
  await first.next('HOLD');
  const asked = first.next('PK_SIGN');
  await first.holdRelease();
  const { data } = await asked;
  await first.close();
  const second = await connectManagement(address, { clientVersion: 3 });
  const states = second.raw('state on');
  for await (const notification of second) {
    if (notification.type === 'PK_SIGN') {
      expect(notification.data).toBe(data);
      await second.pkSig(sign('sha256', Buffer.from(data, 'base64'), key));
    }
    if (notification.type === 'STATE' && notification.name === 'CONNECTED') break;
  }
  await states;
  await second.close();
  await daemon.stop();
});

test('a signature that nobody asked for, and its lines that the daemon takes for commands', async () => {
  const address = await unixAddress('f.sock');
  const daemon = lab.start([...clientArgs(port), ...managementArgs(address), '--management-hold', ...external]);
  await daemon.logged('listening on');
  const client = await connectManagement(address, { clientVersion: 3 });
  const stray: string[] = [];
  client.on('STRAY', ({ line }) => stray.push(line));
  const refused = { code: 'ERR_MANAGEMENT_COMMAND' };
  await Promise.all([
    expect(client.pkSig(Buffer.alloc(300))).rejects.toMatchObject(refused),
    expect(client.rsaSig(null)).rejects.toMatchObject(refused),
    expect(client.certificate(readFileSync(lab.path('client.crt'), 'utf8'))).rejects.toMatchObject(refused),
    expect(client.raw('pid')).resolves.toMatchObject({ text: `pid=${daemon.pid}` }),
  ]);
  expect((await client.raw('hold')).text).toBe('hold=1');
  expect(stray).toEqual([]);
  await client.close();
  await daemon.stop();
});

test('a request that the daemon cuts is noticed at once, and its empty block taken', async () => {
  // the handshake's transcript is what is to be signed, and the server's list of CAs is part of it
  const authorities = Array.from({ length: 60 }, (_, index) => {
    const name = `authority-${index}`;
    lab.openssl('req', '-x509', '-subj', `/O=${'x'.repeat(60)}/CN=${name}`, '-key', 'ca.key', '-out', `${name}.crt`);
    return readFileSync(lab.path(`${name}.crt`), 'utf8');
  });
  writeFileSync(lab.path('authorities.crt'), [readFileSync(lab.path('ca.crt'), 'utf8'), ...authorities].join(''));
  const many = await freePort();
  const options = serverArgs(many).map((each) => (each === 'ca.crt' ? 'authorities.crt' : each));
  await lab.start([...options, '--tls-version-max', '1.2']).logged('UDPv4 link remote: [AF_UNSPEC]');
  const address = await unixAddress('g.sock');
  const daemon = lab.start([...clientArgs(many), ...managementArgs(address), '--management-hold', ...external]);
  await daemon.logged('listening on');
  const client = await connectManagement(address, { clientVersion: 3 });
  const cut = client.next('TRUNCATED');
  await client.holdRelease();
  const { of, line } = await cut;
  expect(of).toBe('PK_SIGN');
  expect(line).toHaveLength(LINE_CUT - 1);
  const held = client.next('HOLD');
  await client.pkSig(null);
  await held;
  await client.close();
  await daemon.stop();
});

test('FATAL: a certificate that the daemon can’t read', async () => {
  const address = await unixAddress('h.sock');
  const daemon = lab.start([
    ...[...clientArgs(port), ...managementArgs(address), '--management-hold'],
    ...['--management-external-key', 'digest', '--management-external-cert', 'a hint'],
  ]);
  await daemon.logged('listening on');
  const client = await connectManagement(address, { clientVersion: 3 });
  const [asked, fatal] = [client.next('NEED-CERTIFICATE'), client.next('FATAL')];
  await client.holdRelease();
  await asked;
  await client.certificate('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  expect((await fatal).text).toContain('Cannot load inline certificate file');
  expect((await client.closed).by).toBe('daemon');
  expect(await daemon.exited()).toBe(1);
});
