import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { processLimit } from './limits.ts';

/** Are there none in any case? The shell in bin/pksigd.cjs sees to that. */
function areForbidden(): boolean {
  const { soft, hard } = processLimit('Max core file size') ?? {};
  return soft === '0' && hard === '0';
}

/**
 * Sets the limit of core dumps to nothing for this process and for all that it starts: none may hold a PIN. util-linux's
 * prlimit is everywhere on Linux; elsewhere only the command's shell does it. Where a program gets core dumps through a pipe
 * (core(5)) the limit does not hold: there is nothing of the memory in them.
 */
export async function forbidCoreDumps(): Promise<void> {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // not on Linux
  }
  if (areForbidden()) return;
  await new Promise<void>((resolve) => {
    execFile('prlimit', [`--pid=${process.pid}`, '--core=0:0'], () => {
      resolve();
    });
  });
}
