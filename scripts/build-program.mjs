#!/usr/bin/env node
// Makes dist/program: the command and the module host, a file each, with all that they import. One file starts in a fraction of
// the time that hundreds take. Not made smaller by shorter names: stack traces stay readable.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

process.chdir(join(import.meta.dirname, '..'));
const FOLDER = 'dist/program';
/** Packages that stay outside: an addon that is compiled where it runs, and what only PKCS#12 files take. */
const EXTERNAL = ['pkcs11js', 'node-forge'];

/**
 * Files of their own in the same folder: whoever wants no metrics, or nothing explained, does not read them.
 */
const OWN_FILES = {
  'prom-client': 'prom-client',
  './explanations/index.ts': 'explanations',
};
const ownFile = {
  name: 'own-file',
  setup({ onResolve }) {
    onResolve({ filter: /^(prom-client|\.\/explanations\/index\.ts)$/ }, ({ importer, path }) =>
      importer === '' ? undefined : { path: `./${OWN_FILES[path]}.cjs`, external: true },
    );
  },
};

/** `import.meta.url` as it would be if the file were on its own in dist. */
function withOwnUrl(source, path) {
  if (!source.includes('import.meta.url')) return source;
  const place = relative(FOLDER, path.replace(`${resolve('src')}/`, `${resolve('dist')}/`));
  const url = `new URL(${JSON.stringify(place)}, require('node:url').pathToFileURL(__filename)).href`;
  return source.replaceAll('import.meta.url', url);
}

const DOOR = /(?:index|internal)\.ts$/;

/** What a list in braces names: `[what it is called there, what it is called here]`. */
const named = (list) =>
  list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && !name.startsWith('type '))
    .map((name) => name.split(/ as /))
    .map(([theirs, ours = theirs]) => [theirs, ours]);

/** The files behind a door: `{ name: [the file, its name there] }`. */
function behind(door) {
  const files = {};
  for (const [, list, from] of readFileSync(door, 'utf8').matchAll(/^export \{([^}]*)\} from '([^']+)';/gm)) {
    const file = resolve(dirname(door), from);
    const further = DOOR.test(file) ? behind(file) : undefined;
    for (const [theirs, ours] of named(list)) files[ours] = further?.[theirs] ?? [file, theirs];
  }
  return files;
}

/**
 * Imports through a room's door as imports of the files behind it: a bundle runs all that a door exports as soon as anything of
 * it is wanted, and a start need not wait for what it never uses.
 */
function withoutDoors(source, path) {
  const throughDoor = (line, from, make) => {
    const door = resolve(dirname(path), from);
    return DOOR.test(door) ? make(behind(door)) : line;
  };
  return source
    .replace(/^import \{([^}]*)\} from '(\.[^']+)';/gm, (line, list, from) =>
      throughDoor(line, from, (files) =>
        named(list)
          .map(([theirs, ours]) => [...files[theirs], ours])
          .map(([file, name, ours]) => `import { ${name} as ${ours} } from ${JSON.stringify(file)};`)
          .join(' '),
      ),
    )
    .replace(/\bconst \{ (\w+) \} = await import\('(\.[^']+)'\);/g, (line, ours, from) =>
      throughDoor(line, from, ({ [ours]: [file, name] }) => {
        return `const { ${name}: ${ours} } = await import(${JSON.stringify(file)});`;
      }),
    );
}

const ownSources = {
  name: 'own-sources',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
      contents: withoutDoors(withOwnUrl(readFileSync(path, 'utf8'), path), path),
      loader: 'ts',
    }));
  },
};

/**
 * What pino has for writing by itself, which it does not do here: the log goes out by LineSink. Without it, Node need not load
 * its assertions and workers.
 */
const NOTHING = "class Nothing { constructor() { throw new Error('pino does not write by itself here'); } }";
const UNUSED_BY_PINO = {
  'sonic-boom': `module.exports = ${NOTHING}`,
  'thread-stream': `module.exports = ${NOTHING}`,
  worker_threads: 'exports.isMainThread = true',
};
const slimPino = {
  name: 'slim-pino',
  setup({ onResolve, onLoad }) {
    const names = new RegExp(`^(${Object.keys(UNUSED_BY_PINO).join('|')})$`);
    onResolve({ filter: names }, ({ path, importer }) =>
      /node_modules\/pino\//.test(importer) ? { path, namespace: 'unused' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({ contents: UNUSED_BY_PINO[path] }));
  },
};

/** Modules of Node that many a start never uses: loaded when something of them is first called. */
const LATER = ['node:child_process', 'node:dns/promises'];
const later = `(name => new Proxy({}, { get: (_, key) => require(name)[key] }))`;

/** @param path of a bundle */
function loadLater(path) {
  const source = readFileSync(path, 'utf8');
  const names = LATER.join('|');
  writeFileSync(path, source.replace(new RegExp(`=\\s*require\\(("(?:${names})")\\)`, 'g'), `=${later}($1)`));
}

async function bundle(entry, name, define = {}) {
  const { metafile } = await build({
    entryPoints: { [name]: entry },
    outdir: FOLDER,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external: EXTERNAL,
    // a third less to read; lines stay short enough for a stack trace to tell something
    minifyWhitespace: true,
    lineLimit: 160,
    // require() is quicker
    supported: { 'dynamic-import': false },
    // the packages' licences are written below, whole
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    plugins: [ownSources, slimPino, ownFile],
    define,
  });
  loadLater(join(FOLDER, `${name}.cjs`));
  return Object.keys(metafile.inputs);
}

const inputs = [
  ...(await bundle('src/cli/program.ts', 'program')),
  ...(await bundle('src/pkcs11/host/process/main.ts', 'module-host')),
];
inputs.push(...(await bundle('prom-client', 'prom-client')));
inputs.push(...(await bundle('./src/cli/explanations/index.ts', 'explanations')));
// the file's name says what is in it: V8 tells code that it compiled only by the length of its source
const program = join(FOLDER, 'program.cjs');
const digest = createHash('sha256').update(readFileSync(program)).digest('hex').slice(0, 16);
renameSync(program, join(FOLDER, `program-${digest}.cjs`));
inputs.push(...(await bundle('src/cli/main.ts', 'main', { PROGRAM: JSON.stringify(`program-${digest}.cjs`) })));

/** The folders of the packages that went in. */
const packages = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []));
const licences = [...packages].toSorted().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} comes without its licence's text`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
writeFileSync(join(FOLDER, 'LICENCES'), licences.join(`\n${'-'.repeat(72)}\n\n`));
