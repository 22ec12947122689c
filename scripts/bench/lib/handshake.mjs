// Real handshakes of a real OpenVPN client with a real server on the loopback: from the client's start to `Peer Connection
// Initiated`. (`Initialization Sequence Completed` waits for a timer of a second where no server pushes.)
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pksigds } from './agents.mjs';
import { inTurns, median, medianRatio } from './statistics.mjs';
import { logOf } from './workshop.mjs';

const KEYS = ['rsa2048', 'p256'];
const PLAIN = 'a key file';
const BUILT_IN = 'built-in PKCS#11';
/** Seconds that an agent which was just started gets before its daemon comes. */
const JUST_STARTED = 1.5;
const COMMON = ['--dev', 'null', '--ifconfig-noexec', '--verb', '3', '--dh', 'none', '--machine-readable-output'];

export const handshake = {
  name: 'handshake',
  title: 'A tunnel’s handshake',
  says:
    'From the start of `openvpn` to “Peer Connection Initiated”, with pksigd and the key in SoftHSM; beside OpenVPN’s built-in ' +
    'PKCS#11 with the same key (whose PIN comes over the management interface), and beside a key file. Agent, client and ' +
    'server share one CPU.',
  keys: KEYS,
  async measure(bench) {
    const rows = [];
    for (const key of KEYS) {
      for (const row of await measureKey(bench, key)) {
        rows.push(row);
        bench.say(row);
      }
    }
    return rows;
  },
};

async function measureKey({ workshop, against, wait, rounds }, key) {
  const ways = {
    [PLAIN]: () => client(workshop, [...certificate(workshop, key), '--key', workshop.keyFile(key)]),
    [BUILT_IN]: () => builtIn(workshop, key),
  };
  const started = [];
  const times = rounds(8);
  for (const [name, agent] of Object.entries(pksigds(against))) {
    const start = (socket, listen) => {
      const child = workshop.start(agent(workshop, { home: 'softhsm', key, socket, listen }));
      started.push(child);
      return child;
    };
    // one that listens serves all rounds, one after the other; one that connects has waited only once
    const listening = workshop.fresh('socket');
    start(listening, true);
    const waiting = Array.from({ length: times }, () => {
      const socket = workshop.fresh('socket');
      return { socket, child: start(socket, false) };
    });
    const connect = async ({ socket, child }) => {
      const took = await client(workshop, external(workshop, key, socket, false));
      await workshop.stop(child);
      return took;
    };
    ways[`${name} listens`] = () => client(workshop, external(workshop, key, listening, true));
    ways[`${name} connects, there for ${JUST_STARTED} s`] = async () => {
      const socket = workshop.fresh('socket');
      const child = start(socket, false);
      await sleep(JUST_STARTED * 1000);
      return connect({ socket, child });
    };
    ways[`${name} connects, there for ${wait} s`] = (round) => connect(waiting[round]);
  }
  const found = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  try {
    await sleep(wait * 1000);
    await inTurns(Object.keys(ways), times, async (name, round) => found[name].push(await ways[name](round)));
  } finally {
    await Promise.all(started.map((child) => workshop.stop(child)));
  }
  return Object.keys(ways)
    .filter((name) => name !== PLAIN && name !== BUILT_IN)
    .map((name) => ({
      what: `${key}: ${name}`,
      cells: {
        [BUILT_IN]: { value: medianRatio(found[name], found[BUILT_IN]), atMost: 1 },
        [PLAIN]: { value: medianRatio(found[name], found[PLAIN]) },
      },
      raw: { milliseconds: median(found[name]), [BUILT_IN]: median(found[BUILT_IN]), [PLAIN]: median(found[PLAIN]) },
    }));
}

function certificate(workshop, key) {
  return ['--cert', workshop.keyFile(key, 'crt')];
}

/** As README says; a daemon that connects itself needs no hold, since the agent is there. */
function external(workshop, key, socket, listens) {
  return [
    ...certificate(workshop, key),
    ...['--management', socket, 'unix', listens ? '--management-client' : '--management-hold'],
    ...['--management-external-key', 'nopadding', 'pkcs1', 'pss'],
  ];
}

async function builtIn(workshop, key) {
  const socket = workshop.fresh('socket');
  const server = createServer((connection) => {
    connection.on('error', () => undefined);
    connection.on('data', (chunk) => {
      const [, name] = /^>PASSWORD:Need '(.*)' password/m.exec(chunk.toString('latin1')) ?? [];
      if (name !== undefined) connection.write(`password "${name}" ${workshop.pin}\n`);
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  const took = await client(workshop, [
    ...['--pkcs11-providers', workshop.module, '--pkcs11-id', pkcs11Id(workshop, key)],
    ...['--management', socket, 'unix', '--management-client', '--management-query-passwords'],
  ]);
  server.close();
  return took;
}

function pkcs11Id(workshop, key) {
  const words = ['--show-pkcs11-ids', workshop.module];
  const text = execFileSync('openvpn', words, { env: workshop.env, encoding: 'latin1' });
  const [, id] = new RegExp(`DN:.*CN=pksigd ${key}\\b[^]*?Serialized id:\\s+(\\S+)`).exec(text) ?? [];
  if (id === undefined) throw new Error(`openvpn shows no ${key} in the token:\n${text}`);
  return id;
}

/** A client with its own server. From its start until it is connected, in milliseconds. */
async function client(workshop, args) {
  const port = await freePort();
  const ca = ['--ca', workshop.keyFile('ca', 'crt')];
  const identity = ['--cert', workshop.keyFile('server', 'crt'), '--key', workshop.keyFile('server')];
  const local = ['--local', '127.0.0.1', '--port', `${port}`, '--proto', 'udp'];
  const server = new Run(workshop, ['openvpn', '--tls-server', ...COMMON, ...ca, ...identity, ...local]);
  await server.until('link remote: [AF_UNSPEC]');
  const remote = ['--remote', '127.0.0.1', `${port}`, 'udp', '--nobind', '--connect-retry', '1', '1'];
  const end = new Run(workshop, ['openvpn', '--tls-client', ...COMMON, ...ca, ...remote, ...args]);
  const began = Number(await end.until('')) / 1e6;
  const line = await end.until('Peer Connection Initiated');
  await Promise.all([end.stop(), server.stop()]);
  return Number(line.split(' ')[0]) * 1000 - began;
}

/** A program that says first when it started. */
class Run {
  #workshop;
  #child;
  #lines;
  #said = [];

  constructor(workshop, command) {
    this.#workshop = workshop;
    this.#child = workshop.start([workshop.path('daemon'), 'become', ...command], { stdio: ['ignore', 'pipe'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line with this text. */
  async until(text) {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`ended without '${text}':\n${this.#said.join('\n')}\n${logOf(this.#child)}`);
      this.#said.push(value);
      if (value.includes(text)) return value;
    }
  }

  async stop() {
    await this.#workshop.stop(this.#child);
  }
}

async function freePort() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}
