import { mkdir } from 'node:fs/promises';
import type { KeyName } from '../../support/bench.ts';
import { library, makeBed, missing, PIN, recipeKey, run, type BedKey, type TokenSetup } from './token-bed.ts';

const NSS_KEYS = ['rsa2048', 'rsa3072', 'rsa4096', 'p256', 'p384', 'p521'] as const satisfies KeyName[];

export const nssSetup: TokenSetup = {
  name: 'NSS softokn',
  packages: ['libnss3', 'libnss3-tools'],
  lacks: { Ed25519: 'no such keys', Ed448: 'no such keys' },
  unavailable: () => missing(['libsoftokn3.so'], ['certutil', 'pk12util']),
  start: () =>
    makeBed(async (bench) => {
      const folder = bench.path('nss');
      await mkdir(folder);
      const pinFile = await bench.write('nss.pin', PIN);
      await run('certutil', ['-N', '-d', `sql:${folder}`, '-f', pinFile]);
      const keys: BedKey[] = [];
      for (const name of NSS_KEYS) {
        const p12 = bench.path(`${name}.p12`);
        const files = ['-inkey', bench.recipe(`${name}.pem`), '-in', bench.recipe(`${name}.crt`), '-out', p12];
        await run('openssl', ['pkcs12', '-export', ...files, '-name', name, '-passout', 'pass:x']);
        await run('pk12util', ['-i', p12, '-d', `sql:${folder}`, '-k', pinFile, '-W', 'x']);
        keys.push(await recipeKey(bench, name, `token=NSS%20Certificate%20DB;object=${name}`));
      }
      return {
        modulePath: library('libsoftokn3.so'),
        initArgs: `configdir='sql:${folder}' certPrefix='' keyPrefix='' secmod='' flags=`,
        keys,
        pin: PIN,
      };
    }),
};
