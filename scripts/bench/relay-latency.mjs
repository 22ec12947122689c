#!/usr/bin/env node
// How long a signature takes while ten clients of the relay chat, against none, in one run: only the ratios are worth
// quoting. A scripted daemon asks for signatures and answers the clients' commands at once; the clients are a process of
// their own. Needs the built package (npm run build) and openssl.
// Usage: relay-latency.mjs [ROUNDS [SIGNATURES-A-ROUND [CLIENTS]]]
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const COMMANDS = ['status', 'state on', 'log 20', 'pid', 'bytecount 5', 'log on', 'help', 'nonsense', 'log off'];
const BLOCK = `${Array.from({ length: 30 }, (_, at) => `line ${at} of a reply of some length`).join('\r\n')}\r\nEND\r\n`;

if (process.argv[2] === '--clients') await chat(process.argv[3], Number(process.argv[4]));
else await measure();

/** Clients that each send the next command when the last is answered. */
async function chat(path, count) {
  let replies = 0;
  for (let index = 0; index < count; index += 1) {
    const socket = connect(path);
    let next = index;
    const ask = () => socket.write(`${COMMANDS[next++ % COMMANDS.length]}\n`);
    socket.on('data', (chunk) => {
      if (!/^(?:END|SUCCESS|ERROR|>INFO:OpenVPN M)/m.test(chunk.toString('latin1'))) return;
      replies += 1;
      ask();
    });
  }
  setInterval(() => process.send({ replies }), 100);
}

async function measure() {
  const [rounds, signatures, count] = [5, 300, 10].map((value, at) => Number(process.argv[2 + at] ?? value));
  const folder = mkdtempSync(join(tmpdir(), 'pksigd-bench-relay-'));
  const path = (name) => join(folder, name);
  const children = [];
  try {
    execFileSync('openssl', ['ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', path('key.pem')]);
    const server = createServer().listen(path('daemon.sock'));
    await once(server, 'listening');
    const main = new URL('../../bin/pksigd.cjs', import.meta.url).pathname;
    const words = ['run', '--management', path('daemon.sock'), 'unix', '--key', path('key.pem')];
    const relay = ['--relay', path('relay.sock'), 'unix', '--log-level', 'error'];
    children.push(spawn(process.execPath, [main, ...words, ...relay], { stdio: 'inherit' }));
    const [socket] = await once(server, 'connection');
    const daemon = scriptedDaemon(socket);
    await daemon.sign();
    const [quiet, busy] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      for (let at = 0; at < signatures; at += 1) quiet.push(await daemon.sign());
      const clients = fork(import.meta.filename, ['--clients', path('relay.sock'), `${count}`]);
      children.push(clients);
      await once(clients, 'message');
      for (let at = 0; at < signatures; at += 1) busy.push(await daemon.sign());
      clients.kill();
      await once(clients, 'exit');
    }
    console.log(
      `${rounds} rounds of ${signatures} signatures (P-256, a file), ${count} clients, ${daemon.commands} commands`,
    );
    for (const share of [0.5, 0.9, 0.99]) {
      const [without, with_] = [quiet, busy].map((times) => percentile(times, share));
      const values = `${without.toFixed(2)} ms without, ${with_.toFixed(2)} ms with`;
      console.log(`p${share * 100}: ${values}, ratio ${(with_ / without).toFixed(2)}`);
    }
    server.close();
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill();
    await sleep(200);
    rmSync(folder, { recursive: true, force: true });
  }
}

function percentile(times, share) {
  return times.sort((a, b) => a - b)[Math.floor((times.length - 1) * share)];
}

/** Answers commands, and asks for signatures when told. */
function scriptedDaemon(socket) {
  const data = Buffer.alloc(32, 7).toString('base64');
  const daemon = { commands: 0, sign };
  let [rest, inBlock, signed] = ['', false, () => undefined];
  socket.write(">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n");
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (inBlock) {
        if (line !== 'END') continue;
        inBlock = false;
        socket.write('SUCCESS: pk-sign command succeeded\r\n');
        signed();
      } else if (line === 'pk-sig') {
        inBlock = true;
      } else if (!line.startsWith('version ')) {
        daemon.commands += 1;
        socket.write(reply(line));
      }
    }
  });
  async function sign() {
    // a daemon doesn't ask again at once, and clients get a moment to fill the queue
    await sleep(2);
    const start = performance.now();
    const done = new Promise((resolve) => {
      signed = resolve;
    });
    socket.write(`>PK_SIGN:${data},ECDSA\r\n>LOG:1,D,asked for a signature\r\n`);
    await done;
    return performance.now() - start;
  }
  return daemon;
}

function reply(line) {
  const [name, argument] = line.split(' ');
  if (argument === 'on' || argument === 'off')
    return `SUCCESS: real-time ${name} notification set to ${argument.toUpperCase()}\r\n`;
  if (name === 'pid') return 'SUCCESS: pid=1\r\n';
  if (name === 'bytecount') return 'SUCCESS: bytecount interval changed\r\n';
  return /^(?:status|log|help)$/.test(name) ? BLOCK : "ERROR: unknown command, enter 'help' for more options\r\n";
}
