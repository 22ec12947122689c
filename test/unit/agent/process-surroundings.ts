import type { AgentEvent } from '../../../src/agent/events.ts';
import type { Surroundings } from '../../../src/agent/surroundings.ts';
import { NETWORK } from '../../../src/agent/tunnel.ts';
import { SYSTEM_CLOCK } from '../../../src/clock.ts';
import { AgentError } from '../../../src/errors.ts';

/**
 * This process, as an agent sees it, without a terminal.
 * @param folder for its state
 * @param events gets what happens, also late: what an earlier test's agent says is not of the next one
 */
export function processSurroundings(folder: string, events: AgentEvent[]): Surroundings {
  return {
    clock: SYSTEM_CLOCK,
    network: NETWORK,
    emit: (event) => {
      events.push(event);
    },
    pid: process.pid,
    uid: process.geteuid?.(),
    environment: { STATE_DIRECTORY: folder },
    execPath: process.execPath,
    terminal: {
      ask: () => Promise.reject(new AgentError('ERR_PIN_REQUIRED', 'there is no terminal')),
      during: (_, __, work) => work(),
      person: { isWaiting: false, complain: () => undefined },
    },
  };
}
