import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { freePort, ownAddress, type Bench, type KeyName } from '../../support/bench.ts';
import { Child } from '../../support/child.ts';
import { library, makeBed, missing, PIN, run, SO_PIN, type BedKey, type TokenSetup } from './token-bed.ts';

const TPM_KEYS = [
  { name: 'rsa2048', type: 'rsa:2048', id: '01' },
  { name: 'p256', type: 'EC:prime256v1', id: '02' },
  { name: 'p384', type: 'EC:secp384r1', id: '03' },
  { name: 'p521', type: 'EC:secp521r1', id: '04' },
] as const satisfies { name: KeyName; type: string; id: string }[];

/** The public half of a key that the token made, by OpenSC's pkcs11-tool and not by our own code. */
async function publicKeyOf(
  bench: Bench,
  name: KeyName,
  tool: (...args: string[]) => Promise<string>,
): Promise<KeyObject> {
  if (name.startsWith('rsa')) {
    const file = bench.path(`${name}.spki`);
    await tool('--read-object', '--type', 'pubkey', '--output-file', file);
    return createPublicKey({ key: await readFile(file), format: 'der', type: 'spki' });
  }
  // its --read-object does not do all curves; and the length before a point of P-521 is wrong (04 85, for 04 81 85)
  const objects = (await tool('--list-objects', '--type', 'pubkey')).split('Public Key Object');
  const own = objects.find((text) => text.includes(`label:      ${name}\n`)) ?? '';
  const [, point = ''] = /EC_POINT: +04..04([0-9a-f]+)/.exec(own) ?? [];
  const bytes = Buffer.from(point, 'hex');
  const [x, y] = [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
  const crv = name.replace('p', 'P-');
  const key = { kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') };
  return createPublicKey({ key, format: 'jwk' });
}

/** A certificate for a key whose public half can't be read from the token: pkcs11-tool's options to write it there. */
async function certificateObject(bench: Bench, publicKey: KeyObject): Promise<string[]> {
  const spki = await bench.write('p521.pub.pem', publicKey.export({ type: 'spki', format: 'pem' }));
  const file = bench.path('p521.der');
  const issuer = ['-CA', bench.recipe('ca.crt'), '-CAkey', bench.recipe('ca.pem')];
  await run('openssl', [
    ...['x509', '-new', '-force_pubkey', spki, '-subj', '/CN=p521', '-days', '30', ...issuer],
    ...['-outform', 'DER', '-out', file],
  ]);
  return ['--write-object', file, '--type', 'cert', '--label', 'p521'];
}

export interface SoftTpm {
  readonly process: Child;
  readonly tcti: string;
}

/** Starts swtpm on the bench's state; at `address` where it stood before, if it is told. */
export async function startSwtpm(bench: Bench, at?: { address: string; port: number }): Promise<SoftTpm> {
  const address = at?.address ?? ownAddress();
  // the control channel is always one port further
  const port = at?.port ?? (await freePort(address));
  const listen = (number: number): string => `type=tcp,port=${number},bindaddr=${address}`;
  const process = bench.adopt(
    new Child('swtpm', 'swtpm', [
      ...['socket', '--tpm2', '--tpmstate', `dir=${bench.path('tpm')}`, '--flags', 'not-need-init,startup-clear'],
      ...['--server', listen(port), '--ctrl', listen(port + 1), '--pid', `file=${bench.path('swtpm.pid')}`],
    ]),
  );
  // it writes its pid when it listens
  for (let file = ''; file.trim() !== `${process.pid}`; ) {
    file = await readFile(bench.path('swtpm.pid'), 'utf8').catch(() => '');
    if (process.ended) throw new Error(process.transcript);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { process, tcti: `swtpm:host=${address},port=${port}` };
}

export const tpm2Setup: TokenSetup = {
  name: 'tpm2-pkcs11',
  packages: ['libtpm2-pkcs11-1', 'swtpm', 'opensc'],
  lacks: { 'P-521': 'C_SignInit: HOST_MEMORY', Ed25519: 'no such keys', Ed448: 'no such keys' },
  unavailable: () => missing(['libtpm2_pkcs11.so.1'], ['swtpm', 'pkcs11-tool']),
  start: () =>
    makeBed(async (bench) => {
      await mkdir(bench.path('tpm'));
      await mkdir(bench.path('store'));
      const { process: daemon, tcti } = await startSwtpm(bench);
      const environment = {
        TPM2_PKCS11_TCTI: tcti,
        TPM2_PKCS11_STORE: bench.path('store'),
        TPM2_PKCS11_LOG_LEVEL: '0',
        TSS2_LOG: 'all+NONE',
      };
      const modulePath = library('libtpm2_pkcs11.so.1');
      const tool = (...args: string[]): Promise<string> =>
        run('pkcs11-tool', ['--module', modulePath, ...args], { env: environment });
      await tool('--slot-index', '0', '--init-token', '--label', 'tpm', '--so-pin', SO_PIN);
      await tool('--token-label', 'tpm', '--init-pin', '--so-pin', SO_PIN, '--login', '--pin', PIN);
      const keys: BedKey[] = [];
      const login = ['--token-label', 'tpm', '--login', '--pin', PIN];
      for (const { name, type, id } of TPM_KEYS) {
        await tool(...login, '--keypairgen', '--key-type', type, '--label', name, '--id', id);
        const publicKey = await publicKeyOf(bench, name, (...args) =>
          tool('--token-label', 'tpm', '--id', id, ...args),
        );
        keys.push({ name, uri: `token=tpm;object=${name}`, publicKey });
        // its CKA_EC_POINT is malformed
        if (name === 'p521') await tool(...login, ...(await certificateObject(bench, publicKey)), '--id', id);
      }
      return { modulePath, environment, keys, pin: PIN, daemon };
    }),
};
