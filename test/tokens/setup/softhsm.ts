import { mkdir } from 'node:fs/promises';
import { inject } from 'vitest';
import { KEYS, type Bench } from '../../support/bench.ts';
import { Child } from '../../support/child.ts';
import { findTool, library, makeBed, missing, recipeKey, type BedParts, type TokenSetup } from './token-bed.ts';

/** The run's SoftHSM token, copied: where all modules that stand before another get their keys. */
export async function softHsm(bench: Bench): Promise<BedParts> {
  const environment = { SOFTHSM2_CONF: await bench.token() };
  const keys = await Promise.all(KEYS.map((name) => recipeKey(bench, name, `token=pksigd;object=${name}`)));
  return { modulePath: inject('softhsmModule'), environment, keys, pin: await bench.pin() };
}

const softhsmTools = ['softhsm2-util', 'pkcs11-tool'];

export const softHsmSetup: TokenSetup = {
  name: 'SoftHSM',
  packages: ['softhsm2', 'opensc'],
  unavailable: () => missing(['libsofthsm2.so'], softhsmTools),
  start: () => makeBed(softHsm),
};

/** pkcs11-spy writes all calls and arguments, PINs too, into the file `spy.log` of the bed's folder. */
export const spySetup: TokenSetup = {
  name: 'pkcs11-spy',
  packages: ['opensc', 'softhsm2'],
  unavailable: () => missing(['pkcs11-spy.so', 'libsofthsm2.so'], softhsmTools),
  start: () =>
    makeBed(async (bench) => {
      const inner = await softHsm(bench);
      const environment = {
        ...inner.environment,
        PKCS11SPY: inner.modulePath,
        PKCS11SPY_OUTPUT: bench.path('spy.log'),
      };
      return { ...inner, modulePath: library('pkcs11-spy.so'), environment };
    }),
};

/** Starts p11-kit's server in front of the bench's SoftHSM token. */
export async function startP11KitServer(bench: Bench): Promise<Child> {
  const socket = bench.path('p11-kit.socket');
  const server = bench.adopt(
    new Child(
      'p11-kit server',
      findTool('p11-kit') ?? 'p11-kit',
      ['server', '--provider', inject('softhsmModule'), '--foreground', '--name', socket, 'pkcs11:token=pksigd'],
      { env: { SOFTHSM2_CONF: await bench.token(), XDG_RUNTIME_DIR: bench.folder } },
    ),
  );
  await server.logged(/P11_KIT_SERVER_ADDRESS=/);
  return server;
}

export const p11KitClientSetup: TokenSetup = {
  name: 'p11-kit-client',
  lacks: { Ed25519: 'its RPC drops EDDSA', Ed448: 'its RPC drops EDDSA' },
  packages: ['p11-kit', 'p11-kit-modules', 'softhsm2'],
  unavailable: () => missing(['p11-kit-client.so', 'libsofthsm2.so'], [...softhsmTools, 'p11-kit', 'p11-kit-server']),
  start: () =>
    makeBed(async (bench) => {
      const inner = await softHsm(bench);
      const daemon = await startP11KitServer(bench);
      const environment = { P11_KIT_SERVER_ADDRESS: `unix:path=${bench.path('p11-kit.socket')}` };
      return { ...inner, modulePath: library('p11-kit-client.so'), environment, daemon };
    }),
};

/** Where p11-kit reads which modules there are, if root asks: of packages, and the administrator's. */
const MODULE_FILES = '/usr/share/p11-kit/modules';
const ADMINISTRATORS = '/etc/pkcs11';

/** Stands in for node in a mount namespace where p11-kit finds the modules in `folder` and no others. */
async function withModulesOf(bench: Bench, folder: string): Promise<string> {
  await mkdir(bench.path('none'));
  const script = `
    mount --bind '${folder}' ${MODULE_FILES}
    [ ! -d ${ADMINISTRATORS} ] || mount --bind '${bench.path('none')}' ${ADMINISTRATORS}
    exec '${process.execPath}' "$@"
  `;
  const text = `#!/bin/sh\nexec unshare --mount --propagation private sh -ec '${script.replaceAll("'", String.raw`'\''`)}' node "$@"\n`;
  return await bench.write('node', text, 0o700);
}

export const p11KitProxySetup: TokenSetup = {
  name: 'p11-kit-proxy',
  packages: ['p11-kit', 'p11-kit-modules', 'softhsm2'],
  unavailable: () => missing(['p11-kit-proxy.so', 'libsofthsm2.so'], softhsmTools, process.getuid?.() === 0),
  start: () =>
    makeBed(async (bench) => {
      const inner = await softHsm(bench);
      const modules = bench.path('pkcs11/modules');
      await mkdir(modules, { recursive: true });
      await bench.write('pkcs11/modules/softhsm2.module', `module: ${inner.modulePath}\n`);
      const parts = { ...inner, modulePath: library('p11-kit-proxy.so') };
      // root gets the system's modules, whatever a machine has: some are other tests', some break the proxy's signatures
      if (process.getuid?.() === 0) return { ...parts, launcher: await withModulesOf(bench, modules) };
      await bench.write('pkcs11/pkcs11.conf', 'user-config: only\n');
      return { ...parts, environment: { ...inner.environment, XDG_CONFIG_HOME: bench.folder } };
    }),
};
