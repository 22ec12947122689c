import { execFile, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, inject } from 'vitest';
import type { MigrationSteps } from '../../src/check/verdict.ts';
import { connectManagement } from '../../src/management/index.ts';
import { type Bench, type KeyName, test } from '../support/bench.ts';
import { readChecked, unhurried, type Checked } from '../support/check.ts';
import { Child } from '../support/child.ts';
import { clientConfig, OPENVPN } from '../support/openvpn.ts';

// From OpenVPN's own PKCS#11 to pksigd, with a real OpenVPN that does both.

const run = promisify(execFile);
const hasPkcs11 = spawnSync(OPENVPN, ['--version'], { encoding: 'utf8' }).stdout.includes('[PKCS11]');

/** The variable by which SoftHSM finds the test's token, for whichever process loads it. */
async function environment(bench: Bench): Promise<Record<string, string>> {
  return { SOFTHSM2_CONF: await bench.token() };
}

/** `openvpn --show-pkcs11-ids`: the certificates' common names, to their ids. */
async function shownIds(bench: Bench): Promise<Map<string, string>> {
  const { stdout } = await run(OPENVPN, ['--show-pkcs11-ids', inject('softhsmModule')], {
    env: { ...process.env, ...(await environment(bench)) },
  });
  const found = stdout.matchAll(/DN:\s+CN=(.*)\n.*\n\s+Serialized id:\s+(\S+)/g);
  return new Map([...found].map(([, name = '', id = '']) => [name, id]));
}

async function checked(bench: Bench, ...args: string[]): Promise<Checked> {
  const env = { ...(await environment(bench)), PATH: '/usr/sbin:/usr/bin:/bin' };
  return await unhurried(async () => await readChecked(await bench.pksigd(['check', '--json', ...args], { env })));
}

/** An .ovpn that has OpenVPN itself sign with a token's key, and that connects. */
async function oldConfig(
  bench: Bench,
  key: KeyName,
  lines: readonly string[],
  server: Awaited<ReturnType<Bench['server']>>,
): Promise<string> {
  const id = (await shownIds(bench)).get(`pksigd ${key}`) ?? '';
  const own = [`pkcs11-providers ${inject('softhsmModule')}`, `pkcs11-id '${id}'`];
  const management = [`management ${bench.path('management')} unix`, 'management-query-passwords'];
  return await clientConfig(bench, [...own, ...management, ...lines], server);
}

/** What a person does by hand. */
async function apply({ remove, add }: MigrationSteps): Promise<void> {
  const [first] = remove;
  for (const path of new Set(remove.map((line) => line.path))) {
    const numbers = new Set(remove.filter((line) => line.path === path).map(({ number }) => number));
    const kept = (await readFile(path, 'utf8')).split('\n').filter((_, index) => !numbers.has(index + 1));
    await writeFile(path, [...kept, ...(path === first?.path ? add : []), ''].join('\n'));
  }
}

describe.skipIf(!hasPkcs11)("an .ovpn with OpenVPN's own PKCS#11", () => {
  test.for([
    ['p256', []],
    ['rsa2048', ['pkcs11-private-mode 1', 'pkcs11-pin-cache 60', 'management-hold']],
  ] as const)('%s: what check prints, done as it says, connects', async ([key, more], { bench }) => {
    const server = await bench.server();
    const env = await environment(bench);
    const config = await oldConfig(bench, key, more, server);
    const before = bench.adopt(new Child('openvpn by itself', OPENVPN, ['--config', config], { env }));
    await before.logged(/MANAGEMENT: unix domain socket listening/);
    const person = await connectManagement({ kind: 'unix', path: bench.path('management') });
    const asked = person.next('PASSWORD');
    if (more.includes('management-hold' as never)) await person.holdRelease();
    const question = await asked;
    expect(question).toMatchObject({ form: 'need', name: 'pksigd token' });
    await person.password('pksigd token', await bench.pin());
    await before.logged(/Initialization Sequence Completed/);
    await server.logged(new RegExp(`VERIFY OK: depth=0, CN=pksigd ${key}$`));
    await person.close();
    await before.stop();

    const { code, of, verdicts } = await checked(
      bench,
      '--openvpn-config',
      config,
      '--login',
      '--pin-source',
      bench.pinFile,
    );
    expect(verdicts.filter(({ outcome }) => outcome === 'fail')).toEqual([]);
    expect(code).toBe(0);
    expect(of('pkcs11-id')[0]?.detail).toContain(' is pkcs11:token=pksigd;');
    expect(of('pkcs11-pin-cache')).toHaveLength(more.length > 0 ? 1 : 0);
    const steps = of('migration')[0]?.migration;
    if (!steps) throw new Error('no steps');
    await apply(steps);
    expect(steps.command.slice(0, 2)).toEqual(['pksigd', 'run']);

    const after = bench.adopt(new Child('openvpn with pksigd', OPENVPN, ['--config', config], { env }));
    const pksigd = await bench.pksigd(steps.command.slice(1), { env });
    await after.logged(/Initialization Sequence Completed/);
    await server.logged(new RegExp(`VERIFY OK: depth=0, CN=pksigd ${key}$`), 2);
    expect(await pksigd.signed(1)).toHaveLength(1);

    // nothing is left to be done
    const again = await checked(bench, ...steps.command.slice(2));
    expect(again.code).toBe(0);
    expect(again.of('migration')).toEqual([]);
  });

  test('that asks its management client which key: the key has to be named', async ({ bench }) => {
    const lines = [`pkcs11-providers ${inject('softhsmModule')}`, 'pkcs11-id-management'];
    const config = await clientConfig(bench, lines);
    const without = await bench.pksigd(['check', '--openvpn-config', config], { env: await environment(bench) });
    expect(await without.exited).toBe(2);
    expect(without.stderr).toEqual([expect.stringMatching(/pkcs11-id-management.*: give --key; 'pksigd keys/)]);
    const given = await checked(bench, '--openvpn-config', config, '--key', bench.key('p256', 'SoftHSM'));
    expect(given.of('pkcs11-id-management')).toMatchObject([{ outcome: 'ok' }]);
    expect(given.of('migration')[0]?.migration).toMatchObject({
      add: [
        'management /run/openvpn/client.sock unix',
        'management-hold',
        'management-external-key nopadding',
        expect.any(String),
      ],
      command: expect.arrayContaining([bench.key('p256', 'SoftHSM')]),
    });
  });

  test('and several modules: the one that has the token is named', async ({ bench }) => {
    const id = (await shownIds(bench)).get('pksigd p256') ?? '';
    const modules = [bench.path('no-module.so'), inject('softhsmModule')];
    const lines = [`pkcs11-providers ${modules.join(' ')}`, `pkcs11-id '${id}'`, 'pkcs11-cert-private 0 1'];
    const { code, of } = await checked(bench, '--openvpn-config', await clientConfig(bench, lines));
    expect(code).toBe(0);
    expect(of('pkcs11-providers')).toMatchObject([{ detail: `the URI names ${inject('softhsmModule')}` }]);
    expect(of('pkcs11-cert-private')).toMatchObject([{ outcome: 'ok' }]);
  });

  test('and an id that is none', async ({ bench }) => {
    const lines = [`pkcs11-providers ${inject('softhsmModule')}`, "pkcs11-id 'slot_0-id_1'"];
    const args = ['check', '--openvpn-config', await clientConfig(bench, lines)];
    const pksigd = await bench.pksigd(args, { env: await environment(bench) });
    expect(await pksigd.exited).toBe(2);
    expect(pksigd.stderr).toEqual([expect.stringContaining("pkcs11-id 'slot_0-id_1' is not manufacturer/model")]);
  });
});

describe.skipIf(!hasPkcs11)("what OpenVPN's --show-pkcs11-ids prints", () => {
  test.for(['p256', 'rsa3072', 'ed25519'] as const)('%s: is a KEY', async (key, { bench }) => {
    const ids = await shownIds(bench);
    expect(ids.size).toBe(8);
    const args = ['--key', ids.get(`pksigd ${key}`) ?? '', '--module', inject('softhsmModule')];
    const { code, of } = await checked(bench, ...args, '--login', '--pin-source', bench.pinFile);
    expect(code).toBe(0);
    expect(of('certificate')[0]?.detail).toBe(`CN=pksigd ${key} is the key's`);
    expect(of('signature').length).toBeGreaterThan(0);
  });

  test('also of a token whose names want escapes', async ({ bench }) => {
    const [env, pin] = [{ ...process.env, ...(await environment(bench)) }, await bench.pin()];
    const label = String.raw`Jörg's 50% /\ "#1"`;
    const token = ['--token', label, '--pin', pin];
    await run('softhsm2-util', ['--init-token', '--free', '--label', label, '--so-pin', pin, '--pin', pin], { env });
    const key = ['--import', bench.recipe('p384.pem'), '--label', 'key', '--id', 'a0ff'];
    await run('softhsm2-util', [...key, ...token], { env });
    const { stdout: der } = await run('openssl', ['x509', '-in', bench.recipe('p384.crt'), '-outform', 'DER'], {
      encoding: 'buffer',
    });
    const object = ['--write-object', await bench.write('p384.der', der), '--type', 'cert', '--id', 'a0ff'];
    const login = ['--module', inject('softhsmModule'), '--token-label', label, '--login', '--pin', pin];
    await run('pkcs11-tool', [...login, ...object], { env });

    const { stdout } = await run(OPENVPN, ['--show-pkcs11-ids', inject('softhsmModule')], { env });
    const [, id = ''] = /Serialized id:\s+(\S+\/A0FF)$/im.exec(stdout) ?? [];
    expect(id).toMatch(/\\x/);
    const args = ['--key', id, '--module', inject('softhsmModule'), '--login', '--pin-source', bench.pinFile];
    const { code, of } = await checked(bench, ...args);
    expect(code).toBe(0);
    expect(of('certificate')[0]?.detail).toBe("CN=pksigd p384 is the key's");
  });
});
