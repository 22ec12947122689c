// How long a signature takes while ten clients of the relay chat, beside none. A scripted daemon asks for signatures and
// answers the clients' commands at once; the clients are a process of their own.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pksigds } from './agents.mjs';
import { Requests } from './requests.mjs';
import { percentile } from './statistics.mjs';
import { logOf } from './workshop.mjs';

const BLOCK = `${Array.from({ length: 30 }, (_, at) => `line ${at} of a reply of some length`).join('\r\n')}\r\nEND\r\n`;
const SUBJECT = { home: 'file', key: 'p256', data: 'digest' };
const CLIENTS = 10;
const SIGNATURES = 200;

export const relay = {
  name: 'relay',
  title: 'Ten clients of the relay',
  says: 'A signature while ten clients of `--relay` send one command after the other, beside one while there are none.',
  keys: [SUBJECT.key],
  async measure(bench) {
    const rows = [];
    for (const [name, agent] of Object.entries(pksigds(bench.against))) {
      const { quiet, busy } = await measureOne(bench, agent);
      const ratio = (share) => ({ value: percentile(busy, share) / percentile(quiet, share) });
      rows.push({ what: `${name}: file p256 digest`, cells: { p50: ratio(0.5), p90: ratio(0.9), p99: ratio(0.99) } });
      bench.say(rows.at(-1));
    }
    return rows;
  },
};

async function measureOne({ workshop, rounds }, agent) {
  const [socket, relayed] = ['daemon', 'relay'].map((name) => workshop.fresh(name));
  const server = createServer().listen(socket);
  await once(server, 'listening');
  const command = [...agent(workshop, { ...SUBJECT, socket }), '--relay', relayed, 'unix'];
  const child = workshop.start(command);
  const ended = child.gone.then(() => {
    throw new Error(`pksigd ended: ${logOf(child)}`);
  });
  ended.catch(() => undefined);
  const [connection] = await Promise.race([once(server, 'connection'), ended]);
  const daemon = scriptedDaemon(connection, new Requests(workshop, SUBJECT));
  const [quiet, busy] = [[], []];
  let clients;
  try {
    for (let at = 0; at < SIGNATURES; at += 1) await daemon.sign();
    for (let round = 0; round < rounds(4); round += 1) {
      for (let at = 0; at < SIGNATURES; at += 1) quiet.push(await daemon.sign());
      clients = fork(join(import.meta.dirname, 'relay-clients.mjs'), [relayed, `${CLIENTS}`]);
      await once(clients, 'message');
      for (let at = 0; at < SIGNATURES; at += 1) busy.push(await daemon.sign());
      clients.kill();
      await once(clients, 'exit');
    }
  } finally {
    clients?.kill();
    await workshop.stop(child);
    server.close();
  }
  return { quiet, busy };
}

/** Answers commands, and asks for signatures when told. */
function scriptedDaemon(socket, requests) {
  let [rest, signature, signed, next] = ['', undefined, () => undefined, 0];
  socket.write(">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n");
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (signature !== undefined) {
        if (line !== 'END') {
          signature += line;
          continue;
        }
        socket.write('SUCCESS: pk-sign command succeeded\r\n');
        signed(signature);
        signature = undefined;
      } else if (line === 'pk-sig') {
        signature = '';
      } else if (!line.startsWith('version ')) {
        socket.write(reply(line));
      }
    }
  });
  async function sign() {
    // a daemon doesn't ask again at once, and clients get a moment to fill the queue
    await sleep(2);
    const request = next++ % requests.lines.length;
    const start = performance.now();
    const done = new Promise((resolve) => {
      signed = resolve;
    });
    socket.write(`>PK_SIGN:${requests.lines[request]}\r\n>LOG:1,D,asked for a signature\r\n`);
    const base64 = await done;
    const time = performance.now() - start;
    requests.verify([{ request, base64 }]);
    return time;
  }
  return { sign };
}

function reply(line) {
  const [name, argument] = line.split(' ');
  if (argument === 'on' || argument === 'off')
    return `SUCCESS: real-time ${name} notification set to ${argument.toUpperCase()}\r\n`;
  if (name === 'pid') return 'SUCCESS: pid=1\r\n';
  if (name === 'bytecount') return 'SUCCESS: bytecount interval changed\r\n';
  return /^(?:status|log|help)$/.test(name) ? BLOCK : "ERROR: unknown command, enter 'help' for more options\r\n";
}
