import type { SecretsSurroundings } from '../config/secrets.ts';
import type { Spawn } from '../pkcs11/index.ts';
import type { Emit } from './events.ts';
import type { Network } from './tunnel.ts';
import type { Clock } from '../clock.ts';
import { runCommand } from '../shell-command.ts';

/**
 * What only a process has: handed in, so that the agent can run under a simulated clock and network, without a terminal, and
 * in a test.
 */
export interface Surroundings {
  readonly clock: Clock;
  readonly network: Network;
  readonly emit: Emit;
  readonly pid: number;
  /** Of this program, for the audit log. */
  readonly release?: string | undefined;
  /** Our own user ID; undefined where the system has none. */
  readonly uid: number | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** The Node that module hosts run on. */
  readonly execPath: string;
  /** Starts module hosts. Default: node:child_process. */
  readonly spawn?: Spawn | undefined;
  /** Kills a command and all that it started, by the process ID of their group. Default: the command alone. */
  readonly killGroup?: ((leader: number) => void) | undefined;
  /** The same for the programs of `exec:` keys, which have a group of their own wherever this is given. */
  readonly killProgram?: ((leader: number) => void) | undefined;
  /** The terminal, as far as there is one. */
  readonly terminal: Terminal;
}

export interface Terminal {
  readonly person: SecretsSurroundings['person'];
  /** Asks without echo. @throws AgentError ERR_PIN_REQUIRED where there is no terminal, ERR_ABORTED */
  readonly ask: SecretsSurroundings['prompt'];
  /**
   * Does something in which a person waits.
   * @param asks a secret may be asked for: no echo meanwhile
   * @param notice what it is, shown if it takes a while
   */
  readonly during: <Result>(asks: boolean, notice: string, work: () => Promise<Result>) => Promise<Result>;
}

/** What reading secrets takes of it. @param signal ends the commands that print them */
export function secretsSurroundings(surroundings: Surroundings, signal?: AbortSignal): SecretsSurroundings {
  const { environment, terminal, emit } = surroundings;
  return {
    credentialsDirectory: environment['CREDENTIALS_DIRECTORY'],
    prompt: terminal.ask,
    warn: (text) => {
      emit({ type: 'warning', text });
    },
    run: (command, options) => runCommand(command, { ...options, signal }, surroundings),
    onAsking: (what, by, isOver) => {
      emit({ type: 'secret-asked', what, by, isOver });
    },
    person: terminal.person,
  };
}
