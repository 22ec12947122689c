import { readFileSync } from 'node:fs';
import type { Child } from '../../support/child.ts';
import type { TokenBed, TokenSetup } from '../setup/token-bed.ts';

/** Makes a bed for one test, and unmakes it; what was said is printed when the test fails. */
export async function withBed<Bed extends TokenBed>(
  setup: { readonly start: () => Promise<Bed> },
  use: (bed: Bed) => Promise<void>,
): Promise<void> {
  const bed = await setup.start();
  try {
    await use(bed);
  } catch (error) {
    console.error(bed.bench.transcript);
    throw error;
  } finally {
    await bed.stop();
  }
}

/** Why tests with this setup are left out, if they are; says so. */
export function isMissing(setup: TokenSetup): boolean {
  const reason = setup.unavailable();
  if (reason !== undefined) console.warn(`tunnels with ${setup.name} are left out: ${reason}`);
  return reason !== undefined;
}

/** Kills a daemon and what it started: p11-kit's server has a process for each connection, which outlives it. */
export async function kill(child: Child | undefined): Promise<void> {
  if (!child) throw new Error('nothing runs');
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ').filter(Boolean);
  child.kill('SIGKILL');
  for (const pid of children) process.kill(Number(pid), 'SIGKILL');
  await child.exited;
}
