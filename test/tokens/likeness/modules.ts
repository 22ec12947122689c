import { build } from 'esbuild';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { Bench } from '../../support/bench.ts';
import { mount } from '../../simulation/disk.ts';
import { enter, Kernel } from '../../simulation/kernel.ts';
import { type SimulatedKey, simulatedKeys } from '../../simulation/keys.ts';
import { ModuleFile, modules } from '../../simulation/module.ts';
import simulatedPkcs11js from '../../simulation/node/pkcs11js.ts';
import { furnishedDisk, modulePath } from '../../simulation/settings.ts';
import { Token } from '../../simulation/token.ts';
import { run } from '../setup/token-bed.ts';
import { Calls, LABEL, type Module, PIN } from './calls.ts';
import type { Script } from './scripts.ts';

const LABEL_OF_TOKEN = 'token0';

function keyOf(type: SimulatedKey['type']): SimulatedKey {
  const key = simulatedKeys().find((each) => each.type === type);
  if (!key) throw new Error(`no ${type} key`);
  return key;
}

/** Bundles what makes the calls of a real module. @returns its file */
export async function bundleCalls(folder: string): Promise<string> {
  const outfile = join(folder, 'calls.mjs');
  const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'error' } as const;
  await build({ ...common, entryPoints: [join(import.meta.dirname, 'main.ts')], outfile, external: ['pkcs11js'] });
  return outfile;
}

/** Makes the calls of SoftHSM, with a token of its own that holds the same key. @param program of `bundleCalls` */
export async function callReal(bench: Bench, script: Script, program: string): Promise<string[]> {
  const key = keyOf(script.key);
  const recipe = join(import.meta.dirname, '../../../softhsm/softhsm2.conf.in');
  const conf = (await readFile(recipe, 'utf8')).replaceAll('@FOLDER@', bench.folder);
  const env = { SOFTHSM2_CONF: await bench.write('softhsm2.conf', conf) };
  await mkdir(bench.path('tokens'));
  const module = inject('softhsmModule');
  const pem = await bench.write('key.pem', key.pem);
  const init = ['--init-token', '--free', '--label', LABEL_OF_TOKEN, '--so-pin', PIN, '--pin', PIN];
  await run('softhsm2-util', init, { env });
  if (script.alwaysAuthenticates === true) {
    const login = ['--module', module, '--token-label', LABEL_OF_TOKEN, '--login', '--pin', PIN];
    const write = (file: string, type: string, ...more: string[]): Promise<string> =>
      run('pkcs11-tool', [...login, '--write-object', file, '--type', type, '--id', '01', '--label', LABEL, ...more], {
        env,
      });
    await write(pem, 'privkey', '--always-auth', '--usage-sign');
    const spki = await bench.write('key.pub', key.publicKey.export({ format: 'der', type: 'spki' }));
    await write(spki, 'pubkey', '--usage-sign');
  } else {
    const place = ['--token', LABEL_OF_TOKEN, '--label', LABEL, '--id', '01', '--pin', PIN];
    await run('softhsm2-util', ['--import', pem, ...place], { env });
  }
  const spki = key.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  return JSON.parse(await run(process.execPath, [program, module, script.name, spki], { env })) as string[];
}

/** Makes them of the simulated module. */
export function callSimulated(script: Script): string[] {
  const kernel = new Kernel(1, false);
  enter(kernel);
  mount(furnishedDisk());
  try {
    const key = keyOf(script.key);
    const token = new Token({
      ...{ label: LABEL_OF_TOKEN, serial: 'A0', pin: PIN, key, isRemovable: false, showsTries: true },
      alwaysAuthenticates: script.alwaysAuthenticates === true,
    });
    modules.set(modulePath(0), new ModuleFile([token]));
    const module = new simulatedPkcs11js.PKCS11();
    module.load(modulePath(0));
    const calls = new Calls({ module: module as unknown as Module, publicKey: key.publicKey });
    script.make(calls);
    return calls.transcript;
  } finally {
    modules.clear();
    enter(undefined);
    mount(undefined);
  }
}
