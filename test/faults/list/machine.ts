import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from '../../support/bench.ts';
import { sharedLibrary } from '../../tokens/setup/shim.ts';
import { bothAsk, SIGNED, whileSigning, type Fault, type FaultGroup, type Seen } from '../fault.ts';
import type { World, WorldOptions } from '../world.ts';

/** Milliseconds, for what never comes. */
const PATIENCE = 60_000;
const REFUSED = { daemon: 'empty block', other: 'empty block' } as const;

/** The agent in a mount namespace in which `folder` is a disk of 64 KiB. */
function smallDisk(folder: 'audit' | 'state', sections: WorldOptions['sections'] = {}, size = '64k'): WorldOptions {
  return {
    sections,
    launcher: async (bench) => {
      const script = `mount -t tmpfs -o size=${size},mode=0700 none '${bench.path(folder)}'; exec '${process.execPath}' "$@"`;
      const text = `#!/bin/sh\nexec unshare --mount --propagation private sh -ec '${script.replaceAll("'", String.raw`'\''`)}' node "$@"\n`;
      return await bench.write('node', text, 0o700);
    },
  };
}

const ballast = (world: World, folder: string): string => world.inside(world.bench.path(`${folder}/ballast`));

/** Writes until there is no room. */
async function fill(world: World, folder: string): Promise<void> {
  const file = await open(ballast(world, folder), 'w');
  try {
    for (let size = 4096; size > 0; size = Math.floor(size / 2)) {
      const isFull = async (): Promise<boolean> => {
        try {
          return (await file.write(Buffer.alloc(size))).bytesWritten < size;
        } catch {
          return true;
        }
      };
      while (!(await isFull()));
    }
  } finally {
    await file.close();
  }
}

/** Another disk covers a folder of the agent's: one that can't be written, and where nothing is. */
function cover(world: World, folder: string): void {
  inNamespace(world, 'mount', '-t', 'tmpfs', '-o', 'ro,mode=0700', 'none', world.bench.path(folder));
}

function uncover(world: World, folder: string): void {
  inNamespace(world, 'umount', world.bench.path(folder));
}

function inNamespace({ agent }: World, ...command: string[]): void {
  const args = ['--mount', '--target', String(agent.pid), ...command];
  const { stderr, status } = spawnSync('nsenter', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function killHosts({ hosts }: World): void {
  for (const host of hosts) process.kill(host, 'SIGKILL');
}

/** Signatures until what the disk has room for in its last block is used up. */
async function untilRefused(world: World): Promise<Seen> {
  // the agent looks at its log once a second, and a fast machine signs a hundred times in that
  for (const end = Date.now() + PATIENCE; ; ) {
    const seen = await bothAsk(world);
    if (Date.now() > end || (seen.daemon !== 'signed' && seen.other !== 'signed')) return seen;
  }
}

function limitDescriptors(pid: number, value: number): void {
  const { stderr } = spawnSync('prlimit', ['--pid', String(pid), `--nofile=${value}:`], { encoding: 'utf8' });
  if (stderr !== '') throw new Error(stderr);
}

/** No descriptor is left that has no use yet. */
function takeDescriptors({ agent: { pid } }: World): void {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let number = 0;
  while (used.has(number)) number++;
  limitDescriptors(pid, number);
}

const CLOCK = join(import.meta.dirname, '../clock.c');

const withClock: WorldOptions = {
  prepare: async (bench) => setClock(bench, 0),
  environment: async (bench) => ({
    LD_PRELOAD: await sharedLibrary(bench, 'clock', CLOCK),
    FAULT_CLOCK: bench.path('clock'),
  }),
};

/** The clocks of the agent, and of what it starts, are off by so many seconds from now on. */
async function setClock(bench: Bench, seconds: number): Promise<void> {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(seconds));
  const file = await open(bench.path('clock'), existsSync(bench.path('clock')) ? 'r+' : 'w');
  await file.write(bytes, 0, 8, 0);
  await file.close();
}

const DAY = 86_400;

function clockStep(name: string, seconds: number, log: readonly string[] = []): Fault {
  return {
    ...SIGNED,
    name: `the clock is set ${name}`,
    log,
    world: withClock,
    strike: async (world) => {
      await setClock(world.bench, seconds);
      const seen = await bothAsk(world);
      const within = await whileSigning(world, () => setClock(world.bench, 2 * seconds));
      await setClock(world.bench, 0);
      return seen.daemon === 'signed' && seen.other === 'signed' ? within : seen;
    },
  };
}

export const MACHINE: FaultGroup = {
  title: 'Disks, descriptors, clocks',
  faults: [
    {
      ...REFUSED,
      name: 'the disk of the audit log is full',
      log: ['ERR_AUDIT_WRITE', 'the audit log can not be written: no request is signed'],
      needsRoot: true,
      world: smallDisk('audit'),
      strike: async (world) => {
        await fill(world, 'audit');
        const seen = await untilRefused(world);
        await rm(ballast(world, 'audit'));
        return seen;
      },
    },
    {
      ...SIGNED,
      name: 'the same with `on-failure = "continue"`',
      log: ['the audit log can not be written: requests are signed without an entry'],
      needsRoot: true,
      world: smallDisk('audit', { audit: { 'on-failure': 'continue' } }),
      strike: async (world) => {
        const mark = world.mark();
        await fill(world, 'audit');
        for (let tries = 0; tries < 40 && world.codes(mark).length === 0; tries++) await bothAsk(world);
        const seen = await bothAsk(world);
        await rm(ballast(world, 'audit'));
        return seen;
      },
    },
    {
      ...REFUSED,
      name: 'the folder of the audit log is another, read-only one',
      log: ['ERR_AUDIT_WRITE'],
      needsRoot: true,
      // with room for all that is signed until the agent looks at the folder
      world: smallDisk('audit', {}, '64m'),
      strike: async (world) => {
        cover(world, 'audit');
        const seen = await untilRefused(world);
        uncover(world, 'audit');
        return seen;
      },
    },
    {
      name: 'the disk of the state directory is full when a login must be written down',
      ...{ daemon: 'empty block', other: 'signed', log: ['ERR_STATE_DIRECTORY'] },
      needsRoot: true,
      world: smallDisk('state'),
      strike: async (world) => {
        await fill(world, 'state');
        killHosts(world);
        const seen = await bothAsk(world);
        await rm(ballast(world, 'state'));
        return seen;
      },
    },
    {
      name: 'the state directory is another, read-only one',
      ...{ daemon: 'empty block', other: 'signed', log: ['ERR_STATE_DIRECTORY'] },
      needsRoot: true,
      world: smallDisk('state'),
      strike: async (world) => {
        cover(world, 'state');
        killHosts(world);
        const seen = await bothAsk(world);
        uncover(world, 'state');
        return seen;
      },
    },
    {
      ...SIGNED,
      name: 'the file of the PIN is gone when a new host must log in: the agent has the PIN',
      strike: async (world) => {
        await rename(world.bed.pinFile, `${world.bed.pinFile}.away`);
        killHosts(world);
        const seen = await bothAsk(world);
        await rename(`${world.bed.pinFile}.away`, world.bed.pinFile);
        return seen;
      },
    },
    {
      name: 'no descriptor is left for a new host (EMFILE)',
      ...{ daemon: 'empty block', other: 'signed', log: ['ERR_MODULE_DIED', 'module host ended'] },
      strike: async (world) => {
        const { agent } = world;
        const before = agent.lines.length;
        killHosts(world);
        await world.logged(before, /module host ended/);
        takeDescriptors(world);
        const seen = await bothAsk(world);
        limitDescriptors(agent.pid, 1024);
        return seen;
      },
    },
    {
      name: 'no descriptor is left for the connection to a daemon that starts anew',
      ...{ daemon: 'no answer', other: 'signed', log: [] },
      strike: async (world) => {
        const { agent, hit, other } = world;
        const before = agent.lines.length;
        hit.client.kill('SIGKILL');
        await hit.client.exited;
        await world.logged(before, /disconnected from the daemon/);
        takeDescriptors(world);
        const [daemon, second] = await Promise.all([hit.startAnew(3_000), other.ask()]);
        limitDescriptors(agent.pid, 1024);
        return { daemon, other: second };
      },
    },
    clockStep('forward by a day', DAY),
    clockStep('forward by ten years', 3650 * DAY),
    clockStep('back by a day', -DAY),
    clockStep('back by ten years', -3650 * DAY),
  ],
};
