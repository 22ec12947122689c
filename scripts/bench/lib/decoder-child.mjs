// Reads streams of the management interface with a checkout's built decoder: decoder-child.mjs CHECKOUT. Prints seconds as JSON.
import { join } from 'node:path';
import { median } from './statistics.mjs';

const [checkout] = process.argv.slice(2);
const built = await import(join(checkout, 'dist/management/index.js'));
const { LineDecoder, NotificationAssembler, parseStatus } = built;

const ROUNDS = 5;
const LINES = 100_000;
const CHUNK = 64 * 1024;

const log = (index) =>
  `>LOG:17000${10000 + index},I,MANAGEMENT: CMD 'status 3' and some more text of a usual length\r\n`;
const state = (index) => `>STATE:17000${10000 + index},CONNECTED,SUCCESS,10.8.0.6,203.0.113.1,1194,192.0.2.2,51234\r\n`;
const client = (index) => `${clientCells(index).join('\t')}\r\n`;
const STREAMS = {
  '>LOG lines': log,
  '>STATE lines': state,
  'a client table’s lines': client,
  'all of them mixed': (index) => [log, state, client][index % 3](index),
};

function clientCells(index) {
  const addresses = [`client-${index}`, `203.0.113.1:${index}`, '10.8.0.6', ''];
  const since = ['2026-11-23 10:00:00', 1795428000, 'UNDEF'];
  return ['CLIENT_LIST', ...addresses, 123456, 654321, ...since, index, index, 'AES-256-GCM'];
}

/** What a program does that only needs the lines: decode, split, keep the rest. */
function split(chunks) {
  let rest = '';
  let lines = 0;
  for (const chunk of chunks) {
    const parts = (rest + chunk.toString('utf8')).split('\r\n');
    rest = parts.pop();
    lines += parts.length;
  }
  return lines;
}

function decode(chunks) {
  const decoder = new LineDecoder();
  let lines = 0;
  for (const chunk of chunks)
    decoder.push(chunk, () => {
      lines += 1;
    });
  return lines;
}

function parse(chunks) {
  const decoder = new LineDecoder();
  const assembler = new NotificationAssembler();
  let lines = 0;
  for (const chunk of chunks) {
    decoder.push(chunk, (line) => {
      lines += 1;
      if (line.text.startsWith('>')) assembler.push(line.text, false, () => undefined);
    });
  }
  return lines;
}

/** The median time of each kind of work, which take turns; they must find the same. */
function times(kinds, input) {
  const found = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const counts = new Set();
    for (const [kind, work] of Object.entries(kinds)) {
      const began = performance.now();
      counts.add(work(input));
      found[kind].push((performance.now() - began) / 1000);
    }
    if (counts.size !== 1) throw new Error(`found ${[...counts].join(' and ')}`);
  }
  return Object.fromEntries(Object.entries(found).map(([kind, values]) => [kind, median(values)]));
}

function chunksOf(bytes) {
  return Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, at) =>
    bytes.subarray(at * CHUNK, (at + 1) * CHUNK),
  );
}

const results = {};
for (const [name, line] of Object.entries(STREAMS)) {
  const bytes = Buffer.from(Array.from({ length: LINES }, (_, index) => line(index)).join(''));
  results[name] = times({ split, decode, parse }, chunksOf(bytes));
}

const CLIENT_COLUMNS =
  'Common Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent\tConnected Since\t' +
  'Connected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher';
const table = [
  'TITLE\tx',
  'TIME\tx\t1',
  `HEADER\tCLIENT_LIST\t${CLIENT_COLUMNS}`,
  ...Array.from({ length: 10_000 }, (_, index) => client(index).trimEnd()),
  'HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref\tLast Ref (time_t)',
  'GLOBAL_STATS\tMax bcast/mcast queue length\t0',
  'END',
];
const cells = (lines) => lines.map((line) => line.split('\t')).filter(([first]) => first === 'CLIENT_LIST').length;
results['status 3 of 10,000 clients'] = times(
  { split: cells, decode: (lines) => parseStatus(lines).clients.length },
  table,
);
console.log(JSON.stringify(results));
