import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { managementArgs } from '../support/openvpn.ts';
import { openssl } from '../support/openssl.ts';

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function enrol(bench: Bench, ...args: string[]): Promise<Result> {
  const pksigd = await bench.pksigd(['enrol', ...args]);
  const status = await pksigd.exited;
  return { status, stdout: pksigd.stdout.join('\n'), stderr: pksigd.stderr.join('\n') };
}

/** A certificate for a request, by the bench's CA. */
async function issue(bench: Bench, request: string, name: string): Promise<string> {
  const ext = await bench.write('client.ext', 'extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n');
  const issuer = ['-CA', bench.recipe('ca.crt'), '-CAkey', bench.recipe('ca.pem')];
  await openssl(['x509', '-req', '-in', request, ...issuer, '-extfile', ext, '-days', '90', '-out', bench.path(name)]);
  return bench.path(name);
}

describe('enrol with a key in a file', () => {
  test('a key, its request, its certificate, a tunnel', async ({ bench }) => {
    const [key, out] = [bench.path('alice.key'), bench.path('alice.csr')];
    const asked = await enrol(bench, '--key', key, '--key-type', 'ed25519', '--subject', 'alice', '--out', out);
    expect(asked, asked.stderr).toMatchObject({ status: 0, stdout: '' });
    expect((await stat(key)).mode & 0o777).toBe(0o600);
    expect(createPrivateKey(await readFile(key)).asymmetricKeyType).toBe('ed25519');
    expect(asked.stderr).toContain(`pksigd enrol --key ${key} --import FILE`);

    const ca = bench.recipe('ca.crt');
    const taken = await enrol(bench, '--key', key, '--import', await issue(bench, out, 'sent.crt'), '--ca', ca);
    expect(taken, taken.stdout).toMatchObject({ status: 0 });
    const certificate = bench.path('alice.crt');
    expect(taken.stdout).toContain(`cert ${certificate}`);
    expect((await stat(certificate)).mode & 0o777).toBe(0o644);

    const management = { address: bench.path('management'), port: 'unix' };
    await bench.pksigd(['run', '--key', key, '--cert', certificate, ...managementArgs(management)]);
    const server = await bench.server({ args: ['--remote-cert-tls', 'client'] });
    const client = bench.client(server, { management, certificate: { hint: 'alice' } });
    await client.connected();
  });

  test('nothing that is there is overwritten', async ({ bench }) => {
    const key = await bench.write('alice.key', 'something of somebody\n');
    const taken = await enrol(bench, '--key', key, '--subject', 'alice');
    expect(taken).toMatchObject({ status: 2, stdout: '' });
    expect(taken.stderr).toContain(`there is a file ${key} already`);
    expect(await readFile(key, 'utf8')).toBe('something of somebody\n');

    // a link to nowhere is something that is there
    await symlink(bench.path('elsewhere'), bench.path('link.key'));
    expect(await enrol(bench, '--key', bench.path('link.key'), '--subject', 'alice')).toMatchObject({ status: 2 });

    const out = await bench.write('notes.txt', 'notes\n');
    const refused = await enrol(bench, '--key', bench.path('new.key'), '--subject', 'alice', '--out', out);
    expect(refused).toMatchObject({ status: 2 });
    expect(await readFile(out, 'utf8')).toBe('notes\n');
    await expect(stat(bench.path('new.key')), 'no key was made for it').rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('renewed with the same key: the old certificate is kept beside the new one', async ({ bench }) => {
    const key = bench.path('alice.key');
    const first = await enrol(bench, '--key', key, '--subject', '/O=Example/CN=alice', '--san', 'alice@example.org');
    expect(first.status, first.stderr).toBe(0);
    const old = await issue(bench, await bench.write('first.csr', first.stdout), 'first.crt');
    expect(await enrol(bench, '--key', key, '--import', old)).toMatchObject({ status: 0 });

    const certificate = bench.path('alice.crt');
    const out = bench.path('next.csr');
    // written over: it is a request
    await writeFile(out, first.stdout);
    const again = await enrol(bench, '--renew', '--key', key, '--cert', certificate, '--out', out);
    expect(again.status, again.stderr).toBe(0);
    expect((await openssl(['req', '-in', out, '-noout', '-subject'])).toString()).toContain('O = Example, CN = alice');
    const next = await issue(bench, out, 'next.crt');
    const taken = await enrol(bench, '--key', key, '--import', next);
    expect(taken.status, taken.stdout).toBe(0);
    expect(taken.stdout).toContain(`old certificate: it is in ${certificate}.old now`);
    const serialOf = async (file: string): Promise<string> => new X509Certificate(await readFile(file)).serialNumber;
    expect(await serialOf(`${certificate}.old`)).toBe(await serialOf(old));
    expect(await serialOf(certificate)).toBe(await serialOf(next));

    const foreign = await enrol(bench, '--key', key, '--import', next, '--cert', bench.path('alice.key'));
    expect(foreign.status, 'a key is not written over').toBe(2);
    expect(createPrivateKey(await readFile(key)).type).toBe('private');
  });

  test('with a passphrase it is encrypted, as openssl reads it', async ({ bench }) => {
    const key = bench.path('alice.key');
    const passphrase = await bench.write('passphrase', 'a good one\n');
    const made = await enrol(
      bench,
      '--key',
      key,
      '--key-type',
      'rsa2048',
      '--subject',
      'a',
      '--pin-source',
      passphrase,
    );
    expect(made.status, made.stderr).toBe(0);
    expect(await readFile(key, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    expect(
      (await openssl(['pkey', '-in', key, '-passin', `file:${passphrase}`, '-noout', '-text'])).toString(),
    ).toContain('2048 bit');
    const renewed = await enrol(bench, '--renew', '--key', key, '--subject', 'b', '--pin-source', passphrase);
    expect(renewed.stdout).toContain('BEGIN CERTIFICATE REQUEST');
  });

  test('options that do not go together are said', async ({ bench }) => {
    const key = bench.path('alice.key');
    for (const args of [
      ['--key', key],
      ['--subject', 'alice'],
      ['--key', key, '--subject', 'alice', '--new-key', bench.path('b.key')],
      ['--key', key, '--subject', 'alice', '--ca', bench.recipe('ca.crt')],
      ['--key', key, '--subject', 'alice', '--cert', bench.recipe('p256.crt')],
      ['--key', key, '--renew', '--key-type', 'p384'],
      ['--key', key, '--import', bench.recipe('p256.crt'), '--renew'],
      ['--key', key, '--import', bench.recipe('p256.crt'), '--subject', 'alice'],
      ['--key', key, '--subject', 'alice', '--key-type', 'dsa'],
    ]) {
      const { status, stdout } = await enrol(bench, ...args);
      expect({ args, status, stdout }).toEqual({ args, status: 2, stdout: '' });
    }
    await expect(stat(key)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a folder that can not be written to is said, and no key is lost in it', async ({ bench }) => {
    const { status, stderr } = await enrol(bench, '--key', bench.path('none/alice.key'), '--subject', 'alice');
    expect(status).toBe(2);
    expect(stderr).toContain("can't write the key file");
  });
});
