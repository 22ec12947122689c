#!/usr/bin/env node
// Breaks the agent, one way at a time (mutants.json), and looks whether simulated worlds fail for it: the proof that they see.
//   scripts/simulation/mutants.mjs [--seeds 5000] [--from 1] [--only TEXT] [--jobs 2] [--write]
// --write puts the table into docs/SIMULATION.md.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { wholeNumber } from '../lib/whole-number.mjs';
import { bundleSimulation } from './bundle.mjs';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = join(ROOT, 'docs/SIMULATION.md');
const [BEGIN, END] = ['<!-- written by npm run simulate:mutants -- --write -->', '<!-- end of what is written -->'];
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5000' },
    from: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
    write: { type: 'boolean', default: false },
    /** For the processes that this one starts: which mutant, by its number. */
    mutant: { type: 'string' },
  },
});
const [from, seeds, jobs] = ['from', 'seeds', 'jobs'].map((name) => wholeNumber(`--${name}`, values[name]));
const all = JSON.parse(readFileSync(join(import.meta.dirname, 'mutants.json'), 'utf8'));

/** The texts of the files that a mutant changes. */
function mutantOf({ what, file, from: original, to, also = [] }) {
  const texts = new Map();
  for (const change of [{ file, from: original, to }, ...also]) {
    const text = texts.get(change.file) ?? readFileSync(join(ROOT, change.file), 'utf8');
    if (!text.includes(change.from)) throw new Error(`'${what}': ${change.file} does not have ${change.from}`);
    texts.set(
      change.file,
      text.replace(change.from, () => change.to),
    );
  }
  return texts;
}

async function caughtBy(mutant) {
  const folder = mkdtempSync(join(ROOT, 'node_modules/.simulation-'));
  try {
    const { planOf, runPlan } = await bundleSimulation(folder, mutantOf(mutant));
    for (let seed = from; seed < from + seeds; seed += 1) {
      const { violations } = await runPlan(planOf(seed));
      if (violations.length > 0) return { seed, violation: violations[0].split('\n')[0].slice(0, 110) };
    }
    return undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** In a process of its own. */
async function runOne(number) {
  const args = ['--seeds', values.seeds, '--from', values.from, '--mutant', String(number)];
  const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = [];
  for await (const line of createInterface(child.stdout)) lines.push(line);
  const last = lines.at(-1);
  if (last === undefined) throw new Error(`'${all[number].what}' could not be run`);
  return JSON.parse(last).caught;
}

function write(results) {
  const rows = all.map(({ what }, number) => {
    const caught = results.get(number);
    return `| ${what} | ${caught ? caught.seed - from + 1 : `not within ${seeds}`} | ${caught ? caught.violation.replaceAll('|', '\\|') : ''} |`;
  });
  const table = ['| what is broken | seeds | what did not hold |', '|---|---|---|', ...rows].join('\n');
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${PAGE} does not say where the table stands`);
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${table}\n\n${END}${after}`);
}

if (values.mutant !== undefined) {
  console.log(JSON.stringify({ caught: await caughtBy(all[Number(values.mutant)]) }));
} else {
  const waiting = [...all.keys()].filter((number) => all[number].what.includes(values.only));
  const chosen = waiting.length;
  const results = new Map();
  const work = async () => {
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) {
      const caught = await runOne(number);
      results.set(number, caught);
      const by = caught ? `${caught.seed - from + 1} seeds: ${caught.violation}` : 'NOT SEEN';
      console.log(`${all[number].what}\n    ${by}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const missed = [...results.values()].filter((caught) => !caught).length;
  console.log(`${chosen - missed} of ${chosen} mutants seen within ${seeds} seeds`);
  if (values.write && chosen === all.length) write(results);
  process.exitCode = missed > 0 || chosen === 0 ? 1 : 0;
}
