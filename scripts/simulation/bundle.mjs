// Bundles the simulation: the agent's own code, with test/simulation/node in place of Node's modules wherever src imports them.
import { build } from 'esbuild';
import { existsSync, readFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
const SIMULATION = join(ROOT, 'test/simulation');
const SRC = join(ROOT, 'src') + sep;

/** node:fs/promises to test/simulation/node/fs-promises.ts; what is not there is Node's own. */
const substitute = (name) => join(SIMULATION, 'node', `${name.replace(/^node:/, '').replaceAll(/[/_]/g, '-')}.ts`);

const nodeModules = {
  name: 'node-modules',
  setup({ onResolve }) {
    onResolve({ filter: /^(?:node:.*|pkcs11js)$/ }, ({ path, importer }) => {
      if (!importer.startsWith(SRC)) return undefined;
      const place = substitute(path);
      return existsSync(place) ? { path: place } : undefined;
    });
  },
};

/** @param mutant what files of src say instead, by their paths */
const sources = (mutant) => ({
  name: 'sources',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (!path.startsWith(SRC)) return undefined;
      const text = mutant?.get(relative(ROOT, path)) ?? readFileSync(path, 'utf8');
      return { contents: text.replaceAll('import.meta.url', '"file:///opt/pksigd/program/main.cjs"'), loader: 'ts' };
    });
  },
});

const COMMON = { bundle: true, platform: 'node', target: 'node20', logLevel: 'error', absWorkingDir: ROOT };
const DEFINE = {
  'AbortSignal.any': 'abortAny',
  'AbortSignal.timeout': 'abortTimeout',
  'process.memoryUsage.rss': 'hostMemory',
};

const filesIn = (folder) => [join(folder, 'world.mjs'), join(folder, 'agent.cjs')];

/**
 * Writes the world to a file that can be imported, whose exports are those of test/simulation/main.ts, and the agent beside it:
 * its code is run anew for each process of the world.
 */
export async function bundleSimulation(folder, mutant) {
  const [world, agent] = filesIn(folder);
  await Promise.all([
    build({
      ...COMMON,
      entryPoints: [join(SIMULATION, 'main.ts')],
      outfile: world,
      format: 'esm',
      sourcemap: 'inline',
      external: ['node-forge'],
      inject: [join(SIMULATION, 'node/globals.ts')],
      define: DEFINE,
      plugins: [nodeModules, sources(mutant)],
    }),
    build({
      ...COMMON,
      entryPoints: [join(SIMULATION, 'agent-entry.ts')],
      outfile: agent,
      format: 'cjs',
      external: ['node-forge', 'pkcs11js'],
      define: DEFINE,
      plugins: [sources(mutant)],
    }),
  ]);
  return await loadSimulation(folder);
}

/** What was bundled there before, by another process. */
export async function loadSimulation(folder) {
  const [world, agent] = filesIn(folder);
  process.env.SIMULATION_AGENT = agent;
  process.env.SIMULATION_RSA_KEYS = join(SIMULATION, 'rsa-keys.pem');
  return await import(world);
}
