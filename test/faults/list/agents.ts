import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { MEANINGLESS_SIGNALS } from '../../../src/signals.ts';
import { Pksigd } from '../../support/pksigd.ts';
import {
  bothAsk,
  bothAskOften,
  SIGNED,
  storm,
  whileSigning,
  type Fault,
  type FaultGroup,
  type Seen,
} from '../fault.ts';
import type { World, WorldOptions } from '../world.ts';

/** Real-time signals, which Node can't catch. */
const REAL_TIME = Array.from({ length: 31 }, (_, index) => 34 + index);
/** Beside those that mean nothing: what a process ignores unless it asks for it. */
const IGNORED = ['SIGPIPE', 'SIGXFSZ', 'SIGWINCH', 'SIGCHLD', 'SIGURG', 'SIGCONT'] as const;
const ALL_MEANINGLESS = [
  ...MEANINGLESS_SIGNALS.map((name) => constants.signals[name]),
  ...IGNORED.map((name) => constants.signals[name]),
  ...REAL_TIME,
];

/** Through the command's shell, which ignores what Node can't. */
const asCommand: WorldOptions = { launcher: () => Promise.resolve('/bin/sh') };

function send(pid: number, signal: number | NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has just ended
  }
}

/** The agent ends by a signal, and another one starts in its place. */
async function replaced(world: World, signal: NodeJS.Signals): Promise<number> {
  const { agent } = world;
  agent.kill(signal);
  const code = await agent.exited;
  world.startAgent();
  return code;
}

function killed(name: string, signal: NodeJS.Signals): Fault {
  return {
    ...SIGNED,
    name: `${name} at rest, and started anew on the same state`,
    strike: async (world) => {
      await replaced(world, signal);
      return await bothAsk(world);
    },
  };
}

function stops(signal: NodeJS.Signals): Fault {
  return {
    ...SIGNED,
    name: `told to end (${signal}) while it signs: it answers first; then started anew`,
    log: [],
    strike: async (world) => {
      const { hit, other } = world;
      let code = -1;
      const seen = await whileSigning(world, async () => {
        code = await replaced(world, signal);
      });
      if (code !== 0) return { ...seen, daemon: `exit code ${code}` };
      // what the other one asked for meanwhile went to one of the two
      return seen.other === 'signed' ? seen : { daemon: await hit.ask(), other: await other.ask() };
    },
  };
}

export const AGENTS: FaultGroup = {
  title: 'The agent',
  faults: [
    killed('killed (SIGKILL)', 'SIGKILL'),
    killed('crashed (SIGSEGV)', 'SIGSEGV'),
    killed('crashed (SIGABRT)', 'SIGABRT'),
    {
      ...SIGNED,
      name: 'killed while it signs, and started anew: the daemon, which waits, gets its signature',
      strike: (world) =>
        whileSigning(world, async () => {
          await replaced(world, 'SIGKILL');
        }),
    },
    {
      ...SIGNED,
      name: 'killed time and again under load, on the same state',
      strike: async (world) => {
        let seen: Seen = { daemon: '', other: '' };
        for (let count = 0; count < 5; count++) {
          const asking = Promise.all([world.hit.ask(), world.other.ask()]);
          await sleep(count * 20);
          await replaced(world, 'SIGKILL');
          await asking;
          seen = await bothAsk(world);
          if (seen.daemon !== 'signed' || seen.other !== 'signed') break;
        }
        return seen;
      },
    },
    stops('SIGTERM'),
    stops('SIGINT'),
    {
      ...SIGNED,
      name: 'stopped (SIGSTOP) for a second while it signs',
      strike: (world) =>
        whileSigning(world, async () => {
          world.agent.kill('SIGSTOP');
          await sleep(1_000);
          world.agent.kill('SIGCONT');
        }),
    },
    {
      ...SIGNED,
      name: 'gets each signal that means nothing, real-time signals too, while it signs',
      world: asCommand,
      strike: (world) =>
        whileSigning(world, () => {
          for (const signal of ALL_MEANINGLESS) send(world.agent.pid, signal);
        }),
    },
    {
      ...SIGNED,
      name: 'its module hosts get all of them, and SIGTERM and SIGINT',
      strike: (world) =>
        whileSigning(world, () => {
          for (const host of world.hosts)
            for (const signal of [...ALL_MEANINGLESS, 'SIGTERM', 'SIGINT'] as const) send(host, signal);
        }),
    },
    {
      ...SIGNED,
      name: 'reloads (SIGHUP) every 50 ms under load',
      strike: (world) =>
        storm(
          () => {
            world.agent.kill('SIGHUP');
          },
          50,
          bothAskOften(world, 30),
        ),
    },
    {
      ...SIGNED,
      name: 'reloads while it signs: the key and both tunnels are other ones',
      strike: async (world) => {
        const mark = world.mark();
        const seen = await whileSigning(world, async () => {
          const rate = { rate: 1000 };
          await world.configure({ 'key.token': rate, 'tunnel.hit': rate, 'tunnel.other': rate });
          world.agent.kill('SIGHUP');
          await world.logged(mark, /"msg":"reloaded: /);
        });
        return seen.daemon === 'signed' ? await bothAsk(world) : seen;
      },
    },
    {
      ...SIGNED,
      name: 'reloads a file that has a mistake',
      log: ['ERR_CONFIG'],
      strike: async (world) => {
        const mark = world.mark();
        await world.configure({ 'tunnel.hit': { key: 'no-such-key' } });
        world.agent.kill('SIGHUP');
        await world.logged(mark, /not reloaded/);
        const seen = await bothAsk(world);
        await world.configure();
        return seen;
      },
    },
    {
      ...SIGNED,
      name: 'a second agent for the same daemon waits, and takes over when the first is killed',
      strike: async (world) => {
        const second = secondAgent(world);
        await second.until('its word on the seat', () => second.lines.find((line) => line.includes('only seat')));
        const seen = await bothAsk(world);
        world.agent.kill('SIGKILL');
        await world.agent.exited;
        const taken = await world.hit.ask();
        await second.stop();
        world.startAgent();
        return { daemon: seen.daemon === 'signed' ? taken : seen.daemon, other: seen.other };
      },
    },
  ],
};

/** Another agent, which serves the daemon that was hit, with a state of its own. */
function secondAgent({ bench }: World): Pksigd {
  const args = ['run', '--management', bench.path('run/hit'), 'unix', '--key', bench.key('p256', 'file')];
  const control = ['--control', bench.path('run/second.sock'), '--state-directory', bench.path('second')];
  return bench.adopt(new Pksigd(bench.folder, [...args, ...control], undefined, {}));
}
