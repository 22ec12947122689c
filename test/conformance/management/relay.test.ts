import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type Bench, test } from '../../support/bench.ts';
import { ManagementUser } from '../../support/management-user.ts';
import { Child } from '../../support/child.ts';
import type { Pksigd } from '../../support/pksigd.ts';
import { Tap } from '../../support/tap.ts';
import { OPENVPN } from '../../support/openvpn.ts';
import { whyNoTun } from './real-daemon.ts';
import { form, type Heard, runScript, SCRIPTS } from './relay-users.ts';

/** How long users go on at least: RELAY_SECONDS=60 for a longer run. */
const SECONDS = Number(process.env['RELAY_SECONDS'] ?? 5);
/** And through how many renegotiations, at least. */
const RENEGOTIATIONS = 3;

/** Runs ten users at the relay, then each script once at the daemon itself, and holds the one to the other. */
async function compare(bench: Bench, daemon: Child, peer: Child, pksigd: Pksigd, tap: Tap): Promise<void> {
  const relay = { kind: 'unix', path: bench.path('relay.sock') } as const;
  const started = pksigd.messages('signed').length;
  const going = { on: true };
  const running = Promise.all(SCRIPTS.map((script) => runScript(relay, script, () => going.on)));
  await Promise.race([
    running,
    Promise.all([sleep(SECONDS * 1000), pksigd.message('signed', started + RENEGOTIATIONS)]),
  ]);
  going.on = false;
  const heard = (await running).flat();
  // no more requests for signatures, which would have the direct users' pk-sig mean something else
  await peer.stop();
  for (const { command, reply } of heard) {
    // what the relay says by itself is compared with a direct connection below
    const own =
      /^(?:bytecount \d|version \d|pk-sig|rsa-sig|certificate|log .*off|log off|state .*off|state off|echo off)/;
    if (!own.test(command) && !tap.said.includes(reply))
      throw new Error(`the daemon never said in reply to ${command}: ${firstDifference(tap.said, reply)}`);
  }
  const times = tap.signatures.toSorted((a, b) => a - b);
  const [median, slowest] = [times[times.length >> 1], times.at(-1)].map((time) => (time ?? NaN).toFixed(1));
  console.info(
    `${daemon.name}: ${heard.length} replies in ${SECONDS} s or more, ${times.length} signatures in ${median} ms (median), ${slowest} ms (slowest)`,
  );
  expect(pksigd.log.filter(({ msg }) => msg === 'failed' || msg === 'refused')).toEqual([]);
  expect(daemon.count(/TLS Error|tls-error|key negotiation failed/)).toBe(0);
  expect(await pksigd.stop()).toBe(0);
  await tap.close();

  const direct = { kind: 'unix', path: bench.path('daemon.sock') } as const;
  const forms = new Set<string>();
  for (const script of SCRIPTS) for (const each of await runScript(direct, script, once())) forms.add(form(each));
  expect(unlike(heard, forms)).toEqual([]);
}

/** Where a reply stops being what the daemon said. */
function firstDifference(said: string, reply: string): string {
  let length = reply.length;
  while (!said.includes(reply.slice(0, length))) length = Math.floor(length * 0.99);
  const at = said.lastIndexOf(reply.slice(0, length)) + length;
  const shown = (text: string, from: number): string => JSON.stringify(text.slice(Math.max(0, from - 300), from + 300));
  return `heard ${shown(reply, length)}, said ${shown(said, at)}`;
}

/** True once. */
function once(): () => boolean {
  let times = 0;
  return () => (times += 1) === 1;
}

function unlike(heard: readonly Heard[], forms: ReadonlySet<string>): string[] {
  return [...new Set(heard.map(form))].filter((each) => !forms.has(each));
}

describe('ten users of the relay while the tunnel renegotiates', () => {
  test('at a client', async ({ bench }) => {
    const server = await bench.server({ args: ['--reneg-sec', '0'] });
    const daemon = bench.client(server, {
      management: { address: bench.path('daemon.sock'), port: 'unix' },
      certificate: { file: 'p256' },
      args: ['--reneg-sec', '2'],
    });
    await daemon.logged(/MANAGEMENT: unix domain socket listening/);
    const tap = await Tap.open(bench.path('tap.sock'), bench.path('daemon.sock'));
    const pksigd = await bench.pksigd([
      ...['run', '--management', bench.path('tap.sock'), 'unix', '--key', bench.key('p256', 'SoftHSM')],
      ...['--relay', bench.path('relay.sock'), 'unix', '--relay-allow', 'all', '--log-level', 'info'],
    ]);
    await daemon.connected();
    await compare(bench, daemon, server, pksigd, tap);
  });
});

const why = whyNoTun();
if (why !== undefined) process.stderr.write(`the relay of a server is not tried: ${why}\n`);

describe.skipIf(why !== undefined)('ten users of the relay of a server', () => {
  const namespace = `pksigd-relay-${process.pid}`;
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'set', 'lo', 'up']);
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  test('that one of them authenticates clients for', async ({ bench }) => {
    const inside = (args: readonly string[], name: string): Child =>
      bench.adopt(new Child(name, 'ip', ['netns', 'exec', namespace, OPENVPN, '--verb', '3', ...args]));
    const identity = (name: string): string[] => [
      '--ca',
      bench.recipe('ca.crt'),
      '--cert',
      bench.recipe(`${name}.crt`),
    ];
    const daemon = inside(
      [
        ...['--mode', 'server', '--tls-server', '--dev', 'tun0', '--dev-type', 'tun', '--topology', 'subnet'],
        ...['--proto', 'udp', '--local', '127.0.0.1', '--server', '10.98.0.0', '255.255.255.0', '--disable-dco'],
        ...[...identity('server'), '--management-external-key', 'nopadding', 'pkcs1', 'pss', '--dh', 'none'],
        ...['--management', bench.path('daemon.sock'), 'unix', '--management-hold', '--management-client-auth'],
        ...['--reneg-sec', '0', '--verify-client-cert', 'require'],
      ],
      'openvpn server',
    );
    await daemon.logged(/MANAGEMENT: unix domain socket listening/);
    const tap = await Tap.open(bench.path('tap.sock'), bench.path('daemon.sock'));
    const pksigd = await bench.pksigd([
      ...['run', '--management', bench.path('tap.sock'), 'unix', '--key', bench.recipe('server.pem')],
      ...['--relay', bench.path('relay.sock'), 'unix', '--relay-allow', 'all'],
    ]);
    await pksigd.message('listening for management clients');
    const authenticator = await ManagementUser.open({ kind: 'unix', path: bench.path('relay.sock') });
    await daemon.logged(/Initialization Sequence Completed/);
    const client = inside(
      [
        ...['--client', '--dev', 'null', '--proto', 'udp', '--remote', '127.0.0.1', '1194', '--nobind'],
        ...[...identity('p256'), '--key', bench.recipe('p256.pem'), '--ifconfig-noexec', '--route-noexec'],
        ...['--auth-user-pass', await bench.write('login', 'joe\nsecret\n'), '--reneg-sec', '2'],
      ],
      'openvpn client',
    );
    void authenticate(authenticator);
    await client.logged(/Initialization Sequence Completed/);
    await compare(bench, daemon, client, pksigd, tap);
    expect(client.count(/AUTH_FAILED/)).toBe(0);
  });
});

/** Lets everybody in, until the connection ends. */
async function authenticate(user: ManagementUser): Promise<void> {
  for (;;) {
    const block = await user
      .hear(/^>CLIENT:(?:CONNECT|REAUTH),\d+,\d+\r\n(?:>CLIENT:ENV,.*\r\n)*?>CLIENT:ENV,END\r\n/m)
      .catch(() => '');
    const [, cid, kid] = />CLIENT:(?:CONNECT|REAUTH),(\d+),(\d+)/.exec(block) ?? [];
    if (cid === undefined || kid === undefined) return;
    user.say(`client-auth ${cid} ${kid}\npush "echo hello"\nEND\n`);
  }
}
