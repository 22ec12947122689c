import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectManagement, type ManagementClient } from '../../../src/management/index.ts';
import { OPENVPN } from '../../support/openvpn.ts';
import { clientArgs, freePort, Lab, type RealDaemon, release, serverArgs } from './real-daemon.ts';

let lab: Lab;
let daemon: RealDaemon;
let client: ManagementClient;
let held: Promise<unknown>;
const stray: string[] = [];
const refused = (text: string): unknown =>
  expect.objectContaining({ code: 'ERR_MANAGEMENT_COMMAND', message: expect.stringContaining(text) as string });

beforeAll(async () => {
  lab = new Lab();
  const port = await freePort();
  await lab.start(serverArgs(port)).logged('UDPv4 link remote: [AF_UNSPEC]');
  daemon = lab.start([
    ...[...clientArgs(port), '--cert', 'client.crt', '--key', 'client.key', '--echo', 'forget-passwords'],
    ...['--management', lab.path('m.sock'), 'unix', '--management-hold', '--management-up-down'],
    ...['--remote', 'localhost', '1194', 'tcp-client', '--connect-retry', '1', '--auth-retry', 'nointeract'],
  ]);
  await daemon.logged('listening on');
  client = await connectManagement({ kind: 'unix', path: lab.path('m.sock') }, { clientVersion: 3 });
  client.on('STRAY', ({ line }) => stray.push(line));
  held = client.next('HOLD');
});
afterAll(async () => {
  await client.close();
  await lab.remove();
});

describe('every command that a client’s daemon knows', () => {
  test('in hold', async () => {
    await held;
    expect(await client.hold()).toBe(true);
    await client.setHold(false);
    expect(await client.hold()).toBe(false);
    await expect(client.signal('SIGUSR1')).rejects.toEqual(refused("signal 'SIGUSR1' is currently ignored"));
  });

  test('about itself', async () => {
    expect(await client.pid()).toBe(daemon.pid);
    expect(await client.version()).toEqual({
      management: { '2.5': 3, '2.6': 5, '2.7': 6 }[release],
      title: expect.stringContaining(`OpenVPN ${release}`) as string,
      release: expect.stringContaining(release) as string,
    });
    const help = await client.help();
    expect(help[0]).toContain(`Management Interface for OpenVPN ${release}`);
    expect(help.length).toBeGreaterThan(40);
    await client.announceVersion(4);
    await client.announceVersion(3);
    expect(await client.test(3)).toHaveLength(3);
    expect(await client.test(0)).toEqual([]);
    await expect(client.raw('no-such-command')).rejects.toEqual(refused('unknown command'));
    await expect(client.raw('pid "open')).rejects.toEqual(refused('Options error: No closing quotation'));
    await expect(client.exchange('log')).resolves.toMatchObject({
      error: expect.stringContaining('requires') as string,
    });
  });

  test('settings', async () => {
    expect(await client.verb()).toBe(3);
    await client.setVerb(4);
    expect(await client.verb()).toBe(4);
    await client.setVerb(3);
    await expect(client.setVerb(99)).rejects.toEqual(refused('out of range'));
    await client.setMute(40);
    expect(await client.mute()).toBe(40);
    await client.setMute(0);
    expect(await client.authRetry()).toBe('nointeract');
    await client.setAuthRetry('interact');
    expect(await client.authRetry()).toBe('interact');
    const wrong = await client.exchange('auth-retry sometimes');
    expect(wrong).toMatchObject({ error: 'bad auth-retry parameter' });
    expect(wrong.raw).toHaveLength(2);
    await client.envFilter(2);
    await client.forgetPasswords();
    expect(await client.nclients().catch((error: unknown) => error)).toEqual(refused('not supported'));
    expect(await client.loadStats()).toMatchObject({ clients: 0 });
  });

  test('history, and following it', async () => {
    const log = await client.logHistory('all', { follow: true });
    expect(log.map(({ text }) => text)).toContainEqual(expect.stringContaining(`OpenVPN ${release}`));
    expect(await client.logHistory(2)).toHaveLength(2);
    await client.echoHistory('all', { follow: true });
    await client.echo(false);
    await client.echo(true);
    await client.stateHistory('all', { follow: true });
    expect(await client.state()).toMatchObject({ name: 'CONNECTING' });
    await client.stateNotifications(false);
    await client.stateNotifications(true);
    await client.log(false);
  });

  test('answers to questions that weren’t asked', async () => {
    await expect(client.username('Auth', 'a')).rejects.toEqual(refused('no username is currently needed'));
    await expect(client.password('Auth', 'a "b')).rejects.toEqual(refused('no password is currently needed'));
    await expect(client.needOk('x', 'ok')).rejects.toEqual(refused('no needok-confirmation is currently needed'));
    await expect(client.needStr('x', 'y z')).rejects.toEqual(refused('no needstr-string is currently needed'));
    await expect(client.remoteAccept()).rejects.toEqual(refused('not supported'));
    await expect(client.remoteModify('localhost', 1)).rejects.toEqual(refused('not supported'));
    await expect(client.remoteSkip(1)).rejects.toEqual(refused('not supported'));
    await expect(client.proxy({ type: 'NONE' })).rejects.toEqual(refused('not supported'));
    await expect(client.crResponse('x')).rejects.toEqual(refused('command'));
    for (const call of [
      client.clientAuth(0, 0, ['a', 'b']),
      client.clientAuthNt(0, 0),
      client.clientDeny(0, 0, 'x', 'y'),
      client.clientPendingAuth(0, 0, 'CR_TEXT:R:x', 10),
      client.clientKill(0),
      client.killCommonName('nobody'),
      client.killAddress('udp', '127.0.0.1', 1),
    ]) {
      await expect(call).rejects.toEqual(refused('is not supported by the current daemon mode'));
    }
    const why = release === '2.7' ? 'not supported' : 'unknown command';
    await expect(client.pushUpdateBroad('x')).rejects.toEqual(refused(why));
    await expect(client.pushUpdateCid(0, 'x')).rejects.toEqual(refused(why));
  });

  test('connected: states, counters, notifications', async () => {
    const up = client.next('UPDOWN');
    const states: string[] = [];
    const connected = new Promise<void>((resolve) => {
      client.on('STATE', ({ name }) => {
        states.push(name);
        if (name === 'CONNECTED') resolve();
      });
    });
    await client.holdRelease();
    await connected;
    expect((await up).env).toMatchObject({ script_context: 'init', dev: 'null' });
    expect(await client.echoHistory('all')).toEqual(expect.any(Array));
    expect(states).toEqual(expect.arrayContaining(['WAIT', 'AUTH', 'CONNECTED']));
    expect(await client.state()).toMatchObject({ name: 'CONNECTED', remoteAddress: '127.0.0.1' });
    expect((await client.stateHistory(3)).at(-1)?.name).toBe('CONNECTED');
    for (const format of [1, 2, 3] as const) {
      const status = await client.status(format);
      expect(status.kind === 'client' && status.counters['Auth read bytes']).toEqual(expect.any(Number));
    }
    const counted = client.next('BYTECOUNT');
    await client.bytecount(1);
    expect((await counted).bytesIn).toBeGreaterThan(0);
    await client.bytecount(0);
  });

  test('what needs a mode that this daemon is not in', async () => {
    await expect(client.net()).rejects.toEqual(refused('only implemented on Windows'));
    await expect(client.remoteAccept()).rejects.toEqual(refused('remote command failed'));
    await expect(client.remoteModify('localhost', 1)).rejects.toEqual(refused('remote command failed'));
    await expect(client.remoteSkip(1)).rejects.toEqual(refused('remote command failed'));
    await client.proxy({ type: 'NONE' });
    await client.crResponse('nobody asked');
  });

  test('remote entries', async () => {
    expect(await client.remoteEntryCount()).toBe(2);
    expect(await client.remoteEntries('all')).toEqual([
      { index: 0, host: '127.0.0.1', port: expect.stringMatching(/^\d+$/) as string, protocol: 'udp', enabled: true },
      { index: 1, host: 'localhost', port: '1194', protocol: 'tcp-client', enabled: true },
    ]);
    expect(await client.remoteEntries(1)).toHaveLength(1);
    expect(await client.remoteEntries(0, 9)).toHaveLength(2);
    expect(await client.remoteEntries(7)).toEqual([]);
  });

  test('restarted, and told to end', async () => {
    const reconnecting = new Promise<string | undefined>((resolve) => {
      client.on('STATE', ({ name, detail }) => {
        if (name === 'RECONNECTING') resolve(detail);
      });
    });
    await client.signal('SIGUSR1');
    expect(await reconnecting).toBe('SIGUSR1');
    await client.exit();
    expect((await client.closed).by).toBe('daemon');
    const again = await connectManagement({ kind: 'unix', path: lab.path('m.sock') });
    const logged = again.next('STATE');
    await again.stateNotifications(true);
    await again.signal('SIGTERM');
    expect((await logged).name).toMatch(/^[A-Z_]+$/);
    expect((await again.closed).by).toBe('daemon');
    expect(stray).toEqual([]);
  });
});

test('PROXY: which proxy', async () => {
  const path = lab.path('proxy.sock');
  const its = lab.start([
    ...[...clientArgs(await freePort()), '--cert', 'client.crt', '--key', 'client.key', '--management', path, 'unix'],
    ...['--management-hold', '--management-query-proxy'],
  ]);
  await its.logged('listening on');
  const asking = await connectManagement({ kind: 'unix', path });
  const asked = asking.next('PROXY');
  await asking.holdRelease();
  expect(await asked).toEqual({ type: 'PROXY', index: 1, protocol: 'UDP', host: '127.0.0.1' });
  const resolving = asking.next('STATE');
  await asking.stateNotifications(true);
  await asking.proxy({ type: 'SOCKS', host: 'localhost', port: 1 });
  await resolving;
  await asking.close();
  await its.stop();
});

const softhsm = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find(
  existsSync,
);

test.skipIf(release !== '2.7')('2.7: the version acknowledged, a long password in a block', async () => {
  const path = lab.path('long.sock');
  const its = lab.start([
    ...[...clientArgs(await freePort()), '--cert', 'client.crt', '--key', 'client.key', '--management', path, 'unix'],
    ...['--management-hold', '--management-query-passwords', '--pull', '--auth-user-pass'],
  ]);
  await its.logged('listening on');
  const asking = await connectManagement({ kind: 'unix', path }, { clientVersion: 5 });
  const strays: string[] = [];
  asking.on('STRAY', ({ line }) => strays.push(line));
  const asked = asking.next('PASSWORD');
  await asking.holdRelease();
  expect(await asked).toMatchObject({ form: 'need', name: 'Auth' });
  await asking.username('Auth', 'alice');
  // without PKCS#11 a build takes 127 bytes at most, and says so when the block has come
  const outcome = await asking.password('Auth', 'p'.repeat(300)).catch((error: unknown) => error);
  if (outcome !== undefined) expect(outcome).toEqual(refused('password too long'));
  expect(await asking.pid()).toBe(its.pid);
  expect(strays).toEqual([]);
  await asking.close();
  await its.stop();
});

const pkcs11 = spawnSync(OPENVPN, ['--version'], { encoding: 'utf8' }).stdout.includes('[PKCS11]');

describe.skipIf(softhsm === undefined || !pkcs11)('a daemon with a PKCS#11 module asks', () => {
  const start = async (...args: string[]): Promise<ManagementClient> => {
    const path = lab.path(`p${args.length}.sock`);
    const port = await freePort();
    const its = lab.start([
      ...[...clientArgs(port), '--pkcs11-providers', softhsm ?? '', '--management', path, 'unix'],
      ...['--management-hold', '--management-query-passwords', ...args],
    ]);
    await its.logged('listening on');
    return connectManagement({ kind: 'unix', path });
  };

  test('NEED-STR: which identity', async () => {
    const asking = await start('--pkcs11-id-management');
    await asking.next('HOLD');
    const need = asking.next('NEED-STR');
    await asking.holdRelease();
    const { name } = await need;
    expect(name).toBe('pkcs11-id-request');
    const insert = asking.next('NEED-OK');
    // without a PKCS#11 module this command would end the daemon (an assertion of its pkcs11-helper)
    expect(await asking.pkcs11IdCount()).toEqual(expect.any(Number));
    expect(await asking.pkcs11IdGet(999)).toBeUndefined();
    await asking.needStr(name, 'no such/token/00/label/01');
    expect(await insert).toMatchObject({ name: 'token-insertion-request' });
    await asking.needOk('token-insertion-request', 'cancel');
    await asking.close();
  });
});
