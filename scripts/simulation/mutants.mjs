#!/usr/bin/env node
// Breaks the agent, one way at a time (mutants.json), and looks whether simulated worlds fail for it: the proof that they see.
//   scripts/simulation/mutants.mjs [--seeds 5000] [--only TEXT]
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleSimulation } from './bundle.mjs';

const ROOT = join(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '5000' }, only: { type: 'string', default: '' } },
});
const all = JSON.parse(readFileSync(join(import.meta.dirname, 'mutants.json'), 'utf8'));

/** The texts of the files that a mutant changes. */
function mutantOf({ what, file, from, to, also = [] }) {
  const texts = new Map();
  for (const change of [{ file, from, to }, ...also]) {
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
    for (let seed = 1; seed <= Number(values.seeds); seed += 1) {
      const { violations } = await runPlan(planOf(seed));
      if (violations.length > 0) return { seed, violation: violations[0].split('\n')[0].slice(0, 110) };
    }
    return undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

let missed = 0;
const chosen = all.filter(({ what }) => what.includes(values.only));
for (const mutant of chosen) {
  const caught = await caughtBy(mutant);
  if (!caught) missed += 1;
  const by = caught ? `seed ${caught.seed}: ${caught.violation}` : 'NOT SEEN';
  console.log(`${mutant.what}\n    ${by}`);
}
console.log(`${chosen.length - missed} of ${chosen.length} mutants seen within ${values.seeds} seeds`);
process.exitCode = missed > 0 ? 1 : 0;
