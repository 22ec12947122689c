#!/usr/bin/env node
// npm run bench: everything that is measured, each beside something that makes the ratio worth quoting. Needs npm run build
// before, and scripts/bench/setup.
//
//   run.mjs [--only NAME]... [--quick] [--against FOLDER] [--node PATH] [--cpu N] [--realtime] [--tunnels N]
//           [--wait SECONDS] [--out FOLDER]
//
// A whole run writes docs/PERFORMANCE.md, and beside it performance.json and performance.svg; --out says another folder, and
// writes what --only chose too. --against is another checkout, built: its pksigd takes turns with ours. --node is another Node
// for pksigd. --quick is for seeing that all works. --realtime is for a busy machine: what is measured goes ahead of all else
// on its CPU (root may); but what an agent does behind its answer then counts too, since its daemon does not interrupt it.
// --tunnels is how many daemons the agent at rest has, beside 1 and 1,000; --wait how long an agent waits for its daemon before
// a handshake.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { burst, throughput } from './lib/throughput.mjs';
import { decoder } from './lib/decoder.mjs';
import { handshake } from './lib/handshake.mjs';
import { latency } from './lib/latency.mjs';
import { memory } from './lib/memory.mjs';
import { relay } from './lib/relay.mjs';
import { rowText, write } from './lib/report.mjs';
import { start } from './lib/start.mjs';
import { steps } from './lib/steps.mjs';
import { CHECKOUT, Workshop } from './lib/workshop.mjs';

const MEASURES = [latency, throughput, burst, start, memory, handshake, relay, steps, decoder];

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    against: { type: 'string' },
    node: { type: 'string' },
    cpu: { type: 'string' },
    realtime: { type: 'boolean', default: false },
    tunnels: { type: 'string', default: '1000' },
    wait: { type: 'string', default: '12' },
    out: { type: 'string' },
  },
});
const measures = MEASURES.filter(({ name }) => flags.only === undefined || flags.only.includes(name));
if (measures.length === 0) throw new Error(`--only: none of ${MEASURES.map(({ name }) => name).join(', ')}`);

const keys = [...new Set(measures.flatMap((measure) => measure.keys))];
const workshop = new Workshop({ cpu: flags.cpu, node: flags.node, realtime: flags.realtime, keys });
const bench = {
  workshop,
  against: flags.against,
  tunnels: Number(flags.tunnels),
  wait: Number(flags.wait),
  rounds: (usual) => (flags.quick ? 1 : usual),
  say: (row) => console.log(rowText(row)),
};
const results = [];
try {
  for (const { name, title, says, measure } of measures) {
    console.log(`\n== ${name}: ${title}`);
    results.push({ name, title, says, rows: await measure(bench) });
  }
} finally {
  await workshop.close();
}
const isWhole = flags.only === undefined && !flags.quick && flags.against === undefined;
const folder = flags.out ?? (isWhole ? join(CHECKOUT, 'docs') : undefined);
if (folder !== undefined) write(folder, results, workshop.node);
