import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyName } from '../../support/bench.ts';
import { Child } from '../../support/child.ts';
import { library, makeBed, missing, recipeKey, run, type BedKey, type TokenSetup } from './token-bed.ts';

/** gnome-keyring's "SSH Keys" slot shows what lies under these names in ~/.ssh. */
const SSH_KEYS = [
  { name: 'rsa2048', file: 'id_rsa' },
  { name: 'p256', file: 'id_ecdsa' },
  { name: 'p384', file: 'id_p384' },
  { name: 'p521', file: 'id_p521' },
] as const satisfies { name: KeyName; file: string }[];

async function appears(path: string, owner: Child): Promise<void> {
  while (!existsSync(path)) {
    if (owner.ended) throw new Error(owner.transcript);
    await sleep(10);
  }
}

export const gnomeKeyringSetup: TokenSetup = {
  name: 'gnome-keyring',
  packages: ['gnome-keyring', 'gnome-keyring-pkcs11', 'dbus-daemon', 'openssh-client'],
  lacks: { Ed25519: 'no such keys', Ed448: 'no such keys' },
  unavailable: () => missing(['gnome-keyring-pkcs11.so'], ['gnome-keyring-daemon', 'dbus-daemon', 'ssh-keygen']),
  start: () =>
    makeBed(async (bench) => {
      for (const folder of ['.ssh', 'control', 'run']) await mkdir(bench.path(folder), { mode: 0o700 });
      const keys: BedKey[] = [];
      for (const { name, file } of SSH_KEYS) {
        const path = bench.path(`.ssh/${file}`);
        await copyFile(bench.recipe(`${name}.pem`), path);
        // it reads the formats that ssh-keygen wrote when it was young
        await run('ssh-keygen', ['-q', '-p', '-m', 'PEM', '-N', '', '-P', '', '-f', path]);
        await bench.write(`.ssh/${file}.pub`, `${(await run('ssh-keygen', ['-y', '-f', path])).trim()} ${name}\n`);
        keys.push(await recipeKey(bench, name, `token=SSH%20Keys;object=${name}`));
      }
      const session = {
        HOME: bench.folder,
        XDG_RUNTIME_DIR: bench.path('run'),
        DBUS_SESSION_BUS_ADDRESS: `unix:path=${bench.path('bus')}`,
      };
      const bus = bench.adopt(
        new Child('dbus-daemon', 'dbus-daemon', [
          '--session',
          '--nofork',
          `--address=${session.DBUS_SESSION_BUS_ADDRESS}`,
        ]),
      );
      await appears(bench.path('bus'), bus);
      const control = bench.path('control');
      const daemon = bench.adopt(
        new Child(
          'gnome-keyring-daemon',
          'gnome-keyring-daemon',
          ['--foreground', '--unlock', '--components=pkcs11', `--control-directory=${control}`],
          { env: session, input: 'keyring password' },
        ),
      );
      await appears(bench.path('control/pkcs11'), daemon);
      return {
        modulePath: library('gnome-keyring-pkcs11.so'),
        environment: { ...session, GNOME_KEYRING_CONTROL: control },
        keys,
      };
    }),
};
