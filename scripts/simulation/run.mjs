#!/usr/bin/env node
// Runs simulated worlds: see docs/SIMULATION.md.
//   scripts/simulation/run.mjs --seeds 2000 [--from 1] [--jobs 2] [--logs FOLDER]   many; what fails is minimised, its log kept
//   scripts/simulation/run.mjs --seed 17 [--whole]                       one, with its log; one that fails is minimised first
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { wholeNumber } from '../lib/whole-number.mjs';
import { bundleSimulation, loadSimulation } from './bundle.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    whole: { type: 'boolean', default: false },
    seeds: { type: 'string', default: process.env.SIMULATION_SEEDS ?? '2000' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    logs: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** For the processes that this one starts: where the bundle is, and the number of seeds from one to its next. */
    bundle: { type: 'string' },
    step: { type: 'string', default: '1' },
  },
});
const [from, seeds, jobs, step] = ['from', 'seeds', 'jobs', 'step'].map((name) =>
  wholeNumber(`--${name}`, values[name]),
);
const one = values.seed === undefined ? undefined : wholeNumber('--seed', values.seed);

/** How many failures each process tells in full. */
const MOST_TOLD = 5;

async function runOne({ planOf, runPlan, minimised, story }, seed) {
  const whole = planOf(seed);
  const isFailing = (await runPlan(whole)).violations.length > 0;
  const plan = isFailing && !values.whole ? await minimised(whole) : whole;
  console.log(story(plan, await runPlan(plan, true)));
  return isFailing ? 1 : 0;
}

/** Told to end, it ends behind the worlds that run, and tells of all so far. */
function onEnd(end) {
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, end);
}

/** One of several processes: tells its parent of each world that fails, and at the end of all. */
async function work({ planOf, runPlan, minimised, story }) {
  const counts = new Map();
  let [done, failed, events] = [0, 0, 0];
  let isOver = false;
  onEnd(() => (isOver = true));
  for (let seed = from; seed < from + seeds && !isOver; seed += step) {
    done += 1;
    const plan = planOf(seed);
    const outcome = await runPlan(plan);
    events += outcome.events;
    for (const [what, times] of outcome.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    if (outcome.violations.length === 0) continue;
    failed += 1;
    process.send({ seed, violation: outcome.violations[0].slice(0, 500) });
    if (values.quick || failed > MOST_TOLD) continue;
    const least = await minimised(plan);
    process.send({ seed, text: story(least, await runPlan(least, true)) });
  }
  process.send({ counts: [...counts], done, events, failed });
  process.disconnect();
}

async function runMany(folder) {
  const started = performance.now();
  const begun = Math.min(jobs, seeds);
  const counts = new Map();
  let [done, failed, events, ended] = [0, 0, 0, 0];
  const hear = (message) => {
    if (message.violation !== undefined) console.log(`seed ${message.seed}: ${message.violation}`);
    if (message.text !== undefined) {
      if (values.logs === undefined) console.log(message.text);
      else writeFileSync(join(values.logs, `seed-${message.seed}.log`), message.text);
    }
    if (message.counts === undefined) return;
    ended += 1;
    done += message.done;
    failed += message.failed;
    events += message.events;
    for (const [what, times] of message.counts) counts.set(what, (counts.get(what) ?? 0) + times);
  };
  const run = async (index) => {
    const args = ['--bundle', folder, '--from', String(from + index), '--seeds', String(seeds - index)];
    const child = fork(import.meta.filename, [...args, '--step', String(jobs), ...(values.quick ? ['--quick'] : [])]);
    child.on('message', hear);
    onEnd(() => child.kill());
    // what it said last may be read behind its end
    await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  };
  await Promise.all(Array.from({ length: begun }, (_, index) => run(index)));
  for (const [what, times] of [...counts].sort()) console.log(`${String(times).padStart(9)} ${what}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${done} seeds from ${from} on, ${failed} failed, ${events} events, ${seconds} s in ${begun} processes`);
  if (ended < begun) console.log(`${begun - ended} processes did not come to their end`);
  return failed > 0 || ended < begun ? 1 : 0;
}

if (values.bundle !== undefined) {
  process.setSourceMapsEnabled(true);
  await work(await loadSimulation(values.bundle));
} else {
  const folder = mkdtempSync(join(import.meta.dirname, '../../node_modules/.simulation-'));
  try {
    process.setSourceMapsEnabled(true);
    const simulation = await bundleSimulation(folder);
    if (values.logs !== undefined) mkdirSync(values.logs, { recursive: true });
    process.exitCode = one === undefined ? await runMany(folder) : await runOne(simulation, one);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
