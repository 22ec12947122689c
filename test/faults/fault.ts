import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from './tunnel.ts';
import type { World, WorldOptions } from './world.ts';

/** What was seen while a fault lasted. */
export interface Seen {
  /** What the daemon got that was hit. */
  readonly daemon: string;
  /** What the other one got. */
  readonly other: string;
}

/** A row of docs/RELIABILITY.md: something that goes wrong, and what comes of it. */
export interface Fault extends Seen {
  /** In the page's words. */
  readonly name: string;
  readonly world?: WorldOptions;
  /** It makes namespaces. */
  readonly needsRoot?: boolean;
  /** Codes that the agent's log has then; texts of lines that have none. */
  readonly log: readonly string[];
  /** What has to be done before the daemon that was hit is served again, beside the fault's end. */
  readonly cure?: string;
  /** Lets it happen, looks, and ends it. */
  readonly strike: (world: World) => Promise<Seen>;
}

export interface FaultGroup {
  readonly title: string;
  readonly faults: readonly Fault[];
}

/** Most faults: the daemon gets its signature, and the other one too. */
export const SIGNED = { daemon: 'signed', other: 'signed', log: [] } as const;

/** Both daemons ask at the same time. */
export async function bothAsk({ hit, other }: World): Promise<{ daemon: Answer; other: Answer }> {
  const [daemon, second] = await Promise.all([hit.ask(), other.ask()]);
  return { daemon, other: second };
}

/** Asks for a signature that takes the module some time, and does something meanwhile, when the agent has the request. */
export async function whileSigning(world: World, meanwhile: () => Promise<void> | void, delay = 700): Promise<Seen> {
  const { hit, other, bed } = world;
  await bed.fault('C_Sign', { delay, times: 1 });
  const mark = world.mark();
  const from = await hit.restart();
  await world.logged(mark, /"tunnel":"hit".*"a signature is asked for"/);
  await meanwhile();
  const second = other.ask();
  return { daemon: await hit.outcome(from), other: await second };
}

/** Stops a process, and lets it go on. */
export async function whileStopped(pid: number, work: () => Promise<void>): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Does something again and again, with so many milliseconds between, until work is done. */
export async function storm<Result>(
  strike: () => Promise<void> | void,
  every: number,
  work: Promise<Result>,
): Promise<Result> {
  const over = new AbortController();
  const striking = (async () => {
    while (!over.signal.aborted) {
      await strike();
      await sleep(every);
    }
  })();
  try {
    return await work;
  } finally {
    over.abort();
    await striking;
  }
}

/** Both daemons ask, so many times. @returns what all answers were, or the first other one */
export async function bothAskOften(world: World, times: number): Promise<Seen> {
  let seen = await bothAsk(world);
  for (let count = 1; count < times && seen.daemon === 'signed' && seen.other === 'signed'; count++)
    seen = await bothAsk(world);
  return seen;
}
