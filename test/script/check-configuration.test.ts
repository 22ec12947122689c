import { existsSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { check } from '../support/check.ts';
import { clientConfig } from '../support/openvpn.ts';

interface Owned {
  outcome: string;
  what: string;
  detail: string;
  code?: string;
  of?: { key?: string; tunnel?: string };
}

const keySection = (bench: Bench, name: string, more = ''): string =>
  `[key.${name}]\nkey = "${bench.recipe('p256.pem')}"\n${more}`;

/** What its verdicts on one key or tunnel are about, in order; with an exclamation mark where something fails. */
function ofOwner(verdicts: readonly Owned[], of: Owned['of']): string[] {
  const own = verdicts.filter((verdict) => JSON.stringify(verdict.of) === JSON.stringify(of));
  return [...new Set(own.map(({ outcome, what }) => (outcome === 'fail' ? `${what}!` : what)))];
}

async function config(bench: Bench, text: string): Promise<string[]> {
  return ['--config', await bench.write('p.toml', text)];
}

describe('check --config', () => {
  test('looks at each key once, and at each tunnel with it', async ({ bench }) => {
    const ovpn = await clientConfig(bench, [
      ...[`management ${bench.path('m.sock')} unix`, 'management-hold', 'management-external-key nopadding'],
      `cert ${bench.recipe('p256.crt')}`,
    ]);
    const text = [
      keySection(bench, 'k', `cert = "${bench.recipe('p256.crt')}"\n`),
      `[tunnel.file]\nopenvpn-config = "${ovpn}"\n`,
      '[tunnel.listens]\nmanagement = "l.sock unix"\nmanagement-client = true\n',
      '[tunnel.gone]\nopenvpn-config = "gone.ovpn"\n',
    ].join('');
    const { code, verdicts } = await check(bench, ...(await config(bench, text)));
    expect(code).toBe(3);
    expect(verdicts.every((verdict) => 'of' in verdict)).toBe(true);
    expect(ofOwner(verdicts, { key: 'k' })).toEqual(['key', 'certificate', 'signature']);
    expect(ofOwner(verdicts, { tunnel: 'gone' })).toEqual(['config!']);
    expect(ofOwner(verdicts, { tunnel: 'file' })).toEqual([
      'cert of the .ovpn',
      // OpenVPN has not been started with it yet
      'socket',
      'config',
      'context',
    ]);
    expect(ofOwner(verdicts, { tunnel: 'listens' })).toEqual(['listen', 'lines']);
  });

  test('tells of a policy and of a relay that run would refuse', async ({ bench }) => {
    const text = [
      '[agent]\nmetrics = "m.sock unix"\nmetrics-group = "no such group"\n',
      `control = "${bench.path('c.sock')}"\ncontrol-group = "no such group"\n`,
      keySection(bench, 'k', `require-server-ca = "none.pem"\n`),
      '[tunnel.t]\nmanagement = "l.sock unix"\nmanagement-client = true\n',
      'relay = "r.sock unix"\nrelay-group = "no such group"\n',
    ].join('');
    const { code, verdicts } = await check(bench, ...(await config(bench, text)));
    // of the first one: a file that may come
    expect(code).toBe(3);
    expect(ofOwner(verdicts, { key: 'k' })).toContain('policy!');
    expect(ofOwner(verdicts, { tunnel: 't' })).toContain('relay!');
    expect(ofOwner(verdicts, undefined)).toEqual(['control!', 'metrics!']);
  });

  test('tells of a relay on the command line', async ({ bench }) => {
    const tunnel = ['--management', bench.path('l.sock'), 'unix', '--management-client'];
    const relay = ['--relay', bench.path('r.sock'), 'unix', bench.path('none'), '--relay-group', 'no such group'];
    const { code, verdicts } = await check(bench, '--key', bench.recipe('p256.pem'), ...tunnel, ...relay);
    expect(code).toBe(2);
    const failed = verdicts.filter(({ outcome }) => outcome === 'fail').map((one) => [one.what, one.code]);
    expect(failed).toEqual([
      ['relay', 'ERR_USAGE'],
      ['relay', 'ERR_MANAGEMENT_PASSWORD'],
    ]);
  });

  test('says for people whose each line is, and lines only where some are wanted', async ({ bench }) => {
    const server = await bench.server();
    const management = { address: bench.path('m.sock'), port: 'unix' };
    const client = bench.client(server, { management, certificate: { file: 'p256' } });
    await client.logged(/MANAGEMENT: unix domain socket listening/);
    const ovpn = await clientConfig(bench, [
      ...[`management ${bench.path('m.sock')} unix`, 'management-hold', 'management-external-key nopadding'],
      `cert ${bench.recipe('p256.crt')}`,
    ]);
    const text = `${keySection(bench, 'k')}[tunnel.t]\nopenvpn-config = "${ovpn}"\n`;
    const child = await bench.pksigd(['check', ...(await config(bench, text))]);
    expect(await child.exited).toBe(0);
    expect(child.stdout).toContain(`ok    key k: key: ${bench.recipe('p256.pem')}: P-256`);
    expect(child.stdout.join('\n')).toMatch(/^ok {4}tunnel t: daemon: OpenVPN 2\./m);
    expect(child.stdout.join('\n')).not.toMatch(/lines|none lies with the key/);
  });

  test('a certificate that no tunnel has is missing to each', async ({ bench }) => {
    const text = `${keySection(bench, 'k')}[tunnel.a]\nmanagement = "a.sock unix"\nmanagement-client = true\n`;
    const { code, verdicts } = await check(bench, ...(await config(bench, text)));
    expect(code).toBe(0);
    expect(ofOwner(verdicts, { tunnel: 'a' })).toEqual(['certificate', 'listen', 'lines']);
  });

  test('a file with mistakes is not looked into further', async ({ bench }) => {
    const child = await bench.pksigd(['check', ...(await config(bench, '[key.k]\nkye = "x"\n'))]);
    expect(await child.exited).toBe(2);
    expect(child.stdout).toEqual([]);
    expect(child.stderr.join('\n')).toMatch(/p\.toml:2:1: unknown key 'kye'/);
  });

  test('says all itself', async ({ bench }) => {
    const child = await bench.pksigd(['check', ...(await config(bench, '')), '--key', 'x', '--login']);
    expect(await child.exited).toBe(2);
    expect(child.stderr.at(-1)).toContain('--config says all that --key would');
  });

  test('names --login as the option that it is', async ({ bench }) => {
    const text = `[key.k]\nkey = "${bench.key('p256', 'SoftHSM')}"\n[tunnel.a]\nmanagement = "a.sock unix"\n`;
    const env = { SOFTHSM2_CONF: await bench.token() };
    const child = await bench.pksigd(['check', ...(await config(bench, text))], { env });
    await child.exited;
    expect(child.stdout.join('\n')).toContain('give --login');
  });
});

test('check --config looks at the audit log, and leaves it as it is', async ({ bench }) => {
  const audit = `[audit]\nfile = "audit.jsonl"\n[state]\ndirectory = "kept"\n`;
  const place = `management = "${bench.path('l.sock')} unix"\nmanagement-client = true\n`;
  const args = await config(bench, `${keySection(bench, 'k')}[tunnel.t]\n${place}${audit}`);
  const said = async (): Promise<string[]> => {
    const { verdicts } = await check(bench, ...args);
    const own = (verdicts as Owned[]).filter(({ what }) => what === 'audit');
    return own.map(({ outcome, detail, code }) => [outcome, code, detail.replaceAll(bench.folder, '.')].join(' '));
  };
  expect(await said()).toEqual([
    'ok  ./audit.jsonl will be made',
    'ok  its key will be made in ./kept, at the first start',
  ]);
  expect(existsSync(bench.path('audit.jsonl'))).toBe(false);
  const pksigd = await bench.pksigd(['run', ...args]);
  await pksigd.listening();
  expect(await said()).toEqual([`warn  process ${pksigd.pid} writes ./audit.jsonl`, 'ok  its key is in ./kept']);
  await pksigd.stop();
  expect(await said()).toEqual(['ok  ./audit.jsonl can be written', 'ok  its key is in ./kept']);
  await chmod(bench.path('audit.jsonl'), 0o644);
  expect(await said()).toEqual(['fail ERR_AUDIT_FILE others can read or write ./audit.jsonl']);
});
