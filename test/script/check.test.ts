import { chmod, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench, type KeyName } from '../support/bench.ts';
import { check, readChecked } from '../support/check.ts';
import { Child } from '../support/child.ts';
import { clientConfig, OPENVPN, type OpenVpnClient, type OpenVpnServer } from '../support/openvpn.ts';
import { MAIN } from '../support/pksigd.ts';

function unixArgs(bench: Bench): string[] {
  return ['--management', bench.path('management'), 'unix'];
}

/** A daemon in its hold. */
async function held(bench: Bench, server: OpenVpnServer, passwordFile?: string): Promise<OpenVpnClient> {
  const management = { address: bench.path('management'), port: 'unix', passwordFile };
  const client = bench.client(server, { management, certificate: { file: 'p256' } });
  await client.logged(/MANAGEMENT: unix domain socket listening/);
  return client;
}

const p256 = (bench: Bench): string[] => ['--key', bench.key('p256', 'file'), '--cert', bench.recipe('p256.crt')];

describe.concurrent('the printed lines connect', () => {
  const keys: [KeyName, 'file' | 'SoftHSM', string][] = [
    ['rsa2048', 'SoftHSM', 'management-external-key nopadding pkcs1 pss'],
    ['p384', 'file', 'management-external-key nopadding'],
    ['ed25519', 'SoftHSM', 'management-external-key'],
  ];

  test.for(keys)('%s in a %s', async ([name, home, line], { bench }) => {
    const certificate = home === 'file' ? ['--cert', bench.recipe(`${name}.crt`)] : [];
    const key = ['--key', bench.key(name, home), ...certificate];
    const before = await check(bench, ...unixArgs(bench), ...key, '--login');
    // nothing but the daemon is missing
    expect(before.code).toBe(1);
    expect(before.verdicts.filter(({ outcome }) => outcome === 'fail')).toEqual([
      expect.objectContaining({ what: 'socket', code: 'ERR_MANAGEMENT_CONNECT' }),
    ]);
    expect(before.lines).toContain(line);

    const server = await bench.server();
    const config = await clientConfig(bench, before.lines, server);
    const daemon = bench.adopt(new Child('openvpn client', OPENVPN, ['--config', config]));
    await bench.pksigd(['run', '--openvpn-config', config, ...key]);
    await daemon.logged(/Initialization Sequence Completed/);

    const after = await check(bench, '--openvpn-config', config, ...key, '--login');
    expect(after.code).toBe(0);
    expect(after.lines).toEqual(before.lines);
    expect(after.of('daemon')).toEqual([
      expect.objectContaining({ outcome: 'warn', detail: expect.stringContaining('another management client') }),
    ]);
  });
});

describe.concurrent('the daemon', () => {
  test('is asked for its version, and kept in its hold', async ({ bench }) => {
    const server = await bench.server();
    const client = await held(bench, server);
    const { code, of } = await check(bench, ...unixArgs(bench), ...p256(bench));
    expect(code).toBe(0);
    expect(of('daemon')[0]?.detail).toMatch(/OpenVPN \d\.\d+\.\d+ answers .*\(management version \d\)/);
    expect(of('lines')[0]?.detail).toContain('(the daemon)');
    await client.logged(/Client disconnected/);
    expect(client.count(/CMD 'version'/)).toBe(1);
    expect(client.count(/CMD '/)).toBe(1);
    await bench.pksigd(['run', ...unixArgs(bench), ...p256(bench)]);
    await client.connected();
  });

  test('keeps its request for whoever can answer it', async ({ bench }) => {
    const server = await bench.server();
    const management = { address: bench.path('management'), port: 'unix' };
    const client = bench.client(server, { management, certificate: { file: 'p256' }, hold: false });
    await client.logged(/Need information from management interface/);
    expect((await check(bench, ...unixArgs(bench), ...p256(bench))).code).toBe(0);
    await client.logged(/Client disconnected/);
    expect(client.count(/CMD '/)).toBe(1);
    await bench.pksigd(['run', ...unixArgs(bench), ...p256(bench)]);
    await client.connected();
  });

  test.for([
    ['the right password', 'open sesame', 'ok', undefined],
    ['a wrong one', 'opne sesame', 'fail', 'ERR_MANAGEMENT_PASSWORD'],
    ['none', undefined, 'fail', 'ERR_MANAGEMENT_PASSWORD'],
  ] as const)('with %s', async ([, given, outcome, error], { bench }) => {
    const server = await bench.server();
    await held(bench, server, await bench.write('password', 'open sesame\n'));
    const file = given === undefined ? [] : [await bench.write('given', `${given}\n`)];
    const { code, of, lines } = await check(bench, ...unixArgs(bench), ...file, ...p256(bench));
    expect(of('daemon')).toEqual([expect.objectContaining({ outcome })]);
    expect(of('daemon')[0]?.code).toBe(error);
    expect(code).toBe(error === undefined ? 0 : 1);
    expect(lines[0]).toBe(['management', bench.path('management'), 'unix', ...file].join(' '));
  });

  test('in reach of everybody, and of nobody', async ({ bench }) => {
    const server = await bench.server();
    await mkdir(bench.path('open'), { mode: 0o755 });
    const path = bench.path('open/management');
    const client = bench.client(server, {
      management: { address: path, port: 'unix' },
      certificate: { file: 'p256' },
    });
    await client.logged(/MANAGEMENT: unix domain socket listening/);
    // the test's own folder keeps others out
    const closed = await check(bench, '--management', path, 'unix', ...p256(bench));
    expect(closed.of('socket')).toEqual([expect.objectContaining({ outcome: 'ok' })]);
    await chmod(bench.folder, 0o755);
    const open = await check(bench, '--management', path, 'unix', ...p256(bench));
    expect(open.of('socket')).toEqual([
      expect.objectContaining({ outcome: 'warn', detail: expect.stringContaining('everybody') }),
    ]);
    await chmod(path, 0);
    // root passes everywhere, unless it may not overrule permissions
    const asRoot = process.getuid?.() === 0 ? ['--bounding-set', '-dac_override,-dac_read_search'] : [];
    const args = ['check', '--json', '--management', path, 'unix', ...p256(bench)];
    const refused = bench.adopt(
      new Child('pksigd', 'setpriv', [...asRoot, process.execPath, MAIN, ...args], { env: { HOME: bench.folder } }),
    );
    const { code, of } = await readChecked(refused);
    expect(of('daemon')).toEqual([expect.objectContaining({ outcome: 'fail', code: 'ERR_MANAGEMENT_CONNECT' })]);
    expect(of('daemon')[0]).toMatchObject({ hint: expect.stringContaining('may not use the socket') });
    expect(code).toBe(1);
  });

  test('on a port without a password', async ({ bench }) => {
    const server = await bench.server();
    const address = ownAddress();
    const port = `${await freePort(address)}`;
    const client = bench.client(server, { management: { address, port }, certificate: { file: 'p256' } });
    await client.logged(/MANAGEMENT: TCP Socket listening/);
    const { code, of } = await check(bench, '--management', address, port, ...p256(bench));
    expect(code).toBe(0);
    expect(of('daemon')[0]?.outcome).toBe('ok');
    expect(of('socket')).toEqual([expect.objectContaining({ outcome: 'warn' })]);
  });

  test('that is no daemon, and nowhere', async ({ bench }) => {
    const file = await bench.write('management', '');
    const noSocket = await check(bench, '--management', file, 'unix', ...p256(bench));
    expect(noSocket.of('socket')[0]?.detail).toContain('is not a socket');
    const address = ownAddress();
    const nobody = await check(bench, '--management', address, `${await freePort(address)}`, ...p256(bench));
    expect(nobody.code).toBe(1);
    expect(nobody.of('daemon')[0]).toMatchObject({ outcome: 'fail', hint: expect.stringContaining('nothing listens') });
    const wrong = await check(bench, '--management', 'here', '123456', ...p256(bench));
    expect(wrong.code).toBe(2);
    expect(wrong.of('management')[0]?.code).toBe('ERR_MANAGEMENT_ADDRESS');
  });

  test('that is to connect to us', async ({ bench }) => {
    const listen = [...unixArgs(bench), '--management-client'];
    const free = await check(bench, ...listen, ...p256(bench));
    expect(free.code).toBe(0);
    expect(free.of('listen')[0]?.outcome).toBe('ok');
    expect(free.lines).toContain('management-client');
    const other = createServer();
    await new Promise<void>((done) => other.listen(bench.path('management'), done));
    const taken = await check(bench, ...listen, ...p256(bench));
    other.close();
    expect(taken.code).toBe(0);
    expect(taken.of('listen')[0]).toMatchObject({
      outcome: 'warn',
      detail: expect.stringContaining('another process'),
    });
  });
});
