import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type Bench, test } from '../../support/bench.ts';
import { ManagementUser } from '../../support/management-user.ts';
import type { Child } from '../../support/child.ts';
import type { Pksigd } from '../../support/pksigd.ts';
import { Tap } from '../../support/tap.ts';
import { whyNoTun } from './real-daemon.ts';
import { form, type Heard, runScript, SCRIPTS } from './relay-users.ts';

/** How long users go on at least: RELAY_SECONDS=60 for a longer run. */
const SECONDS = Number(process.env['RELAY_SECONDS'] ?? 5);
/** And through how many renegotiations, at least. */
const RENEGOTIATIONS = 3;

/** Runs ten users at the relay, then each script once at the daemon itself, and holds the one to the other. */
async function compare(bench: Bench, daemon: Child, pksigd: Pksigd, tap: Tap): Promise<void> {
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
  for (const { command, reply } of heard) {
    // what the relay says by itself is compared with a direct connection below
    const own = /^(?:bytecount \d|version \d|pk-sig|rsa-sig|certificate|log .*off|log off|state .*off|state off|echo off)/;
    if (!own.test(command) && !tap.said.includes(reply)) throw new Error(`the daemon never said in reply to ${command}: ${firstDifference(tap.said, reply)}`);
  }
  const late = Math.max(...tap.signatures);
  console.info(
    `${daemon.name}: ${heard.length} replies in ${SECONDS} s or more, ${tap.signatures.length} signatures, the slowest after ${late.toFixed(1)} ms`,
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
    await compare(bench, daemon, pksigd, tap);
  });
});

const why = whyNoTun();
describe.skipIf(why !== undefined)('with a server', () => {
  const namespace = `pksigd-relay-${process.pid}`;
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'set', 'lo', 'up']);
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', namespace]);
  });
  void ManagementUser;
});
