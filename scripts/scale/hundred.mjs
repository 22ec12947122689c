// npm run scale -- [--tunnels 100] [--minutes 10] [--whole] [--apart N]
//
// A hundred real OpenVPN clients with one agent and one token, each renegotiating every 20 s. Ten of the tunnels are broken in
// ten ways; in the middle of the time the configuration is mended and SIGHUP sent. Says what each broken tunnel said, that the
// others noticed nothing, and what it took. For comparison: --whole breaks none, --apart N has N agents serve a tunnel each.
// Exits with 1 if anything is not as it should be.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { residentOf, treeOf } from '../bench/lib/processes.mjs';
import { Field, MODULE, section } from './lib/field.mjs';

const { values: flags } = parseArgs({
  options: {
    tunnels: { type: 'string', default: '100' },
    minutes: { type: 'string', default: '10' },
    whole: { type: 'boolean', default: false },
    apart: { type: 'string' },
  },
});
const APART = flags.apart !== undefined;
const WHOLE = flags.whole || APART;
const TUNNELS = Number(flags.apart ?? flags.tunnels);
const SECONDS = Number(flags.minutes) * 60;
const FIRST_PORT = 21_000;
const RENEGOTIATE = 20;
/** Seconds that a mended tunnel may take: the longest wait of an OpenVPN client for its server, and a renegotiation. */
const MENDS_WITHIN = 60;

const field = new Field('hundred');
const at = (...names) => field.at(...names);
const logOf = (name) => field.logOf(name);
const linesOf = (name) => field.linesOf(name);
let failures = 0;

function expect(isSo, text) {
  if (!isSo) failures++;
  console.log(`${isSo ? 'passed' : 'FAILED'}: ${text}`);
}

const count = (text, pattern) => text.match(pattern)?.length ?? 0;

function makeTokens() {
  field.makeToken('p256', 'rsa2048');
  writeFileSync(at('wrong-pin'), '87654321', { mode: 0o600 });
  const tool = (...args) => execFileSync('softhsm2-util', args, { stdio: 'ignore' });
  tool('--init-token', '--free', '--label', 'second', '--pin', '12345678', '--so-pin', '12345678');
  const key = at('second.pem');
  execFileSync('openssl', ['pkcs8', '-topk8', '-nocrypt', '-in', at('token/keys/p256.pem'), '-out', key]);
  tool('--import', key, '--token', 'second', '--label', 'p256', '--id', '01', '--pin', '12345678');
  copyFileSync(key, at('readable.pem'));
  chmodSync(at('readable.pem'), 0o644);
}

const good = { key: 'pkcs11:token=pksigd;object=p256' };
/** Each way a tunnel can be broken: what is wrong in its key or in itself, and in the mended file. */
const BROKEN = {
  'a key that is not there': { key: { key: 'pkcs11:token=pksigd;object=nothing' }, mended: { key: good } },
  'a wrong PIN': {
    key: { key: `pkcs11:token=second;object=p256?pin-source=file:${at('wrong-pin')}` },
    mended: { key: { key: `pkcs11:token=second;object=p256?pin-source=file:${at('pin')}` } },
  },
  'a module that is not there': {
    key: { key: 'pkcs11:token=pksigd;object=p256?module-path=/nonexistent.so' },
    mended: { key: good },
  },
  'a key file that others read': { key: { key: 'readable.pem' }, mended: { key: { key: 'second.pem' } } },
  "another key's certificate": {
    key: { ...good, cert: at('token/keys/rsa2048.crt') },
    mended: { key: { ...good, cert: at('token/keys/p256.crt') } },
  },
  'no management password': { password: true, mended: { management: (place) => `${place} ${at('password')}` } },
  'no daemon there': { management: () => `${at('run/nobody.sock')} unix` },
  'a file where the socket is to be': { management: () => `${at('pin')} unix` },
  'another program': { management: () => `${at('run/web.sock')} unix` },
  "another user's daemon": { tunnel: { 'management-user': 'nobody' }, mended: { tunnel: {} } },
};
const names = Array.from({ length: TUNNELS }, (_, index) => `t${index}`);
/** The broken one that a tunnel is, by name. */
const brokenOf = new Map(WHOLE ? [] : Object.entries(BROKEN).map(([why], index) => [`t${index}`, why]));

function configuration(served, isMended) {
  const parts = [
    section('token', { 'pin-source': at('pin'), module: MODULE }),
    section('state', { directory: at('state') }),
    section('agent', { control: at('run', `control-${served[0]}.sock`) }),
    section('key.good', good),
  ];
  for (const name of served) {
    const place = `${at('run', `${name}.sock`)} unix`;
    const why = brokenOf.get(name);
    const broken = why === undefined ? {} : BROKEN[why];
    const state = isMended ? { ...broken, management: undefined, ...broken.mended } : broken;
    if (state.key) parts.push(section(`key.${name}`, state.key));
    parts.push(
      section(`tunnel.${name}`, {
        key: state.key ? name : 'good',
        management: state.management?.(place) ?? place,
        ...state.tunnel,
      }),
    );
  }
  return parts.join('\n');
}

function startOpenvpn(name, index) {
  field.startServer(name, FIRST_PORT + index);
  const password = BROKEN[brokenOf.get(name)]?.password ? at('password') : undefined;
  field.startClient(name, FIRST_PORT + index, { key: 'p256', renegotiate: RENEGOTIATE, password });
}

const startAgent = (name, served) => field.startAgent(name, configuration(served, false));

function measure(agents) {
  const processes = agents.flatMap(({ pid }) => treeOf(pid));
  const ticks = processes.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /s, '').split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  const megabytes = processes.reduce((sum, pid) => sum + residentOf(pid), 0) / 1e6;
  const seconds = ticks.reduce((sum, each) => sum + each, 0) / 100;
  return `${agents.length} agents, ${processes.length} processes: ${megabytes.toFixed(0)} MB, ${seconds.toFixed(1)} s CPU`;
}

const isConnected = (name) => logOf(`client-${name}`).includes('Peer Connection Initiated');

function tellWhy(lines) {
  for (const [name, why] of brokenOf) {
    const said = lines.find(
      ({ tunnel, key, level, msg }) =>
        [tunnel, key].includes(name) && ['warn', 'error'].includes(level) && !msg.startsWith('certificate'),
    );
    expect(
      said !== undefined && !isConnected(name),
      `${name}, ${why}: ${said?.msg}: ${said?.error ?? said?.reason ?? ''}`,
    );
  }
}

function tellUnharmed(lines) {
  const unharmed = names.filter((name) => !brokenOf.has(name));
  const connections = new Map(names.map((name) => [name, 0]));
  for (const { msg, tunnel } of lines) {
    if (msg === 'connected to the daemon') connections.set(tunnel, connections.get(tunnel) + 1);
  }
  expect(unharmed.every(isConnected), `${unharmed.length} tunnels are up`);
  expect(
    unharmed.every((name) => connections.get(name) === 1),
    'none of them lost its agent',
  );
  const errors = unharmed.reduce((sum, name) => sum + count(logOf(`client-${name}`), /TLS Error/g), 0);
  expect(errors === 0, `${errors} TLS errors of theirs`);
}

async function main() {
  makeTokens();
  writeFileSync(at('password'), 'a management password\n', { mode: 0o600 });
  createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    .listen(at('run/web.sock'))
    .unref();
  const agents = APART ? names.map((name) => startAgent(`agent-${name}`, [name])) : [startAgent('agent', names)];
  for (const [index, name] of names.entries()) startOpenvpn(name, index);

  await sleep((SECONDS * 1000) / 2);
  if (!WHOLE) {
    tellWhy(linesOf('agent'));
    tellUnharmed(linesOf('agent'));
    writeFileSync(at('agent.toml'), configuration(names, true));
    process.kill(treeOf(agents[0].pid)[0], 'SIGHUP');
    const mended = [...brokenOf.keys()];
    for (let waited = 0; waited < MENDS_WITHIN && !mended.every(isConnected); waited++) await sleep(1000);
    for (const name of mended) expect(isConnected(name), `${name} is up after SIGHUP`);
    console.log(linesOf('agent').find(({ msg }) => msg.startsWith('reloaded'))?.msg);
  }
  await sleep((SECONDS * 1000) / 2);

  const lines = agents.flatMap((_, index) => linesOf(APART ? `agent-t${index}` : 'agent'));
  if (!WHOLE) tellUnharmed(lines);
  const outcomes = {};
  for (const { msg } of lines)
    if (['signed', 'failed', 'refused', 'dropped'].includes(msg)) outcomes[msg] = (outcomes[msg] ?? 0) + 1;
  const handshakes = names.reduce((sum, name) => sum + count(logOf(`server-${name}`), /Control Channel: TLS/g), 0);
  expect(names.every(isConnected), `${names.filter(isConnected).length} of ${TUNNELS} connected`);
  expect(
    outcomes.signed >= handshakes && handshakes > TUNNELS,
    `${handshakes} handshakes; requests: ${JSON.stringify(outcomes)}`,
  );
  expect(!outcomes.failed && !outcomes.refused, 'no request failed or was refused');
  console.log(measure(agents));
  for (const agent of agents) agent.kill('SIGTERM');
  const codes = await Promise.all(agents.map((agent) => new Promise((resolve) => agent.on('exit', resolve))));
  expect(
    codes.every((code) => code === 0),
    `the agents end with ${[...new Set(codes)].join()}`,
  );
}

try {
  await main();
} finally {
  field.close();
}
process.exitCode = failures === 0 ? 0 : 1;
