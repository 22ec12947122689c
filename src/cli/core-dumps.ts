import { execFile } from 'node:child_process';

/**
 * Sets the limit of core dumps to nothing for this process and for all that it starts: none may hold a PIN. util-linux's
 * prlimit is everywhere on Linux; elsewhere the service manager must do it.
 */
export async function forbidCoreDumps(): Promise<void> {
  await new Promise<void>((resolve) => {
    execFile('prlimit', [`--pid=${process.pid}`, '--core=0:0'], () => {
      resolve();
    });
  });
}
