import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { check, readChecked, unhurriedLines } from '../support/check.ts';
import { Child } from '../support/child.ts';
import { clientConfig, OPENVPN } from '../support/openvpn.ts';
import type { Pksigd } from '../support/pksigd.ts';

const run = promisify(execFile);

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
    // named after the file, so that two .ovpn do not get one socket
    expect(lines).toContain(`management /run/openvpn/${basename(config, extname(config))}.sock unix`);
  });

  test('is read before OpenVPN has ever started: its interface is not missed, its faults are told', async ({
    bench,
  }) => {
    const own = [
      'management-hold',
      'management-external-key nopadding pkcs1 pss',
      `cert ${bench.recipe('rsa2048.crt')}`,
    ];
    for (const management of [`management ${bench.path('none')} unix`, 'management 127.0.0.1 9']) {
      const good = await check(
        bench,
        '--openvpn-config',
        await clientConfig(bench, [management, ...own]),
        ...rsa(bench),
      );
      expect(good.code, JSON.stringify(good.verdicts)).toBe(0);
      const socket = [...good.of('socket'), ...good.of('daemon')];
      expect(socket).toEqual([expect.objectContaining({ outcome: 'skip', detail: expect.stringContaining('yet') })]);
      const config = await clientConfig(bench, [management, ...own, 'key x']);
      const bad = await check(bench, '--openvpn-config', config, ...rsa(bench));
      expect(bad.code).toBe(2);
    }
    const named = await check(bench, '--management', bench.path('none'), 'unix', ...rsa(bench));
    expect(named.code).toBe(1);
  });

  test('is for an OpenVPN with mbed TLS: an RSA key needs no words, an EC key can not be used there', async ({
    bench,
  }) => {
    // stands in for a build that is not packaged
    const title = 'OpenVPN 2.6.22 x86_64-pc-linux-gnu [SSL (mbed TLS)] [LZO]\nlibrary versions: mbed TLS 2.28.3';
    await mkdir(bench.path('bin'));
    await bench.write('bin/openvpn', `#!/bin/sh\necho '${title}'\n`, 0o755);
    const env = { PATH: `${bench.path('bin')}:${process.env['PATH'] ?? ''}` };
    const checked = async (name: 'rsa2048' | 'p256') =>
      await readChecked(await bench.pksigd(['check', '--json', '--key', bench.key(name, 'file')], { env }));
    const good = await checked('rsa2048');
    expect(good.lines).toContain('management-external-key');
    expect(good.code).toBe(0);
    const bad = await checked('p256');
    expect(bad.of('lines')).toEqual([
      expect.objectContaining({ outcome: 'fail', detail: expect.stringContaining('mbed TLS takes RSA keys only') }),
    ]);
    expect(bad.code).toBe(2);
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
    const daemon = bench.adopt(new Child('openvpn client', OPENVPN, ['--config', config], { cwd: bench.folder }));
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

  test('in a token', async ({ bench }) => {
    const uri = (name: 'p256' | 'p384'): string => bench.key(name, 'SoftHSM');
    const right = await check(bench, '--key', bench.key('p256', 'file'), '--cert', uri('p256'));
    expect(right.code).toBe(0);
    expect(right.of('certificate')[0]?.outcome).toBe('ok');
    expect(right.lines.at(-1)).toBe('management-external-cert "pksigd p256"');
    const wrong = await check(bench, '--login', '--key', uri('p256'), '--cert', uri('p384'));
    expect(wrong.code).toBe(2);
    expect(wrong.of('certificate')[0]?.code).toBe('ERR_CERTIFICATE_MISMATCH');
    // it may be one that only the token's owner sees
    const hidden = await check(
      bench,
      '--key',
      bench.key('p256', 'file'),
      '--cert',
      uri('p256').replace('p256', 'other'),
    );
    expect(hidden.of('certificate')[0]?.outcome).toBe('skip');
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
    // run's options are taken as they stand
    const ofRun = ['--wait-for-token', '--on-token-removal', 'restart'];
    const args = ['check', '--login', '--key', bench.key('rsa2048', 'SoftHSM'), ...ofRun, '--log-level', 'trace'];
    const pksigd = await unhurriedLines(
      async () => {
        const started = await bench.pksigd(args);
        expect(await started.exited).toBe(0);
        return started;
      },
      ({ stdout }) => stdout,
    );
    expect(pksigd.stdout.filter((line) => line.startsWith('ok    signature:'))).toHaveLength(5);
    expectNoPin(pksigd, await bench.pin());
  });

  test.for([
    ['a URI that is none', 'pkcs11:colour=blue', 2, 'key', 'ERR_URI'],
    ['a module that is not there', 'pkcs11:token=x?module-path=/no/module.so', 2, 'module', 'ERR_MODULE_NOT_FOUND'],
    ['a file that is not there', '/no/key.pem', 2, 'key', 'ERR_KEY_NOT_FOUND'],
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

  test.for([
    ['the right passphrase', 'open sesame', 0, undefined],
    ['a wrong passphrase', 'opne sesame', 4, 'ERR_PIN_INCORRECT'],
    ['no passphrase', undefined, 4, 'ERR_PIN_REQUIRED'],
  ] as const)('is a file with a passphrase, and there is %s', async ([, given, code, error], { bench }) => {
    const file = bench.path('key.pem');
    const right = `file:${await bench.write('right', 'open sesame\n')}`;
    await run('openssl', ['pkcs8', '-topk8', '-in', bench.recipe('p256.pem'), '-out', file, '-passout', right]);
    await chmod(file, 0o600);
    const source = given === undefined ? [] : ['--pin-source', await bench.write('given', `${given}\n`)];
    const checked = await check(bench, '--key', file, ...source);
    expect(checked.code).toBe(code);
    expect(checked.of('key')[0]?.code).toBe(error);
  });

  test('is on a token whose PIN can not be read', async ({ bench }) => {
    const checked = await check(bench, '--key', bench.key('p256', 'SoftHSM', { 'pin-source': 'file:/no/such/file' }));
    expect(checked.code).toBe(3);
    expect(checked.of('PIN')).toEqual([expect.objectContaining({ outcome: 'fail', code: 'ERR_PIN_SOURCE' })]);
    expect(checked.of('certificate')[0]?.outcome).toBe('ok');
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
