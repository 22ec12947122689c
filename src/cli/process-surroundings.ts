import type { AgentEvent } from '../agent/events.ts';
import type { Surroundings } from '../agent/surroundings.ts';
import { SYSTEM_CLOCK } from '../clock.ts';
import { NETWORK } from '../agent/tunnel.ts';
import { logEvents } from '../telemetry/event-lines.ts';
import type { Spawn } from '../pkcs11/index.ts';
import type { CommandSurroundings } from '../shell-command.ts';
import { complain, soonOnStderr, type Logger } from './standard-streams.ts';
import { terminal } from './terminal.ts';
import { version } from './version.ts';

/**
 * Kills a process and all of its group. For whoever hears the signals that end this process: those of a terminal do not
 * reach such a group.
 */
export function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // it has gone
  }
}

/** What running commands takes of this process. */
export function commandSurroundings(): CommandSurroundings {
  return { clock: SYSTEM_CLOCK, environment: process.env, killGroup };
}

/**
 * This process, as the agent sees it. Its events become lines of `log`.
 * @param spawn default: node:child_process
 * @param hear told of all events, too
 */
export function processSurroundings(
  log: Logger,
  spawn?: Spawn,
  hear: (event: AgentEvent) => void = () => undefined,
): Surroundings {
  const write = logEvents({ log, now: () => SYSTEM_CLOCK.now(), soon: soonOnStderr });
  return {
    clock: SYSTEM_CLOCK,
    network: NETWORK,
    emit: (event) => {
      hear(event);
      write(event);
    },
    pid: process.pid,
    release: version,
    uid: process.geteuid?.(),
    environment: process.env,
    execPath: process.execPath,
    spawn,
    // a program is asked, not told by the terminal's signals: it ends with its standard input
    killProgram: killGroup,
    terminal: {
      ask: (what, notes) => terminal.ask(what, notes),
      during: (asks, notice, work) => terminal.during(asks, notice, work),
      person: {
        get isWaiting() {
          return terminal.isOpening;
        },
        complain,
      },
    },
  };
}
