#!/usr/bin/env node
// Compares this checkout's build with another's, in one run: start (until it connects to a waiting daemon), latency of a
// signature with a P-256 key in a file, memory. Both take turns, so that a busy machine is busy for both.
//
//   scripts/bench-against /path/to/another/checkout [ROUNDS]
import { spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [other, rounds = '7'] = process.argv.slice(2);
if (other === undefined) {
  console.error('bench-against: name another checkout, built by npm run build');
  process.exit(2);
}
const BUILDS = { other: resolve(other), this: resolve(import.meta.dirname, '..') };
const WARM_UP = 100;
const REQUESTS = 400;

const folder = mkdtempSync(join(tmpdir(), 'pksigd-bench-'));
const key = join(folder, 'key.pem');
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(key, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** One start, and its requests. Times in milliseconds, memory in MiB. */
async function measure(checkout) {
  const path = join(folder, `${randomBytes(4).toString('hex')}.sock`);
  const server = createServer();
  await new Promise((done) => server.listen(path, done));
  const connected = new Promise((done) => server.once('connection', done));
  const began = performance.now();
  const main = join(checkout, 'bin/pksigd.cjs');
  const child = spawn(process.execPath, [main, 'run', '--management', path, 'unix', '--key', key], { stdio: 'ignore' });
  const socket = await connected;
  const start = performance.now() - began;
  let heard = '';
  let wake = () => undefined;
  socket.on('data', (chunk) => {
    heard += chunk;
    wake();
  });
  const until = async (text) => {
    while (!heard.includes(text)) await new Promise((done) => (wake = done));
    heard = '';
  };
  socket.write(">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n");
  await until('version 3\n');
  const times = [];
  for (let request = 0; request < WARM_UP + REQUESTS; request += 1) {
    const data = createHash('sha256').update(String(request)).digest('base64');
    const asked = performance.now();
    socket.write(`>PK_SIGN:${data},ECDSA\r\n`);
    await until('END\n');
    if (request >= WARM_UP) times.push(performance.now() - asked);
    socket.write('SUCCESS: pk-sig command succeeded\r\n');
  }
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const memory = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill();
  await ended;
  server.close();
  return { start, latency: median(times), memory };
}

const found = { other: [], this: [] };
for (let round = 0; round < Number(rounds); round += 1) {
  for (const build of round % 2 === 0 ? ['other', 'this'] : ['this', 'other']) {
    found[build].push(await measure(BUILDS[build]));
  }
}
rmSync(folder, { recursive: true });
for (const what of ['start', 'latency', 'memory']) {
  const of = (build) => median(found[build].map((one) => one[what]));
  const unit = what === 'memory' ? 'MiB' : 'ms';
  const ratio = (of('this') / of('other')).toFixed(2);
  console.log(
    `${what}: ${of('other').toFixed(2)} ${unit} before, ${of('this').toFixed(2)} ${unit} now: ${ratio} times`,
  );
}
