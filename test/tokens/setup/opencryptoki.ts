import { chmod, readFile } from 'node:fs/promises';
import { createPrivateKey } from 'node:crypto';
import { Child } from '../../support/child.ts';
import { library, makeBed, missing, PIN, recipeKey, run, SO_PIN, type BedKey, type TokenSetup } from './token-bed.ts';

/** The software token's slot in Debian's opencryptoki.conf. */
const SLOT = '3';
const FIRST_SO_PIN = '87654321';
const RSA_KEYS = ['rsa2048', 'rsa3072', 'rsa4096'] as const;

/**
 * openCryptoki's paths are compiled in, and so is its System V shared memory: its daemon and whatever loads its module
 * live in mount and IPC namespaces of their own, where these paths are empty.
 */
const DAEMON = `
  mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs /var/lib/opencryptoki
  for folder in /run/lock/opencryptoki /var/lib/opencryptoki; do
    mkdir -p -m 0770 $folder/swtok
    chown -R root:pkcs11 $folder
  done
  mkdir -m 0770 /var/lib/opencryptoki/swtok/TOK_OBJ
  chown root:pkcs11 /var/lib/opencryptoki/swtok/TOK_OBJ
  [ -d /var/lock/opencryptoki ] || mkdir -p /var/lock/opencryptoki/swtok
  exec pkcsslotd -f
`;

export const openCryptokiSetup: TokenSetup = {
  name: 'openCryptoki',
  packages: ['opencryptoki', 'opensc', 'util-linux'],
  lacks: {
    'P-256': 'no such keys',
    'P-384': 'no such keys',
    'P-521': 'no such keys',
    Ed25519: 'no such keys',
    Ed448: 'no such keys',
  },
  unavailable: () =>
    missing(['libopencryptoki.so.0'], ['pkcsslotd', 'pkcsconf', 'pkcs11-tool', 'unshare', 'nsenter'], true),
  start: () =>
    makeBed(async (bench) => {
      const daemon = bench.adopt(
        new Child('pkcsslotd', 'unshare', ['--mount', '--ipc', '--propagation', 'private', 'sh', '-c', DAEMON]),
      );
      const inside = ['--target', `${daemon.pid}`, '--mount', '--ipc', '--'];
      const tool = (...command: string[]): Promise<string> => run('nsenter', [...inside, ...command]);
      await waitForSocket(daemon, () => tool('test', '-S', '/run/pkcsslotd.socket'));
      await run('nsenter', [...inside, 'pkcsconf', '-I', '-c', SLOT], { input: `${FIRST_SO_PIN}\nock\n` });
      await tool('pkcsconf', '-P', '-c', SLOT, '-S', FIRST_SO_PIN, '-n', `1${SO_PIN.slice(1)}`);
      // the first user PIN is the SO's; the user has to change it
      await tool('pkcsconf', '-u', '-c', SLOT, '-S', `1${SO_PIN.slice(1)}`, '-n', '12345678');
      await tool('pkcsconf', '-p', '-c', SLOT, '-U', '12345678', '-n', PIN);
      const modulePath = library('libopencryptoki.so.0');
      const keys: BedKey[] = [];
      for (const [index, name] of RSA_KEYS.entries()) {
        const key = createPrivateKey(await readFile(bench.recipe(`${name}.pem`)));
        const der = await bench.write(`${name}.der`, key.export({ type: 'pkcs8', format: 'der' }));
        await tool(
          ...['pkcs11-tool', '--module', modulePath, '--slot', SLOT, '--login', '--pin', PIN],
          ...['--write-object', der, '--type', 'privkey', '--label', name, '--id', `0${index + 1}`],
        );
        keys.push(await recipeKey(bench, name, `token=ock;object=${name}`));
      }
      const launcher = await bench.write(
        'node',
        `#!/bin/sh\nexec nsenter ${inside.join(' ')} '${process.execPath}' "$@"\n`,
      );
      await chmod(launcher, 0o700);
      return { modulePath, keys, pin: PIN, launcher };
    }),
};

async function waitForSocket(daemon: Child, probe: () => Promise<string>): Promise<void> {
  while (!daemon.ended) {
    const there = await probe().then(
      () => true,
      () => false,
    );
    if (there) return;
  }
  throw new Error(daemon.transcript);
}
