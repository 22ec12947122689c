#!/usr/bin/env node
// Breaks a room of src in all the small ways that Stryker knows, one at a time, and looks whether a test fails:
//   npm run mutate -- ROOM [--fresh] [--only FILE]   a room of rooms.mjs, or FILE of it alone; what is known from the last time is
//                                                    not tried again, unless --fresh. FILE may be several, {a,b}.ts
//   npm run mutate -- ROOM --quick                   without its slow tests
//   npm run mutate -- ROOM --known                   what its last run has found, without another
//   npm run mutate -- --page                         writes the page anew and runs nothing
// Writes the figures of the room's files into figures.json, and of these and survivors.json docs/MUTATION.md. Fails where less than LEAST of a
// room's mutants are seen, or one that is not has no explanation.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, matchesGlob } from 'node:path';
import { parseArgs } from 'node:util';
import { writePage } from './page.mjs';
import { ROOMS } from './rooms.mjs';

const HERE = import.meta.dirname;
const ROOT = join(HERE, '../..');
/** Files that tests make lie in memory, where a sync takes no time. */
const MEMORY = '/dev/shm';
const FIGURES = join(HERE, 'figures.json');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fresh: { type: 'boolean', default: false },
    only: { type: 'string' },
    page: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    known: { type: 'boolean', default: false },
  },
});
const [room] = positionals;
if (!values.page && !ROOMS[room]) {
  console.error(`which room? one of: ${Object.keys(ROOMS).join(', ')}`);
  process.exit(2);
}

/** coverage/ is left out by git and by all checks. */
const workOf = (name) => {
  const tried = [name, values.only ?? []].flat().join('-');
  return `coverage/mutation/${tried.replaceAll(/[^\w.]+/g, '-')}`;
};

function run(command, args, env = {}) {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } });
  return status === 0;
}

/** Files that a run is of: those without a mutant, as of types alone, too. */
const namesOf = (name) =>
  ROOMS[name].folders
    .flatMap((folder) => readdirSync(join(ROOT, 'src', folder)))
    .filter((file) => matchesGlob(file, values.only ?? '*.ts'));

/** Runs Stryker, with the slow tests or without. @returns the mutants, as they came out */
function mutantsOf(name, isSlow) {
  // without the peers, vitest: it is the repository's
  const install = ['ci', '--prefix', HERE, '--legacy-peer-deps', '--no-audit', '--no-fund', '--silent'];
  if (!existsSync(join(HERE, 'node_modules')) && !run('npm', install)) process.exit(1);
  const work = workOf(name);
  mkdirSync(join(ROOT, work), { recursive: true });
  const report = `${work}/report.json`;
  const files = ROOMS[name].folders.map((folder) => `src/${folder}/${values.only ?? '*.ts'}`);
  const options = {
    mutate: files,
    testRunner: 'vitest',
    vitest: { configFile: 'scripts/mutation/vitest.config.mjs', related: false },
    plugins: ['@stryker-mutator/vitest-runner', join(HERE, 'error-texts.mjs')],
    ignorers: ['error-texts'],
    // what runs once, when a file is loaded: tables, of which each mutant would take all tests
    ignoreStatic: true,
    coverageAnalysis: 'perTest',
    concurrency: 1,
    timeoutMS: 10_000,
    timeoutFactor: 3,
    // the first run, on a busy machine
    dryRunTimeoutMinutes: 30,
    incremental: true,
    incrementalFile: `${work}/incremental.json`,
    reporters: ['json', 'progress-append-only'],
    jsonReporter: { fileName: report },
    tempDirName: `${work}/sandbox`,
    ignorePatterns: ['coverage', 'dist', 'site', 'scripts', '!scripts/mutation/*.mjs', 'debian', 'softhsm'],
    checkers: [],
    disableTypeChecks: false,
  };
  const config = join(ROOT, work, 'stryker.json');
  const stryker = join(HERE, 'node_modules/.bin/stryker');
  writeFileSync(config, JSON.stringify({ ...options, force: values.fresh && !isSlow }));
  const env = {
    MUTATION_ROOM: name,
    MUTATION_SLOW: isSlow ? 'yes' : 'no',
    ...(existsSync(MEMORY) && { TMPDIR: MEMORY }),
  };
  if (!values.known && !run(process.execPath, [stryker, 'run', config], env)) process.exit(1);
  return Object.entries(JSON.parse(readFileSync(join(ROOT, report), 'utf8')).files).flatMap(
    ([file, { source, mutants }]) => {
      const lines = source.split('\n');
      return mutants.map(({ status, statusReason, location: { start, end }, mutatorName, replacement }) => ({
        status,
        isLate: status === 'Timeout' || /timed out in \d+ms/.test(statusReason ?? ''),
        file: file.replace(/^src\//, ''),
        line: start.line,
        code: lines[start.line - 1].trim(),
        from: textAt(lines, start, end),
        mutator: mutatorName,
        to: replacement,
      }));
    },
  );
}

function textAt(lines, start, end) {
  if (start.line !== end.line) return `${lines[start.line - 1].slice(start.column - 1)} …`;
  return lines[start.line - 1].slice(start.column - 1, end.column - 1);
}

/** What is kept of a file: how many came out how, and those that no test saw. */
function figuresOf(mutants) {
  const count = (...statuses) => mutants.filter(({ status }) => statuses.includes(status)).length;
  const survivors = mutants.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
  return {
    killed: count('Killed', 'Timeout'),
    // of these, by taking too long: on a busy machine some for nothing
    late: mutants.filter(({ isLate }) => isLate).length,
    survived: count('Survived'),
    unreached: count('NoCoverage'),
    // static, and texts of errors
    leftOut: count('Ignored'),
    // nothing runs any more, which no test has to see
    broken: count('RuntimeError', 'CompileError'),
    survivors: survivors.map(({ file, line, code, from, mutator, to }) => ({ file, line, code, from, mutator, to })),
  };
}

const known = () => (existsSync(FIGURES) ? JSON.parse(readFileSync(FIGURES, 'utf8')) : {});
/** With quick tests first, as most mutants are seen by these; of what was tried before little is left. */
function passes() {
  if (values.quick || values.known || !(ROOMS[room].slow?.length > 0)) return [false];
  return existsSync(join(ROOT, workOf(room), 'incremental.json')) && !values.fresh ? [true] : [false, true];
}

for (const isSlow of values.page ? [] : passes()) {
  const mutants = mutantsOf(room, isSlow);
  const files = Object.fromEntries(
    namesOf(room).map((name) => [name, figuresOf(mutants.filter(({ file }) => basename(file) === name))]),
  );
  if (values.only) {
    for (const { file, line, from, to } of Object.values(files).flatMap(({ survivors }) => survivors))
      console.log(`src/${file}:${line}: ${from} -> ${to}`);
    for (const [file, { killed, survived, unreached }] of Object.entries(files))
      console.log(`${file}: ${killed} seen, ${survived} survived, ${unreached} not reached`);
  }
  const figures = known();
  // sums of all files, from before each had its own: one file's can't be told from them
  if (values.only && figures[room] && !figures[room].files) {
    console.log(`${room} has figures of a whole run alone: these are not written`);
    continue;
  }
  const before = values.only ? figures[room]?.files : {};
  writeFileSync(
    FIGURES,
    `${JSON.stringify({ ...figures, [room]: { files: { ...before, ...files } } }, undefined, 1)}\n`,
  );
}
process.exitCode = writePage(known(), room) ? 0 : 1;
