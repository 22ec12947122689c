import { readFileSync } from 'node:fs';
import type { Child } from '../../support/child.ts';
import type { TokenBed, TokenSetup } from '../setup/token-bed.ts';

/** Sets a module up for one test; when that fails, what all processes said is printed. */
export async function withBed<Bed extends TokenBed>(
  setup: Omit<TokenSetup, 'start'> & { readonly start: () => Promise<Bed> },
  use: (bed: Bed) => Promise<void>,
): Promise<void> {
  const bed = await setup.start();
  try {
    await use(bed);
  } catch (error) {
    // vitest's onTestFailed does not know whose it is when tests run side by side
    console.error(bed.bench.transcript);
    throw error;
  } finally {
    await bed.stop();
  }
}

/** Kills a daemon and what it started: p11-kit's server has a process for each connection, which outlives it. */
export async function killAll(child: Child | undefined): Promise<void> {
  if (!child) throw new Error('nothing runs');
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ').filter(Boolean);
  child.kill('SIGKILL');
  for (const pid of children) process.kill(Number(pid), 'SIGKILL');
  await child.exited;
}
