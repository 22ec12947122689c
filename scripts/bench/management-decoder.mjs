#!/usr/bin/env node
// Throughput of the management interface's decoder, against splitting alone on the same bytes in the same run:
// only the ratios are worth quoting. Reads the built package: npm run build first.
// Usage: management-decoder.mjs [ROUNDS]
import { LineDecoder, NotificationAssembler, parseStatus } from '../../dist/management/index.js';

const rounds = Number(process.argv[2] ?? 15);
const CHUNK = 64 * 1024;

const log = (index) =>
  `>LOG:17000${10000 + index},I,MANAGEMENT: CMD 'status 3' and some more text of a usual length\r\n`;
const state = (index) => `>STATE:17000${10000 + index},CONNECTED,SUCCESS,10.8.0.6,203.0.113.1,1194,192.0.2.2,51234\r\n`;
const client = (index) =>
  [
    'CLIENT_LIST',
    `client-${index}`,
    `203.0.113.1:${index}`,
    '10.8.0.6',
    '',
    123456,
    654321,
    '2026-11-23 10:00:00',
    1795428000,
    'UNDEF',
    index,
    index,
    'AES-256-GCM',
  ].join('\t') + '\r\n';
const streams = {
  log: (index) => log(index),
  state: (index) => state(index),
  status: (index) => client(index),
  mixed: (index) => [log, state, client][index % 3](index),
};

const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
const time = (work) => {
  const start = process.hrtime.bigint();
  const lines = work();
  return { seconds: Number(process.hrtime.bigint() - start) / 1e9, lines };
};
const chunksOf = (bytes) =>
  Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, at) => bytes.subarray(at * CHUNK, (at + 1) * CHUNK));

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

console.log(
  'stream   bytes/line   split Mline/s  decode Mline/s (MB/s)  x split   with notifications Mline/s  x split',
);
for (const [name, line] of Object.entries(streams)) {
  const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, index) => line(index)).join(''));
  const chunks = chunksOf(bytes);
  const times = { split: [], decode: [], parse: [] };
  let count = 0;
  for (let round = 0; round < rounds; round += 1) {
    // interleaved, so that whatever else the machine does meets all of them
    for (const [key, work] of [
      ['split', split],
      ['decode', decode],
      ['parse', parse],
    ]) {
      const { seconds, lines } = time(() => work(chunks));
      if (count !== 0 && lines !== count) throw new Error(`${key} found ${lines} lines, not ${count}`);
      count = lines;
      times[key].push(seconds);
    }
  }
  const [s, d, p] = [times.split, times.decode, times.parse].map(median);
  const rate = (seconds) => (count / seconds / 1e6).toFixed(2);
  console.log(
    [
      name.padEnd(8),
      (bytes.length / count).toFixed(0).padStart(10),
      rate(s).padStart(15),
      `${rate(d).padStart(15)} (${(bytes.length / d / 1e6).toFixed(0)})`,
      (d / s).toFixed(2).padStart(12),
      rate(p).padStart(28),
      (p / s).toFixed(2).padStart(8),
    ].join(' '),
  );
}

const table = [
  'TITLE\tx',
  'TIME\tx\t1',
  'HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher',
  ...Array.from({ length: 10_000 }, (_, index) => client(index).trimEnd()),
  'HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref\tLast Ref (time_t)',
  'GLOBAL_STATS\tMax bcast/mcast queue length\t0',
  'END',
];
const times = [];
for (let round = 0; round < rounds; round += 1) times.push(time(() => parseStatus(table).clients.length).seconds);
console.log(`status 3 of 10,000 clients, parsed: ${(median(times) * 1000).toFixed(1)} ms`);
