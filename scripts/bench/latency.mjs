#!/usr/bin/env node
// From a request's line to the answer's end, beside the least that signs in C (agent.c). All agents take turns, on one CPU;
// signatures are verified when the clock has stopped. Only the ratios are worth quoting. Needs npm run build before, and
// scripts/bench/setup. Between two requests is a pause, as a daemon doesn't ask again at once; --pause 0 goes without. On
// a busy machine --realtime helps: what is measured goes ahead of all else on its CPU (root may).
//
//   latency.mjs [--only 'softhsm p256 digest']... [--rounds N] [--each N] [--pause MICROSECONDS] [--against FOLDER]
//               [--node PATH] [--cpu N] [--realtime] [--json FILE]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { agents, C, VERIFYING_C } from './lib/agents.mjs';
import { measureLatency, PAUSE, SUBJECTS } from './lib/latency.mjs';
import { table } from './lib/table.mjs';
import { Workshop } from './lib/workshop.mjs';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string', default: '15' },
    each: { type: 'string' },
    pause: { type: 'string', default: `${PAUSE}` },
    against: { type: 'string' },
    node: { type: 'string' },
    cpu: { type: 'string' },
    realtime: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const wanted = flags.only.map((words) => words.split(' '));
const isWanted = ({ name }) =>
  wanted.length === 0 || wanted.some((words) => words.every((word) => name.includes(word)));
const subjects = SUBJECTS.filter(isWanted);
if (subjects.length === 0) throw new Error(`--only: none of ${SUBJECTS.map(({ name }) => name).join(', ')}`);

const compared = agents(flags.against);
const workshop = new Workshop({
  cpu: flags.cpu,
  node: flags.node,
  realtime: flags.realtime,
  keys: [...new Set(subjects.map(({ key }) => key))],
});
const results = {};
try {
  for (const subject of subjects) {
    const each = flags.each === undefined ? subject.each : Number(flags.each);
    const options = { rounds: Number(flags.rounds), each, pause: Number(flags.pause) };
    results[subject.name] = await measureLatency(workshop, compared, subject, options);
    console.log(`${text(subject.name, results[subject.name])}\n`);
  }
} finally {
  await workshop.close();
}
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(results, undefined, 2)}\n`);

function text(name, result) {
  const head = [name, 'p50 us', 'p90', 'p99', 'CPU us', 'to C: p50', 'p99', 'CPU', 'to C, verifies: p50', 'p99', 'CPU'];
  const rows = Object.entries(result).map(([agent, { p50, p90, p99, cpu, to }]) => [
    `  ${agent}`,
    ...[p50, p90, p99, cpu].map((value) => value.toFixed(0)),
    ...[C, VERIFYING_C].flatMap((base) => ['p50', 'p99', 'cpu'].map((what) => to[base][what].toFixed(2))),
  ]);
  return table([head, ...rows]);
}
