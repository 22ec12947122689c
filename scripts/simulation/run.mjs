#!/usr/bin/env node
// Runs simulated worlds: see docs/SIMULATION.md.
//   scripts/simulation/run.mjs --seeds 2000 [--from 1] [--logs FOLDER]   many; what fails is minimised, its log kept
//   scripts/simulation/run.mjs --seed 17 [--whole]                       one, with its log; one that fails is minimised first
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleSimulation } from './bundle.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    whole: { type: 'boolean', default: false },
    seeds: { type: 'string', default: process.env.SIMULATION_SEEDS ?? '2000' },
    from: { type: 'string', default: '1' },
    logs: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});

/** How many failures are told in full. */
const MOST_TOLD = 5;

async function runOne({ planOf, runPlan, minimised, story }, seed) {
  const whole = planOf(seed);
  const isFailing = (await runPlan(whole)).violations.length > 0;
  const plan = isFailing && !values.whole ? await minimised(whole) : whole;
  console.log(story(plan, await runPlan(plan, true)));
  return isFailing ? 1 : 0;
}

async function runMany({ planOf, runPlan, minimised, story }, from, count) {
  const started = performance.now();
  const counts = new Map();
  let [failed, events] = [0, 0];
  for (let seed = from; seed < from + count; seed += 1) {
    const plan = planOf(seed);
    const outcome = await runPlan(plan);
    events += outcome.events;
    for (const [what, times] of outcome.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    if (outcome.violations.length === 0) continue;
    failed += 1;
    console.log(`seed ${seed}: ${outcome.violations[0].slice(0, 500)}`);
    if (values.quick || failed > MOST_TOLD) continue;
    const least = await minimised(plan);
    const text = story(least, await runPlan(least, true));
    if (values.logs === undefined) console.log(text);
    else writeFileSync(join(values.logs, `seed-${seed}.log`), text);
  }
  for (const [what, times] of [...counts].sort()) console.log(`${String(times).padStart(9)} ${what}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${count} seeds from ${from} on, ${failed} failed, ${events} events, ${seconds} s`);
  return failed > 0 ? 1 : 0;
}

const folder = mkdtempSync(join(import.meta.dirname, '../../node_modules/.simulation-'));
try {
  process.setSourceMapsEnabled(true);
  const simulation = await bundleSimulation(folder);
  if (values.logs !== undefined) mkdirSync(values.logs, { recursive: true });
  process.exitCode =
    values.seed === undefined
      ? await runMany(simulation, Number(values.from), Number(values.seeds))
      : await runOne(simulation, Number(values.seed));
} finally {
  rmSync(folder, { recursive: true });
}
