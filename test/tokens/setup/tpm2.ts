import { mkdir, readFile } from 'node:fs/promises';
import { freePort, ownAddress, type Bench, type KeyName } from '../../support/bench.ts';
import { Child } from '../../support/child.ts';
import {
  generatedKey,
  library,
  makeBed,
  missing,
  PIN,
  run,
  SO_PIN,
  type BedKey,
  type TokenSetup,
} from './token-bed.ts';

const TPM_KEYS = [
  { name: 'rsa2048', type: 'rsa:2048', id: '01' },
  { name: 'p256', type: 'EC:prime256v1', id: '02' },
  { name: 'p384', type: 'EC:secp384r1', id: '03' },
] as const satisfies { name: KeyName; type: string; id: string }[];

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
  unavailable: () => missing(['libtpm2_pkcs11.so.1'], ['swtpm', 'pkcs11-tool']),
  start: () =>
    makeBed(async (bench) => {
      await mkdir(bench.path('tpm'));
      await mkdir(bench.path('store'));
      const { tcti } = await startSwtpm(bench);
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
        const token = ['--module', modulePath, '--token-label', 'tpm', '--id', id];
        keys.push(await generatedKey(bench, name, `token=tpm;object=${name}`, token, environment));
      }
      return { modulePath, environment, keys, pin: PIN };
    }),
};
