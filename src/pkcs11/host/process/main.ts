// The module host: a process that loads one PKCS#11 module for the agent and dies with it. The end of its input is what
// ends it, no signal: a terminal's Ctrl-C and systemd's stop reach every process of the group, and the agent must be able
// to finish the request at hand.
import { MEANINGLESS_SIGNALS } from '../../../signals.ts';

for (const signal of [...MEANINGLESS_SIGNALS, 'SIGINT', 'SIGTERM', 'SIGTSTP'] as const) {
  process.on(signal, () => undefined);
}

/** Only now what takes longer to load. */
async function start(): Promise<void> {
  const { serve } = await import('./serve.ts');
  await serve();
  // no C_Finalize here: modules are known to hang in it. An agent that has the time asks for it, with a deadline
  process.exit(0);
}

void start();
