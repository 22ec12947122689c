#!/usr/bin/env node
// What comes first in every command. Nothing is imported before it: in the time that this takes, SIGUSR1 would open Node's
// debugger. For the time before see bin/pksigd.cjs.
process.on('SIGUSR1', () => undefined);

/** Closes a debugger that a signal or the environment's NODE_OPTIONS opened; whoever gave Node --inspect keeps it. */
function closeDebugger(): void {
  try {
    const inspector = process.getBuiltinModule('node:inspector');
    if (inspector.url() !== undefined) inspector.close();
  } catch {
    // a Node that was built without it
  }
}

/** Milliseconds: another thread takes a signal's request, and may still be about to open it when our handler is there. */
const AGAIN = [0, 20, 200, 2_000];

if (!process.execArgv.some((word) => /^--inspect(-brk|-wait)?(=|$)/.test(word))) {
  closeDebugger();
  for (const delay of AGAIN) setTimeout(closeDebugger, delay).unref();
}

if (process.argv[2] === 'run') {
  const { MEANINGLESS_SIGNALS } = await import('../signals.ts');
  for (const name of MEANINGLESS_SIGNALS) process.on(name, () => undefined);
}

const { main } = await import('./program.ts');
await main();
