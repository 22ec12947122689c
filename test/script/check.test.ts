import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { freePort, ownAddress, test, type Bench, type KeyName } from '../support/bench.ts';
import { Child } from '../support/child.ts';
import { clientConfig, type OpenVpnClient, type OpenVpnServer } from '../support/openvpn.ts';
import { MAIN, type Pksigd } from '../support/pksigd.ts';

const run = promisify(execFile);

/** What `check --json` says. */
interface Verdict {
  outcome: string;
  what: string;
  detail: string;
  code?: string;
  lines?: string[];
}

interface Checked {
  code: number;
  verdicts: Verdict[];
  /** Of `what`, in order. */
  of: (what: string) => Verdict[];
  lines: string[];
}

async function readChecked(pksigd: Child): Promise<Checked> {
  const code = await pksigd.exited;
  const verdicts = pksigd.stdout.map((line) => JSON.parse(line) as Verdict);
  const of = (what: string): Verdict[] => verdicts.filter((verdict) => verdict.what === what);
  return { code, verdicts, of, lines: of('lines')[0]?.lines ?? [] };
}

async function check(bench: Bench, ...args: string[]): Promise<Checked> {
  return await readChecked(await bench.pksigd(['check', '--json', ...args]));
}

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
    const daemon = bench.adopt(new Child('openvpn client', 'openvpn', ['--config', config]));
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
    expect(client.count(/CMD '(?!version)/)).toBe(0);
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
    expect(client.count(/CMD '(?!version)/)).toBe(0);
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
    await run('chmod', ['0755', bench.folder]);
    const open = await check(bench, '--management', path, 'unix', ...p256(bench));
    expect(open.of('socket')).toEqual([
      expect.objectContaining({ outcome: 'warn', detail: expect.stringContaining('everybody') }),
    ]);
    await run('chmod', ['0000', path]);
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

describe.concurrent('the .ovpn', () => {
  const rsa = (bench: Bench): string[] => ['--key', bench.key('rsa2048', 'file')];

  test('lacks, and has too much', async ({ bench }) => {
    const config = await clientConfig(bench, [
      'management-external-key nopadding pkcs1',
      'key client.key',
      `cert ${bench.recipe('p256.crt')}`,
      'management-external-cert x',
    ]);
    const { code, of, lines } = await check(bench, '--openvpn-config', config, ...rsa(bench));
    expect(code).toBe(2);
    const details = of('config').map(({ outcome, detail }) => `${outcome} ${detail}`);
    expect(details).toEqual([
      'fail no management directive',
      'warn no management-hold',
      expect.stringMatching(/^fail management-external-key lacks pss/),
      expect.stringMatching(/^fail key contradicts/),
      expect.stringMatching(/^fail cert contradicts management-external-cert/),
    ]);
    expect(of('cert of the .ovpn')[0]).toMatchObject({ outcome: 'fail', code: 'ERR_CERTIFICATE_MISMATCH' });
    expect(lines).toContain('management-external-key nopadding pkcs1 pss');
  });

  test('has a certificate inline, and a directive that forbids to connect', async ({ bench }) => {
    const server = await bench.server();
    const certificate = await readFile(bench.recipe('rsa2048.crt'), 'utf8');
    const config = await clientConfig(
      bench,
      [
        'management management unix',
        'management-hold',
        'management-signal',
        'management-external-key pss pkcs1 nopadding',
        `<cert>\n${certificate.trimEnd()}\n</cert>`,
      ],
      server,
    );
    const daemon = bench.adopt(new Child('openvpn client', 'openvpn', ['--config', config], { cwd: bench.folder }));
    await daemon.logged(/MANAGEMENT: unix domain socket listening/);
    const { code, of } = await check(bench, '--openvpn-config', config, ...rsa(bench));
    expect(code).toBe(0);
    expect(of('cert of the .ovpn')[0]?.outcome).toBe('ok');
    expect(of('daemon')).toEqual([expect.objectContaining({ outcome: 'skip' })]);
    expect(daemon.count(/Client connected/)).toBe(0);
  });
});

/** A certificate of the p256 key, valid from and to these days (seen from today), for these uses. */
async function certificate(bench: Bench, from: number, to: number, extensions: string): Promise<string> {
  const day = (days: number): string =>
    `${new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  await bench.write(
    'ca.cnf',
    `[ca]\ndatabase=index\nrand_serial=yes\npolicy=p\ndefault_md=sha256\n[p]\nCN=supplied\n[e]\n${extensions}\n`,
  );
  await bench.write('index', '');
  const options = { cwd: bench.folder };
  const request = ['req', '-new', '-key', bench.recipe('p256.pem'), '-subj', '/CN=made', '-out', 'made.csr'];
  await run('openssl', request, options);
  const dates = ['-startdate', day(from), '-enddate', day(to)];
  const ca = ['-name', 'ca', '-cert', bench.recipe('ca.crt'), '-keyfile', bench.recipe('ca.pem')];
  const files = ['-in', 'made.csr', '-out', 'made.crt', '-outdir', '.', '-notext', '-batch', '-extensions', 'e'];
  await run('openssl', ['ca', '-config', 'ca.cnf', ...ca, ...dates, ...files], options);
  return bench.path('made.crt');
}

describe.concurrent('the certificate', () => {
  const GOOD = 'extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature';
  const made: [string, number, number, string, string[], number][] = [
    ['good', -1, 365, GOOD, [], 0],
    [
      'good, key usage not critical',
      -1,
      365,
      'extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature,keyAgreement',
      [],
      0,
    ],
    ['expired', -9, -1, GOOD, ['fail it expired on'], 2],
    ['of the future', 1, 9, GOOD, ['fail it is not valid before'], 2],
    ['soon to expire', -1, 9, GOOD, ['warn valid until'], 0],
    [
      'of a server',
      -1,
      365,
      'extendedKeyUsage=serverAuth\nkeyUsage=keyAgreement',
      ['warn it has no extended key usage clientAuth and no key usage'],
      0,
    ],
  ];

  test.for(made)('%s', async ([, from, to, extensions, expected, code], { bench }) => {
    const file = await certificate(bench, from, to, extensions);
    const checked = await check(bench, '--key', bench.key('p256', 'file'), '--cert', file);
    const faults = checked.of('certificate').filter(({ outcome }) => outcome !== 'ok');
    const found = faults.map(({ outcome, detail }) => `${outcome} ${detail}`);
    expect(found.map((text, index) => text.slice(0, expected[index]?.length))).toEqual(expected);
    expect(checked.code).toBe(code);
  });

  test('of another key, and none', async ({ bench }) => {
    const other = await check(bench, '--key', bench.key('p256', 'SoftHSM'), '--cert', bench.recipe('p384.crt'));
    expect(other.code).toBe(2);
    expect(other.of('certificate')[0]).toMatchObject({ outcome: 'fail', code: 'ERR_CERTIFICATE_MISMATCH' });
    const none = await check(bench, '--key', bench.key('p256', 'file'));
    expect(none.code).toBe(0);
    expect(none.of('certificate')[0]?.outcome).toBe('warn');
  });
});

describe.concurrent('the key', () => {
  function expectNoPin(pksigd: Pksigd, pin: string): void {
    expect(pksigd.transcript.includes(pin), pksigd.transcript.replaceAll(pin, '[PIN]')).toBe(false);
  }

  test('in a token, without a login: what can be seen, as text', async ({ bench }) => {
    const args = ['check', '--key', bench.key('rsa2048', 'SoftHSM'), '--log-level', 'trace'];
    const pksigd = await bench.pksigd(args);
    expect(await pksigd.exited).toBe(0);
    expectNoPin(pksigd, await bench.pin());
    const words = pksigd.stdout.map((line) => /^(ok {2}|warn|fail|skip) {2}[a-z]+:/i.exec(line)?.[0]);
    expect(words.filter((word) => word !== undefined)).toEqual([
      'ok    module:',
      'ok    token:',
      'ok    PIN:',
      'skip  key:',
      'ok    certificate:',
      'warn  certificate:',
      'warn  certificate:',
      'skip  signature:',
      'ok    lines:',
    ]);
    expect(pksigd.stdout.slice(-4)).toEqual([
      'management /run/openvpn/pksigd.sock unix',
      'management-hold',
      'management-external-key nopadding pkcs1 pss',
      'management-external-cert "pksigd rsa2048"',
    ]);
  });

  test('with the right PIN signs everything; the PIN is nowhere', async ({ bench }) => {
    const args = ['check', '--login', '--key', bench.key('rsa2048', 'SoftHSM'), '--log-level', 'trace'];
    const pksigd = await bench.pksigd(args);
    expect(await pksigd.exited).toBe(0);
    expect(pksigd.stdout.filter((line) => line.startsWith('ok    signature:'))).toHaveLength(5);
    expectNoPin(pksigd, await bench.pin());
  });

  test.for([
    ['a URI that is none', 'pkcs11:colour=blue', 2, 'key', 'ERR_URI'],
    ['a module that is not there', 'pkcs11:token=x?module-path=/no/module.so', 2, 'module', 'ERR_MODULE_NOT_FOUND'],
    ['a file that is not there', '/no/key.pem', 2, 'key', 'ERR_KEY_FILE'],
  ] as const)('is %s', async ([, key, code, what, error], { bench }) => {
    const checked = await check(bench, '--key', key, '--management', 'here', '123456');
    expect(checked.code).toBe(code);
    expect(checked.verdicts.filter(({ outcome }) => outcome === 'fail').map((verdict) => verdict.code)).toEqual([
      'ERR_MANAGEMENT_ADDRESS',
      error,
    ]);
    expect(checked.of(what)[0]?.outcome).toBe('fail');
  });

  test('is on a token that is not there, and under a name that is not', async ({ bench }) => {
    const key = bench.key('p256', 'SoftHSM');
    const token = await check(bench, '--key', key.replace('token=pksigd', 'token=other'));
    expect(token.code).toBe(3);
    expect(token.of('token')[0]).toMatchObject({ outcome: 'fail', code: 'ERR_TOKEN_ABSENT' });
    const name = await check(bench, '--login', '--key', key.replace('object=p256', 'object=other'));
    expect(name.code).toBe(3);
    expect(name.of('key')[0]).toMatchObject({ outcome: 'fail', code: 'ERR_KEY_NOT_FOUND' });
  });

  test('has copies: both are checked, and must be the same', async ({ bench }) => {
    const [token, file, other] = [bench.key('p256', 'SoftHSM'), bench.key('p256', 'file'), bench.key('p384', 'file')];
    const same = await check(bench, '--login', '--key', token, '--key', file);
    expect(same.code).toBe(0);
    expect(same.of('key').map(({ outcome }) => outcome)).toEqual(['ok', 'ok']);
    const different = await check(bench, '--key', token, '--key', other);
    expect(different.code).toBe(2);
    expect(different.of('key').at(-1)).toMatchObject({ outcome: 'fail', code: 'ERR_CERTIFICATE_MISMATCH' });
  });
});
