import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { managementArgs } from '../support/openvpn.ts';
import { Pksigd } from '../support/pksigd.ts';
import { faultSetup } from './setup/fault.ts';
import { gnomeKeyringSetup } from './setup/gnome-keyring.ts';
import { nssSetup } from './setup/nss.ts';
import { openCryptokiSetup } from './setup/opencryptoki.ts';
import { openScSetup, ykcs11Setup } from './setup/piv.ts';
import { p11KitClientSetup, softHsmSetup } from './setup/softhsm.ts';
import { run, type TokenBed, type TokenSetup } from './setup/token-bed.ts';
import { tpm2Setup } from './setup/tpm2.ts';
import { withBed } from './support/beds.ts';

/** What each module that makes keys is asked for; its token, where it has several. */
const MAKERS: readonly { setup: TokenSetup; token: string; types: readonly string[] }[] = [
  {
    setup: softHsmSetup,
    token: 'pksigd',
    types: ['p256', 'p384', 'p521', 'rsa2048', 'rsa3072', 'rsa4096', 'ed25519'],
  },
  { setup: p11KitClientSetup, token: 'pksigd', types: ['p256', 'rsa2048'] },
  { setup: nssSetup, token: 'NSS%20Certificate%20DB', types: ['p256', 'p384', 'p521', 'rsa2048'] },
  { setup: openCryptokiSetup, token: 'ock', types: ['rsa2048'] },
  { setup: tpm2Setup, token: 'tpm', types: ['p256', 'p384', 'rsa2048'] },
];

const EASY_RSA = '/usr/share/easy-rsa/easyrsa';

/** The KEY of a label on the bed's token. */
function keyOf(bed: TokenBed, token: string, label: string): string {
  return `pkcs11:token=${token};object=${label}?module-path=${bed.modulePath}&pin-source=file:${bed.pinFile}`;
}

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function pksigd(bed: TokenBed, ...args: string[]): Promise<Result> {
  const options = { env: bed.moduleEnvironment, launcher: bed.launcher };
  const command = bed.bench.adopt(new Pksigd(bed.bench.folder, args, undefined, options));
  const status = await command.exited;
  return { status, stdout: command.stdout.join('\n'), stderr: command.stderr.join('\n') };
}

function enrol(bed: TokenBed, ...args: string[]): Promise<Result> {
  const init = bed.initArgs === undefined ? [] : ['--module-init-args', bed.initArgs];
  return pksigd(bed, 'enrol', ...init, ...args);
}

/** The KEY that the command has told of. */
function madeKey({ stderr }: Result): string {
  return /^ok {4}key: (pkcs11:\S+): /m.exec(stderr)?.[1] ?? stderr;
}

/** A certificate for a request, by the bench's CA. */
async function issue(bed: TokenBed, request: string, more: readonly string[] = []): Promise<string> {
  const file = `${request}.crt`;
  const extensions = await bed.bench.write(
    'client.ext',
    'extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n',
  );
  const issuer = ['-CA', bed.bench.recipe('ca.crt'), '-CAkey', bed.bench.recipe('ca.pem')];
  await run('openssl', [
    'x509',
    '-req',
    '-in',
    request,
    ...issuer,
    '-extfile',
    extensions,
    '-days',
    '90',
    '-out',
    file,
    ...more,
  ]);
  return file;
}

for (const { setup, token, types } of MAKERS) {
  describe.skipIf(setup.unavailable() !== undefined).concurrent(setup.name, () => {
    test.for(types)('a key %s is made there, asked for, and its certificate taken in', async (type, { expect }) => {
      await withBed(setup, async (bed) => {
        const { bench } = bed;
        const out = bench.path('alice.csr');
        const asked = await enrol(
          bed,
          ...['--key', keyOf(bed, token, 'alice'), '--key-type', type, '--subject', 'CN=alice,O=Example', '--out', out],
          ...['--san', 'alice@example.org'],
        );
        expect(asked, asked.stderr).toMatchObject({ status: 0, stdout: '' });
        const verified = await run('sh', ['-c', `openssl req -in '${out}' -noout -verify -text 2>&1`]);
        expect(verified).toMatch(/verify OK/);
        expect(verified).toContain('Subject: O = Example, CN = alice');
        expect(verified).toContain('email:alice@example.org');

        const key = madeKey(asked);
        expect(key).toMatch(/;id=(%[0-9A-F]{2}){8}\?/);
        const certificate = await issue(bed, out);
        const taken = await enrol(bed, '--key', key, '--import', certificate, '--ca', bench.recipe('ca.crt'));
        expect(taken, `${taken.stdout}${taken.stderr}`).toMatchObject({ status: 0 });
        expect(taken.stdout).toMatch(/^ok {4}chain: .*CN=alice.* < /m);
        expect(taken.stdout).toMatch(/^ok {4}kept: on the token/m);
        expect(taken.stdout).toMatch(/^ok {4}certificate: .*CN=alice.* is the key's/m);
        expect(taken.stdout).toMatch(/^management-external-key/m);
        expect(taken.stdout).toContain('management-external-cert "alice"');

        // twice is as good as once
        const again = await enrol(bed, '--key', key, '--import', certificate);
        expect(again, again.stdout).toMatchObject({ status: 0 });

        // a real daemon, with nothing but the key's URI: the certificate comes from the token
        const management = { address: bench.path('management'), port: 'unix' };
        const init = bed.initArgs === undefined ? [] : ['--module-init-args', bed.initArgs];
        const all = ['run', ...init, '--key', key, ...managementArgs(management)];
        const agent = bench.adopt(
          new Pksigd(bench.folder, all, undefined, { env: bed.moduleEnvironment, launcher: bed.launcher }),
        );
        const server = await bench.server({ proto: 'tcp', args: ['--remote-cert-tls', 'client'] });
        const client = bench.client(server, { management, certificate: { hint: 'alice' } });
        await client.connected();
        expect((await agent.signed(1)).length).toBeGreaterThan(0);
        await server.stop();
      });
    });
  });
}

describe.skipIf(softHsmSetup.unavailable() !== undefined)('enrolment on SoftHSM', () => {
  /** Makes a key `alice` there, and its certificate. */
  async function alice(bed: TokenBed): Promise<{ key: string; certificate: string }> {
    const out = bed.bench.path('alice.csr');
    const asked = await enrol(bed, '--key', keyOf(bed, 'pksigd', 'alice'), '--subject', 'alice', '--out', out);
    expect(asked, asked.stderr).toMatchObject({ status: 0 });
    return { key: madeKey(asked), certificate: await issue(bed, out) };
  }

  test('a key that is there is left alone, and renewed with the same key', async () => {
    await withBed(softHsmSetup, async (bed) => {
      const { bench } = bed;
      const { key, certificate } = await alice(bed);
      const name = keyOf(bed, 'pksigd', 'alice');
      const twice = await enrol(bed, '--key', name, '--subject', 'alice');
      expect(twice).toMatchObject({ status: 2, stdout: '' });
      expect(twice.stderr).toMatch(/there is a key .* already: .*--renew/);

      const nameless = await enrol(bed, '--key', name, '--renew');
      expect(nameless.stderr, 'it has no certificate yet').toContain('--subject');
      expect(await enrol(bed, '--key', key, '--import', certificate)).toMatchObject({ status: 0 });

      const renewed = await enrol(bed, '--key', name, '--renew', '--json');
      expect(renewed, renewed.stderr).toMatchObject({ status: 0, stderr: '' });
      const { request, type } = JSON.parse(renewed.stdout) as { request: string; type: string };
      expect(type).toBe('P-256');
      const next = await issue(bed, await bench.write('next.csr', request), ['-days', '200']);
      expect(new X509Certificate(await readFile(next)).subject).toBe('CN=alice');
      const taken = await enrol(bed, '--key', name, '--import', next);
      expect(taken, taken.stdout).toMatchObject({ status: 0 });
      expect(taken.stdout).toMatch(/^ok {4}old certificate: .* stays on the token/m);
      // the newer one is the key's from now on
      const listed = await pksigd(bed, 'keys', `pkcs11:object=alice?module-path=${bed.modulePath}`);
      expect(listed.stdout.match(/CN=alice/g)).not.toBeNull();
    });
  });

  test('renewed with a new key: the old one signs on, is told of, and stays', async () => {
    await withBed(softHsmSetup, async (bed) => {
      const { bench } = bed;
      const { key, certificate } = await alice(bed);
      expect(await enrol(bed, '--key', key, '--import', certificate)).toMatchObject({ status: 0 });
      const out = bench.path('next.csr');
      const asked = await enrol(bed, '--key', key, '--renew', '--new-key', 'pkcs11:object=alice-2', '--out', out);
      expect(asked, asked.stderr).toMatchObject({ status: 0 });
      expect(asked.stderr).toMatch(/^ok {4}old key: .*object=alice;.* stays/m);
      const newKey = madeKey(asked);
      expect(newKey).toContain('object=alice-2;');
      expect(newKey).toContain('pin-source=');
      const data = Buffer.alloc(32, 7).toString('base64');
      const signing = new Pksigd(bench.folder, ['sign', '--key', keyOf(bed, 'pksigd', 'alice')], undefined, {
        env: bed.moduleEnvironment,
        input: data,
      });
      expect(await bench.adopt(signing).exited, 'its URI fits one key still').toBe(0);
      const taken = await enrol(bed, '--key', newKey, '--import', await issue(bed, out));
      expect(taken, taken.stdout).toMatchObject({ status: 0 });
      expect(taken.stdout).toMatch(
        /^ok {4}old key: pkcs11:token=pksigd;object=alice;id=\S+ of the same subject stays/m,
      );
    });
  });

  test('what an authority got wrong is not taken in', async () => {
    await withBed(softHsmSetup, async (bed) => {
      const { bench } = bed;
      const { key, certificate } = await alice(bed);
      const request = bench.path('alice.csr');
      const issuer = ['-CA', bench.recipe('ca.crt'), '-CAkey', bench.recipe('ca.pem')];
      const signed = async (name: string, extensions: string, ...more: string[]): Promise<string> => {
        const file = bench.path(name);
        const ext = await bench.write(`${name}.ext`, extensions);
        await run('openssl', ['x509', '-req', '-in', request, ...issuer, '-extfile', ext, '-out', file, ...more]);
        return file;
      };
      const refused = async (code: string, file: string, ...more: string[]): Promise<void> => {
        const { status, stdout, stderr } = await enrol(bed, '--key', key, '--import', file, '--json', ...more);
        expect(status, stdout).toBe(2);
        expect(`${stdout}${stderr}`, code).toMatch(code.startsWith('ERR_') ? `"code":"${code}"` : code);
      };
      await refused('has no certificate of this key', bench.recipe('p256.crt'));
      await refused('ERR_CERTIFICATE_PURPOSE', await signed('server.crt', 'extendedKeyUsage=serverAuth\n'));
      await refused('ERR_CERTIFICATE_PURPOSE', await signed('ca.crt', 'basicConstraints=CA:TRUE\n'));
      await refused('ERR_CERTIFICATE_DATES', await signed('old.crt', 'extendedKeyUsage=clientAuth\n', '-days', '-1'));
      const other = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=other'];
      await run('openssl', [...other, '-out', bench.path('other-ca.crt')]);
      await refused('ERR_CERTIFICATE_CHAIN', certificate, '--ca', bench.path('other-ca.crt'));
      const keys = await pksigd(bed, 'keys', '--json', `pkcs11:object=alice?module-path=${bed.modulePath}`);
      expect(keys.stdout).not.toContain('CN=alice');
    });
  });

  test('a chain is kept with it, without its root', async () => {
    await withBed(softHsmSetup, async (bed) => {
      const { bench } = bed;
      const { key } = await alice(bed);
      const ca = ['-CA', bench.recipe('ca.crt'), '-CAkey', bench.recipe('ca.pem')];
      const sub = [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        bench.path('sub.pem'),
        '-subj',
        '/CN=sub',
      ];
      await run('openssl', [...sub, ...ca, '-addext', 'basicConstraints=CA:TRUE', '-out', bench.path('sub.crt')]);
      const own = bench.path('own.crt');
      const by = ['-CA', bench.path('sub.crt'), '-CAkey', bench.path('sub.pem')];
      const ext = await bench.write('own.ext', 'extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n');
      await run('openssl', ['x509', '-req', '-in', bench.path('alice.csr'), ...by, '-extfile', ext, '-out', own]);
      const files = [bench.recipe('ca.crt'), bench.path('sub.crt'), own];
      const sent = await bench.write('sent.pem', Buffer.concat(await Promise.all(files.map((file) => readFile(file)))));
      const taken = await enrol(bed, '--key', key, '--import', sent, '--ca', bench.recipe('ca.crt'));
      expect(taken, taken.stdout).toMatchObject({ status: 0 });
      expect(taken.stdout).toMatch(/^ok {4}chain: CN=alice < CN=sub < CN=/m);
      const tool = ['--module', bed.modulePath, '--token-label', 'pksigd', '--list-objects', '--type', 'cert'];
      const listed = await run('pkcs11-tool', tool, { env: bed.environment });
      expect(listed).toContain('CN=alice');
      expect(listed).toContain('label:      sub');
      expect(listed).not.toContain('pksigd test CA\n  label:      CA');
    });
  });

  test('easy-rsa signs the request', async ({ skip }) => {
    const there = await stat(EASY_RSA).catch(() => undefined);
    if (!there) skip(`no ${EASY_RSA} (package easy-rsa)`);
    await withBed(softHsmSetup, async (bed) => {
      const { bench } = bed;
      const { key } = await alice(bed);
      const env = { EASYRSA_PKI: bench.path('pki'), EASYRSA_BATCH: '1', EASYRSA_REQ_CN: 'easy CA' };
      const easyRsa = (...args: string[]): Promise<string> => run(EASY_RSA, args, { env, cwd: bench.folder });
      await easyRsa('init-pki');
      await easyRsa('build-ca', 'nopass');
      await easyRsa('import-req', bench.path('alice.csr'), 'alice');
      await easyRsa('sign-req', 'client', 'alice');
      const issued = bench.path('pki/issued/alice.crt');
      const taken = await enrol(bed, '--key', key, '--import', issued, '--ca', bench.path('pki/ca.crt'));
      expect(taken, taken.stdout).toMatchObject({ status: 0 });
    });
  });
});

describe.skipIf(faultSetup.unavailable() !== undefined)('enrolment on a token that fails', () => {
  test('a wrong PIN is tried once, whatever is done how often', async () => {
    await withBed(faultSetup, async (bed) => {
      const wrong = await bed.bench.write('wrong.pin', '999999\n');
      const key = `pkcs11:token=pksigd;object=new?module-path=${bed.modulePath}&pin-source=file:${wrong}`;
      for (const args of [
        ['--subject', 'x'],
        ['--subject', 'x'],
        ['--renew'],
        ['--import', bed.bench.recipe('p256.crt')],
      ]) {
        const { status, stderr } = await enrol(bed, '--key', key, ...args);
        expect(status, stderr).toBe(4);
      }
      expect(await bed.logins()).toBe(1);
    });
  });

  test('a key pair is made once, whatever the token answers', async () => {
    await withBed(faultSetup, async (bed) => {
      // CKR_DEVICE_ERROR, which a signature would be tried again after; the token has made the key all the same
      await bed.fault('C_GenerateKeyPair', { rv: 0x30, late: true });
      const key = keyOf(bed, 'pksigd', 'new');
      const { status, stderr } = await enrol(bed, '--key', key, '--subject', 'x');
      expect(status, stderr).toBe(1);
      expect(stderr).toContain('C_GenerateKeyPair returned CKR_DEVICE_ERROR');
      expect(await bed.calls('C_GenerateKeyPair')).toHaveLength(1);
    });
  });
});

/** Modules that make no keys: what the error names instead. */
for (const { setup, key, tool } of [
  { setup: openScSetup, key: 'pkcs11:object=new', tool: 'ykman piv keys generate' },
  { setup: ykcs11Setup, key: 'pkcs11:object=new;id=%05', tool: 'yubico-piv-tool -a generate' },
  { setup: gnomeKeyringSetup, key: 'pkcs11:token=SSH%20Keys;object=new', tool: 'makes no key P-256' },
]) {
  describe.skipIf(setup.unavailable() !== undefined)(setup.name, () => {
    test('makes no key: the error says who does', async () => {
      await withBed<TokenBed>(setup, async (bed) => {
        const uri = `${key}?module-path=${bed.modulePath}&pin-source=file:${bed.pinFile}`;
        const { status, stderr } = await enrol(bed, '--key', uri, '--subject', 'x');
        expect(status, stderr).not.toBe(0);
        expect(stderr).toContain(tool);
      });
    });
  });
}

describe.skipIf(openScSetup.unavailable() !== undefined)('a PIV card', () => {
  test('whose key its own tools made: a request, and the certificate in a file', async () => {
    await withBed(openScSetup, async (bed) => {
      const { bench } = bed;
      const { uri, publicKey } = bed.slot('9a');
      const key = `pkcs11:${uri}?module-path=${bed.modulePath}&pin-source=file:${bed.pinFile}`;
      const out = bench.path('card.csr');
      const asked = await enrol(bed, '--key', key, '--renew', '--subject', 'CN=card', '--out', out);
      expect(asked, asked.stderr).toMatchObject({ status: 0 });
      const spki = await run('openssl', ['req', '-in', out, '-noout', '-verify', '-pubkey']);
      expect(createPublicKey(spki).equals(publicKey)).toBe(true);
      const certificate = await issue(bed, out);
      const onCard = await enrol(bed, '--key', key, '--import', certificate);
      expect(onCard.status).not.toBe(0);
      expect(onCard.stderr).toContain('ykman piv certificates import');
      const file = bench.path('card.crt');
      const taken = await enrol(bed, '--key', key, '--import', certificate, '--cert', file);
      expect(taken, taken.stdout).toMatchObject({ status: 0 });
      expect(taken.stdout).toContain(`cert ${file}`);
      expect(new X509Certificate(await readFile(file)).publicKey.equals(publicKey)).toBe(true);
    });
  });
});
