// npm run soak -- [--minutes 60] [--tunnels 50] [--seed N] [--out FOLDER]
//
// Real OpenVPN clients, which renegotiate every few seconds, with one agent and one token: relay, policy and audit on, and a fault
// every few seconds. Writes soak.json and soak.svg: handshakes, failures by cause, memory, descriptors, and how long the agent
// takes to say that it lives, over time; and what a client said last that is not up at the end. Exits with 1 if a request failed
// that no fault explains, a tunnel is not up at the end, the audit log does not verify, or memory or descriptors have grown.
import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { residentOf, treeOf } from '../bench/lib/processes.mjs';
import { CHECKOUT, Field, MODULE, section } from '../scale/lib/field.mjs';
import { random } from '../lib/random.mjs';
import { plot } from './plot.mjs';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    tunnels: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    out: { type: 'string', default: '.' },
  },
});
const MILLISECONDS = Number(flags.minutes) * 60_000;
const FIRST_PORT = 23_000;
const RENEGOTIATE = 7;
/** Milliseconds between faults, and until nothing is to be left of one: OpenVPN asks again, a token is logged into anew. */
const [FAULT_EVERY, FAULT_LASTS] = [8_000, 30_000];
/** Milliseconds between looks at the agent; its first minutes, in which code is compiled and caches fill, are not judged. */
const [LOOK_EVERY, SETTLED] = [2_000, 120_000];
/** Milliseconds without faults at the end. */
const PEACE = 45_000;
/** Growth of memory over the time that is judged, as a share of it, that is still noise. */
const NOISE = 0.1;
const KEYS = ['p256', 'rsa2048'];
/**
 * Each notices within seconds that the other has gone. A server of one client forgets a handshake that came to nothing before
 * the client begins the next one: else it answers the old one for ever.
 */
const ALIVE = ['--ping', '2', '--ping-restart', '8', '--hand-window', '5'];

const field = new Field('soak');
const names = Array.from({ length: Number(flags.tunnels) }, (_, index) => `t${index}`);
const keyOf = (name) => KEYS[names.indexOf(name) % KEYS.length];
const portOf = (name) => FIRST_PORT + names.indexOf(name);
const relayOf = (name) => field.at('run', `relay-${name}.sock`);
const clients = new Map();
const servers = new Map();
const began = Date.now();

const below = random(Number(flags.seed));
const pick = (list) => list[below(list.length)];

const configuration = () =>
  [
    section('log', { level: 'info' }),
    section('token', { 'pin-source': field.at('pin'), module: MODULE }),
    section('state', { directory: field.at('state') }),
    section('agent', { control: field.at('run/control.sock'), metrics: `${field.at('run/metrics.sock')} unix` }),
    section('audit', { file: field.at('audit.jsonl'), sync: 'interval', 'rotate-size': '1M' }),
    ...KEYS.map((key) => section(`key.${key}`, { key: `pkcs11:token=pksigd;object=${key}`, rate: 6000 })),
    ...names.map((name) =>
      section(`tunnel.${name}`, {
        key: keyOf(name),
        management: `${field.at('run', `${name}.sock`)} unix`,
        relay: `${relayOf(name)} unix`,
        'relay-keep': true,
        rate: 600,
      }),
    ),
  ].join('\n');

function startClient(name) {
  clients.set(
    name,
    field.startClient(name, portOf(name), { key: keyOf(name), renegotiate: RENEGOTIATE, further: ALIVE }),
  );
}

function startServer(name) {
  servers.set(name, field.startServer(name, portOf(name), ALIVE));
}

const hostsOf = (agent) => treeOf(agent.pid).filter((pid) => commandOf(pid).includes('module-host'));

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return ''; // it has just ended
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {
    // it has just ended
  }
}

async function stopped(pid, milliseconds) {
  signal(pid, 'SIGSTOP');
  await sleep(milliseconds);
  signal(pid, 'SIGCONT');
}

/** Restarts an openvpn, killed or told to end. */
async function restarted(processes, name, start, how) {
  const child = processes.get(name);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(how);
  await gone;
  await sleep(500);
  start(name);
}

/** What a fault does; `what` says what it was done to. */
const FAULTS = {
  'a module host killed': async (agent) => hostsOf(agent).forEach((pid) => signal(pid, 'SIGKILL')),
  'a module host stopped for 3 s': async (agent) => Promise.all(hostsOf(agent).map((pid) => stopped(pid, 3_000))),
  'the token away for 3 s': async () => {
    renameSync(field.at('token/tokens'), field.at('token/away'));
    await sleep(3_000);
    renameSync(field.at('token/away'), field.at('token/tokens'));
  },
  'a client killed': async () => restarted(clients, pick(names), startClient, 'SIGKILL'),
  'a client ended': async () => restarted(clients, pick(names), startClient, 'SIGTERM'),
  'a client told to reconnect': async () => clients.get(pick(names)).kill('SIGUSR1'),
  'a client stopped for 5 s': async () => stopped(clients.get(pick(names)).pid, 5_000),
  'a server killed': async () => restarted(servers, pick(names), startServer, 'SIGKILL'),
  'a reload': async (agent) => agent.kill('SIGHUP'),
  'PINs forgotten': async () => pksigd('forget', '--control', field.at('run/control.sock')),
  'a relay client that asks, and one that goes at once': async () => {
    const [one, other] = [pick(names), pick(names)].map((name) => connect(relayOf(name)).on('error', () => undefined));
    one.write('pid\nstatus\nstate on\nnonsense\n');
    other.write('pk-sig\nAAAA\nEND\n');
    other.end();
    await sleep(2_000);
    one.destroy();
  },
};

const pksigd = async (...args) =>
  promisify(execFile)(process.execPath, [join(CHECKOUT, 'bin/pksigd.cjs'), ...args], { maxBuffer: 64 * 1024 * 1024 });

/** Milliseconds until the agent says that it lives: as long as its event loop was busy, and a little more. */
async function delay() {
  const since = performance.now();
  await new Promise((resolve, reject) => {
    get({ socketPath: field.at('run/metrics.sock'), path: '/healthz' }, (answer) =>
      answer.resume().on('end', resolve),
    ).on('error', reject);
  });
  return performance.now() - since;
}

async function look(agent) {
  return {
    at: (Date.now() - began) / 1000,
    megabytes: residentOf(agent.pid) / 1e6,
    descriptors: readdirSync(`/proc/${agent.pid}/fd`).length,
    hosts: hostsOf(agent).length,
    delay: await delay(),
  };
}

/** The line through the points (least squares): by how much it rises over their time, beside their mean. */
function growth(points) {
  const mean = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const over = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0);
  const under = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  return ((over / under) * (points.at(-1)[0] - points[0][0])) / y;
}

async function faults(agent, until, done) {
  while (Date.now() < until) {
    const what = pick(Object.keys(FAULTS));
    const fault = { what, from: (Date.now() - began) / 1000 };
    done.push(fault);
    await FAULTS[what](agent);
    fault.to = (Date.now() - began) / 1000;
    await sleep(FAULT_EVERY);
  }
}

/** Its last word on it is that it is connected. */
const isUp = (name) => {
  const log = field.logOf(`client-${name}`);
  return log.lastIndexOf('Peer Connection Initiated') > log.lastIndexOf('process restarting');
};
const count = (text, pattern) => text.match(pattern)?.length ?? 0;

/** What became of requests: by outcome and code, and those that no fault explains. */
function outcomesOf(lines, done) {
  const outcomes = {};
  const unexplained = [];
  for (const { msg, code, time, tunnel, error } of lines) {
    if (!['signed', 'failed', 'refused', 'dropped'].includes(msg)) continue;
    const name = code === undefined ? msg : `${msg} ${code}`;
    outcomes[name] = (outcomes[name] ?? 0) + 1;
    if (msg !== 'failed' && msg !== 'refused') continue;
    const at = (Date.parse(time) - began) / 1000;
    if (!done.some(({ from, to }) => at >= from && at <= (to ?? Infinity) + FAULT_LASTS / 1000))
      unexplained.push({ at, tunnel, code, error });
  }
  return { outcomes, unexplained };
}

async function main() {
  field.makeToken(...KEYS);
  const agent = field.startAgent('agent', configuration());
  for (const name of names) {
    startServer(name);
    startClient(name);
  }
  await sleep(10_000);
  const [looks, done] = [[], []];
  const storm = faults(agent, began + MILLISECONDS - PEACE, done);
  while (Date.now() < began + MILLISECONDS) {
    looks.push(await look(agent));
    await sleep(LOOK_EVERY);
  }
  await storm;
  const lines = field.linesOf('agent');
  const { outcomes, unexplained } = outcomesOf(lines, done);
  const handshakes = names.reduce(
    (sum, name) => sum + count(field.logOf(`server-${name}`), /Control Channel: TLS/g),
    0,
  );
  const down = names.filter((name) => !isUp(name));
  const ended = new Promise((resolve) => agent.once('exit', resolve));
  agent.kill('SIGTERM');
  const code = await ended;
  const logs = readdirSync(field.folder).filter((name) => name.startsWith('audit.jsonl'));
  const verified = await pksigd(
    'audit',
    'verify',
    ...logs.map((name) => field.at(name)),
    '--state-directory',
    field.at('state'),
  )
    .then(({ stdout }) => stdout.trim())
    .catch(({ stdout, stderr }) => `FAILED: ${stdout}${stderr}`);
  const settled = looks.filter(({ at }) => at * 1000 > SETTLED);
  const judged = settled.length > 10 ? settled : looks;
  const result = {
    seed: flags.seed,
    minutes: Number(flags.minutes),
    tunnels: names.length,
    handshakes,
    faults: counted(done.map(({ what }) => what)),
    outcomes,
    unexplained,
    down: Object.fromEntries(
      down.map((name) => [name, field.logOf(`client-${name}`).trimEnd().split('\n').slice(-12)]),
    ),
    ended: code,
    audit: verified,
    growth: {
      megabytes: growth(judged.map(({ at, megabytes }) => [at, megabytes])),
      descriptors: growth(judged.map(({ at, descriptors }) => [at, descriptors])),
    },
    delay: percentiles(looks.map((each) => each.delay)),
    looks,
  };
  writeFileSync(join(flags.out, 'soak.json'), `${JSON.stringify(result)}\n`);
  writeFileSync(join(flags.out, 'soak.svg'), plot(looks, done));
  const { looks: _, ...told } = result;
  console.log(JSON.stringify(told, null, 2));
  const isGrown = Object.values(result.growth).some((share) => share > NOISE);
  return unexplained.length === 0 && down.length === 0 && code === 0 && !verified.startsWith('FAILED') && !isGrown;
}

function counted(list) {
  const counts = {};
  for (const each of list) counts[each] = (counts[each] ?? 0) + 1;
  return counts;
}

function percentiles(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share) => Number(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(1));
  return { p50: at(0.5), p99: at(0.99), most: at(1) };
}

try {
  execFileSync('openvpn', ['--version'], { stdio: 'ignore' });
} catch (error) {
  if (error.code === 'ENOENT') throw new Error('openvpn is not installed: scripts/setup', { cause: error });
}
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  field.close();
}
