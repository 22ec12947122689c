import { createPrivateKey, X509Certificate } from 'node:crypto';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFile, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { test, type Bench } from '../support/bench.ts';
import { managementArgs } from '../support/openvpn.ts';
import { openssl } from '../support/openssl.ts';
import { Child } from '../support/child.ts';
import { MAIN } from '../support/pksigd.ts';

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
    const found = await enrol(bench, '--renew', '--key', key);
    expect(found.status, found.stderr).toBe(0);
    const request = await bench.write('found.csr', found.stdout);
    expect((await openssl(['req', '-in', request, '-noout', '-subject'])).toString()).toContain(
      'O = Example, CN = alice',
    );
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

  test('the certificate of another key that lies beside it is not renewed', async ({ bench }) => {
    const key = bench.path('alice.key');
    expect(await enrol(bench, '--key', key, '--subject', 'alice')).toMatchObject({ status: 0 });
    await copyFile(bench.recipe('p256.crt'), bench.path('alice.crt'));
    const renewed = await enrol(bench, '--renew', '--key', key);
    expect(renewed).toMatchObject({ status: 2, stdout: '' });
    expect(renewed.stderr).toContain('--renew takes --cert FILE, too');
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

  test('a request that can not be written is said before a key is made for it', async ({ bench }) => {
    const key = bench.path('alice.key');
    const { status, stderr } = await enrol(bench, '--key', key, '--subject', 'a', '--out', bench.path('none/a.csr'));
    expect(status).toBe(2);
    expect(stderr).toContain("can't write");
    await expect(stat(key)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a pipe or device that the request is to go to is refused, and not read', async ({ bench }) => {
    const [key, pipe] = [bench.path('alice.key'), bench.path('pipe')];
    execFileSync('mkfifo', [pipe]);
    for (const out of [pipe, '/dev/zero']) {
      const { status, stderr } = await enrol(bench, '--key', key, '--subject', 'a', '--out', out);
      expect({ out, status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining(out) as string });
    }
    await expect(stat(key)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a folder that can not be written to is said, and no key is lost in it', async ({ bench }) => {
    const { status, stderr } = await enrol(bench, '--key', bench.path('none/alice.key'), '--subject', 'alice');
    expect(status).toBe(2);
    expect(stderr).toContain("can't write the key file");
  });
});

const tools = (...names: string[]): boolean =>
  names.every((name) => spawnSync('sh', ['-c', 'command -v "$0"', name]).status === 0);

describe.skipIf(!tools('script'))('the passphrase of a new key file', () => {
  /** Makes an encrypted key at a terminal, typing these one after the other. */
  async function type(bench: Bench, key: string, ...typed: string[]): Promise<Child> {
    const words = ['enrol', '--key', key, '--subject', 'alice', '--pin-source', 'prompt', '--out', bench.path('a.csr')];
    const line = [process.execPath, MAIN, ...words].map((word) => `'${word}'`).join(' ');
    const args = ['-qec', `${line}; echo "status $?"`, '/dev/null'];
    const child = bench.adopt(new Child('pksigd on a terminal', 'script', args, { interactive: true }));
    for (const [index, text] of typed.entries()) {
      await child.said(index === 0 ? /new passphrase of \S+: ?$/ : /new passphrase of \S+ again: ?$/);
      child.process.stdin.write(`${text}\n`);
    }
    return child;
  }

  test('is typed twice, and is that of the key', async ({ bench }) => {
    const key = bench.path('alice.key');
    await (await type(bench, key, 'as it should be', 'as it should be')).logged(/status 0/);
    const passphrase = await bench.write('passphrase', 'as it should be\n');
    await openssl(['pkey', '-in', key, '-passin', `file:${passphrase}`, '-noout']);
  });

  test('is typed wrong once: no key is made that nobody could open, and the next try is free', async ({ bench }) => {
    const key = bench.path('alice.key');
    const child = await type(bench, key, 'as it should be', 'as it shuold be');
    await child.logged(/the passphrases of \S+ are not the same: no key was made/);
    await child.logged(/status 4/);
    await expect(stat(key)).rejects.toMatchObject({ code: 'ENOENT' });
    await (await type(bench, key, 'better', 'better')).logged(/status 0/);
  });

  test('is not asked for in vain', async ({ bench }) => {
    const child = await type(bench, await bench.write('alice.key', 'something of somebody\n'));
    await child.logged(/there is a file \S+ already/);
    expect(child.transcript).not.toContain('new passphrase');
  });

  test('is read once where it can be read once only', ({ bench }) => {
    const key = bench.path('alice.key');
    const line = `printf 'from a pipe\\n' | "$0" "$@" --pin-source file:/dev/stdin`;
    const args = [process.execPath, MAIN, 'enrol', '--key', key, '--subject', 'a', '--out', bench.path('a.csr')];
    const made = spawnSync('sh', ['-c', line, ...args], { encoding: 'utf8' });
    expect(made.status, made.stderr).toBe(0);
  });
});

/** The shell blocks of docs/ENROL.md, "Having it signed", by the word that they begin with. */
async function documented(first: string): Promise<string> {
  const text = await readFile(new URL('../../docs/ENROL.md', import.meta.url), 'utf8');
  const [, section = ''] = /^## Having it signed$(.*?)^## /ms.exec(text) ?? [];
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
  const block = blocks.find((each) => each.startsWith(first));
  if (block === undefined) throw new Error(`docs/ENROL.md shows no ${first}`);
  return block;
}

describe('an authority signs the request by the words of docs/ENROL.md', () => {
  /** A request that has alternative names, in a folder of its own. */
  async function requested(bench: Bench): Promise<string> {
    const folder = bench.path('signing');
    await mkdir(folder);
    const names = ['--subject', 'CN=alice,O=Example', '--san', 'alice@example.org'];
    const asked = await enrol(bench, '--key', join(folder, 'alice.key'), ...names, '--out', join(folder, 'alice.csr'));
    expect(asked.status, asked.stderr).toBe(0);
    return folder;
  }

  function sh(folder: string, script: string): void {
    const env = { ...process.env, EASYRSA_BATCH: '1', PATH: `${process.env['PATH'] ?? ''}:/usr/share/easy-rsa` };
    const { status, stdout, stderr } = spawnSync('sh', ['-ec', script], { cwd: folder, encoding: 'utf8', env });
    expect(status, `${stdout}${stderr}`).toBe(0);
  }

  async function imports(bench: Bench, folder: string, certificate: string, ca: string): Promise<X509Certificate> {
    const sent = join(folder, certificate);
    const taken = await enrol(bench, '--key', join(folder, 'alice.key'), '--import', sent, '--ca', join(folder, ca));
    expect(taken.status, taken.stdout).toBe(0);
    return new X509Certificate(await readFile(sent));
  }

  const CLIENT = 'extendedKeyUsage = clientAuth\nkeyUsage = digitalSignature\nbasicConstraints = CA:FALSE\n';

  async function putCa(bench: Bench, folder: string): Promise<void> {
    await copyFile(bench.recipe('ca.crt'), join(folder, 'ca.crt'));
    await copyFile(bench.recipe('ca.pem'), join(folder, 'ca.key'));
  }

  test.skipIf(!tools('/usr/share/easy-rsa/easyrsa'))('easy-rsa', async ({ bench }) => {
    const folder = await requested(bench);
    sh(folder, 'cp -r /usr/share/easy-rsa/* . && ./easyrsa init-pki && ./easyrsa build-ca nopass');
    sh(folder, await documented('./easyrsa'));
    const certificate = await imports(bench, folder, 'pki/issued/alice.crt', 'pki/ca.crt');
    expect(certificate.keyUsage).toContain('1.3.6.1.5.5.7.3.2');
    expect(certificate.subjectAltName).toBe('email:alice@example.org');
  });

  test('openssl ca, with the names that were asked for', async ({ bench }) => {
    const folder = await requested(bench);
    await putCa(bench, folder);
    const lines = [
      '[ca]\ndefault_ca = this',
      '[this]\ndatabase = index.txt\nnew_certs_dir = .\nserial = serial\ncertificate = ca.crt\nprivate_key = ca.key',
      'default_md = sha256\ndefault_days = 90\npolicy = any\ncopy_extensions = copy\nbatch = yes',
      '[any]\ncommonName = supplied\norganizationName = optional',
    ];
    await writeFile(join(folder, 'ca.cnf'), `${lines.join('\n')}\n[client]\n${CLIENT}`);
    await writeFile(join(folder, 'index.txt'), '');
    await writeFile(join(folder, 'serial'), '1000\n');
    sh(folder, `yes | ${await documented('openssl ca')}`);
    const certificate = await imports(bench, folder, 'alice.crt', 'ca.crt');
    expect(certificate.subjectAltName).toBe('email:alice@example.org');
  });

  test('openssl x509', async ({ bench }) => {
    const folder = await requested(bench);
    await putCa(bench, folder);
    await writeFile(join(folder, 'client.ext'), CLIENT);
    sh(folder, await documented('openssl x509'));
    await imports(bench, folder, 'alice.crt', 'ca.crt');
  });

  test.skipIf(!tools('step'))('step certificate', async ({ bench }) => {
    const folder = await requested(bench);
    await putCa(bench, folder);
    const [, line = ''] = /^(step certificate sign .*)$/m.exec(await documented('step ca sign')) ?? [];
    sh(folder, line);
    await imports(bench, folder, 'alice.crt', 'ca.crt');
  });
});
