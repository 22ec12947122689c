import { spawn as nodeSpawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { Duplex, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { errorText } from '../../errors.ts';

/** As node:child_process's. */
export type Spawn = (command: string, args: readonly string[], options: SpawnOptions) => ChildProcess;

/** A module host's process and its pipes. */
export interface HostProcess {
  readonly child: ChildProcess;
  /** Its standard input: frames. */
  readonly requests: Duplex;
  /** Its descriptor 3: frames. */
  readonly replies: Duplex;
  /** Its standard output and error, which belong to the module. */
  readonly prints: readonly Readable[];
}

const HOST_PROGRAM: string = fileURLToPath(new URL('../../program/module-host.cjs', import.meta.url));
const REAL_TIME_SIGNALS = Array.from({ length: 31 }, (_, index) => 34 + index).join(' ');
/**
 * Starts it through a shell, which ignores what Node can't in its first milliseconds, and real-time signals for good. A
 * debugger that is to listen on an address that no machine has does not open, whatever signal comes when. No core dump may
 * hold a PIN, whoever started the agent.
 */
const LAUNCHER = `ulimit -c 0 2>/dev/null
{ echo 0 >/proc/self/coredump_filter; } 2>/dev/null
command trap '' HUP INT QUIT TERM USR1 USR2 ALRM VTALRM PROF ${REAL_TIME_SIGNALS} 2>/dev/null
exec "$0" --inspect-port=0.0.0.1:65535 "$@"`;

/** How to start a module host: what {@link Spawn} takes. */
export function hostCommand({
  execPath,
  environment: given,
}: {
  readonly execPath: string;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
}): Parameters<Spawn> {
  // NODE_OPTIONS are not for the process that gets the PIN: they may open a debugger, or load other code. Certificates, which
  // a host has no use for, would take longer to read than all else
  const { NODE_OPTIONS: _, NODE_EXTRA_CA_CERTS: __, ...env } = given;
  return ['/bin/sh', ['-c', LAUNCHER, execPath, HOST_PROGRAM], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'], env }];
}

/**
 * Starts the process of a module host. Without descriptors, memory or processes to spare there is none.
 * @param onFailure told why there is none, or why it could not be started after all: now or later
 * @returns undefined if there is none
 */
export function launch(
  options: {
    readonly execPath: string;
    readonly environment: Readonly<NodeJS.ProcessEnv>;
    readonly spawn?: Spawn | undefined;
  },
  onFailure: (reason: string) => void,
): HostProcess | undefined {
  const { spawn = nodeSpawn } = options;
  let child: ChildProcess;
  try {
    child = spawn(...hostCommand(options));
  } catch (error) {
    onFailure(`could not be started: ${errorText(error)}`);
    return undefined;
  }
  child.on('error', (error) => {
    onFailure(`could not be started: ${errorText(error)}`);
  });
  // a spawn that found no descriptors (EMFILE) has no pipes, whatever its type says; its 'error' is on the way
  if (!(child as Partial<ChildProcess>).stdio) return undefined;
  const [requests, output, errors, replies] = child.stdio;
  if (!(requests instanceof Duplex) || !(replies instanceof Duplex) || !output || !errors) {
    onFailure('could not be started: no pipes to it');
    child.kill('SIGKILL');
    return undefined;
  }
  return { child, requests, replies, prints: [output, errors] };
}
