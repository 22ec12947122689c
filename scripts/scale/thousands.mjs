// npm run scale:thousands -- [--tunnels 5000] [--hostile 10]
//
// One agent with a configured tunnel to each of thousands of scripted daemons (unix sockets, a key in a file): how long until all
// are connected, what it holds for each, what it does while nobody asks, how long a reload takes, and how long the others' requests
// take while some daemons flood it or don't read what it answers.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { residentOf } from '../bench/lib/processes.mjs';

const { values: flags } = parseArgs({
  options: { tunnels: { type: 'string', default: '5000' }, hostile: { type: 'string', default: '10' } },
});
const TUNNELS = Number(flags.tunnels);
const HOSTILE = Number(flags.hostile);
const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";
const STATE =
  'SUCCESS: real-time state notification set to ON\r\n1700000000,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,,\r\nEND\r\n';
const REQUEST = `>PK_SIGN:${Buffer.alloc(32, 7).toString('base64')},ECDSA\r\n`;
const FLOOD = `>LOG:1700000000,I,${'x'.repeat(200)}\r\n`.repeat(300);
const ASKED = 300;

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'pksigd-thousands-'));
const at = (...names) => join(folder, ...names);
const log = at('log');

/** A scripted daemon: greets, says that each command succeeded, and takes the time of an answer. */
class Daemon {
  connections = 0;
  #socket;
  #heard = '';
  #answered;

  static async listen(name) {
    const daemon = new Daemon();
    const server = createServer((socket) => daemon.#take(socket));
    await new Promise((resolve) => server.listen(at('run', `${name}.sock`), resolve));
    return daemon;
  }

  #take(socket) {
    this.connections += 1;
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.write(GREETING);
    socket.on('data', (data) => {
      this.#heard += data.toString('latin1');
      const lines = this.#heard.split('\n');
      this.#heard = lines.pop();
      for (const line of lines) this.#line(line);
    });
  }

  #line(line) {
    if (this.#answered) {
      if (line === 'END') {
        this.#socket.write('SUCCESS: pk-sig command succeeded\r\n');
        this.#answered();
        this.#answered = undefined;
      }
      return;
    }
    if (line.startsWith('version ')) return;
    if (line === 'state on 1') {
      this.#socket.write(STATE);
      return;
    }
    this.#socket.write(`SUCCESS: ${line} command succeeded\r\n`);
  }

  /** @returns milliseconds until the whole answer has come */
  async ask() {
    const asked = performance.now();
    const answered = new Promise((resolve) => (this.#answered = resolve));
    this.#socket.write(REQUEST);
    await answered;
    return performance.now() - asked;
  }

  /** Sends as much as the agent takes, as long as this connection lives. */
  flood() {
    const socket = this.#socket;
    const go = () => {
      while (!socket.destroyed && socket.write(FLOOD));
    };
    socket.on('drain', go);
    go();
  }

  /** Asks again and again, and reads none of the answers, as long as this connection lives. */
  stopReading() {
    const socket = this.#socket;
    socket.pause();
    const asking = setInterval(() => socket.writableLength < 1e6 && socket.write(REQUEST), 10);
    socket.on('close', () => clearInterval(asking));
  }
}

function configuration(change) {
  const parts = [
    `[key.one]\nkey = "${at('key.pem')}"\n[state]\ndirectory = "${at('state')}"\n[agent]\ncontrol = "none"\n`,
  ];
  for (let index = 0; index < TUNNELS; index += 1) {
    parts.push(`[tunnel.t${index}]\nmanagement = "${at('run', `${index}.sock`)} unix"\n`);
    if (index < change) parts.push('on-token-removal = "restart"\n');
  }
  return parts.join('');
}

function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function until(what, isSo) {
  const started = performance.now();
  while (!isSo()) {
    if (performance.now() - started > 120_000) throw new Error(`not within two minutes: ${what}`);
    await sleep(20);
  }
  return (performance.now() - started) / 1000;
}

const said = (text) => readFileSync(log, 'utf8').split(text).length - 1;

async function latencies(daemons) {
  const times = [];
  for (let count = 0; count < ASKED; count += 1) {
    times.push(await daemons[Math.floor(Math.random() * daemons.length)].ask());
    await sleep(2);
  }
  times.sort((a, b) => a - b);
  return { p50: times[ASKED / 2], p99: times[Math.floor(ASKED * 0.99)] };
}

async function main() {
  for (const name of ['run', 'state']) mkdirSync(at(name), { mode: 0o700 });
  const key = ['genpkey', '-quiet', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at('key.pem')];
  process.umask(0o077);
  execFileSync('openssl', key);
  writeFileSync(at('agent.toml'), configuration(0));
  const daemons = [];
  for (let index = 0; index < TUNNELS; index += 1) daemons.push(await Daemon.listen(index));
  const [first] = daemons;
  const connected = (times) => daemons.every(({ connections }) => connections >= times);

  const output = openSync(log, 'a');
  const agent = spawn(process.execPath, [join(checkout, 'bin/pksigd.cjs'), 'run', '--config', at('agent.toml')], {
    stdio: ['ignore', 'ignore', output],
  });
  try {
    await until('one connection', () => daemons.some(({ connections }) => connections > 0));
    const start = await until('all connections', () => connected(1));
    await until('the key', () => said('key ready') > 0);
    await first.ask();
    console.log(
      `${TUNNELS} connected ${start.toFixed(1)} s after the first; ${cpuOf(agent.pid).toFixed(1)} s CPU since the start`,
    );
    // at first each daemon is asked for its state
    await sleep(40_000);
    const before = cpuOf(agent.pid);
    await sleep(10_000);
    const idle = (cpuOf(agent.pid) - before) * 10;
    console.log(`at rest: ${(residentOf(agent.pid) / 1e6).toFixed(0)} MB, ${idle.toFixed(1)} % CPU`);

    const quiet = await latencies(daemons.slice(HOSTILE));
    for (const [index, daemon] of daemons.slice(0, HOSTILE).entries())
      index % 2 ? daemon.flood() : daemon.stopReading();
    await sleep(1000);
    const loud = await latencies(daemons.slice(HOSTILE));
    const ratio = (what) => (loud[what] / quiet[what]).toFixed(1);
    console.log(
      `beside ${HOSTILE} hostile daemons a request takes ${ratio('p50')} (p50), ${ratio('p99')} (p99) times as long; ` +
        `p99 ${loud.p99.toFixed(1)} ms`,
    );

    /** Tunnels from `from` up to `change` change. */
    const reload = async (text, from, change) => {
      writeFileSync(at('agent.toml'), configuration(change));
      const reloads = said('reloaded:');
      const counts = daemons.map(({ connections }) => connections);
      const cpu = cpuOf(agent.pid);
      process.kill(agent.pid, 'SIGHUP');
      const changes = (index) => index >= from && index < change;
      const seconds = await until('the reload', () => said('reloaded:') > reloads);
      await until('all connections', () =>
        daemons.every(({ connections }, index) => connections > counts[index] || !changes(index)),
      );
      await sleep(500);
      const disturbed = daemons.filter(({ connections }, index) => !changes(index) && connections !== counts[index]);
      console.log(
        `reload, ${text}: ${seconds.toFixed(1)} s, ${(cpuOf(agent.pid) - cpu).toFixed(1)} s CPU, ` +
          `${disturbed.length} others disturbed`,
      );
    };
    await reload('nothing changed', 0, 0);
    await reload('100 changed', 0, 100);
    await reload('all others changed', 100, TUNNELS);
    await sleep(3000);
    console.log(
      `after it: ${(residentOf(agent.pid) / 1e6).toFixed(0)} MB; p99 ${(await latencies(daemons)).p99.toFixed(1)} ms`,
    );
    const stopped = performance.now();
    agent.kill('SIGTERM');
    const [code] = await new Promise((resolve) => agent.once('exit', (...all) => resolve(all)));
    console.log(`ends with ${code} within ${((performance.now() - stopped) / 1000).toFixed(1)} s`);
  } finally {
    agent.kill('SIGKILL');
    if (process.env['KEEP'] === undefined) rmSync(folder, { recursive: true, force: true });
    else console.log(folder);
  }
}

await main();
process.exit();
