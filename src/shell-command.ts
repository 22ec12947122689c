import { isUtf8 } from 'node:buffer';
import { spawn } from 'node:child_process';
import type { Clock } from './clock.ts';
import { AgentError } from './errors.ts';
import { within } from './promises.ts';

/** Milliseconds that a command has: a person may have to type something into a window of its own. */
const DEADLINE = 120_000;
const MAX_OUTPUT_BYTES = 4096;

/** What running commands takes of the process that does it. */
export interface CommandSurroundings {
  readonly clock: Clock;
  readonly environment: NodeJS.ProcessEnv;
  /** Kills a process and all of its group. Default: the process alone. */
  readonly killGroup?: ((leader: number) => void) | undefined;
}

export interface CommandOptions {
  /** What it reads: nothing of it stands in its arguments or its environment. */
  readonly input?: string;
  /** What the shell calls `$1`, `$2`, … No secrets. */
  readonly words?: readonly string[];
  /** Variables beside the agent's own. No secrets. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Milliseconds that it has; 0: as many as the signal lets it have. Default: two minutes. */
  readonly deadline?: number;
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined;
  /** What it says is of no use: it may leave others behind that say more. */
  readonly isSilent?: boolean;
}

/** A word as /bin/sh reads it: in single quotes, where it is not safe bare. */
export function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Nothing but blanks and comments: a shell says yes to it. */
export function runsNothing(command: string): boolean {
  return command.split('\n').every((line) => /^\s*(?:#.*)?$/.test(line));
}

/**
 * Runs a command line for /bin/sh in a process group of its own, which is killed at the deadline, at the signal, and when it
 * says too much. Whoever gets what it said zeroes that. Errors repeat neither the command nor its output.
 * @throws AgentError ERR_ABORTED at the signal; Error
 */
export async function runCommand(
  command: string,
  { input = '', words = [], variables = {}, deadline = DEADLINE, signal, isSilent = false }: CommandOptions,
  { clock, environment, killGroup }: CommandSurroundings,
): Promise<Buffer> {
  if (runsNothing(command)) throw new Error('the command is empty');
  using limit = within(deadline, signal, clock);
  if (limit.signal.aborted) throw new AgentError('ERR_ABORTED', 'given up');
  const child = spawn('/bin/sh', ['-c', command, 'pksigd', ...words], {
    stdio: ['pipe', isSilent ? 'ignore' : 'pipe', 'ignore'],
    env: { ...environment, ...variables },
    detached: killGroup !== undefined,
  });
  const kill = (): void => {
    if (child.pid !== undefined && killGroup) killGroup(child.pid);
    else child.kill('SIGKILL');
    // whoever else has its output is not waited for
    child.stdout?.destroy();
  };
  limit.signal.addEventListener('abort', kill, { once: true });
  const chunks: Buffer[] = [];
  const forget = (): void => {
    for (const chunk of chunks) chunk.fill(0);
  };
  let length = 0;
  child.stdout?.on('data', (chunk: Buffer) => {
    length += chunk.length;
    chunks.push(chunk);
    if (length > MAX_OUTPUT_BYTES) kill();
  });
  // one that does not read what it could
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  try {
    const end = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
      child.once('error', () => {
        reject(new Error('the command can not be started'));
      });
      child.once(isSilent ? 'exit' : 'close', (code: number | null, by: NodeJS.Signals | null) => {
        resolve(code ?? by);
      });
    });
    if (signal?.aborted === true) throw new AgentError('ERR_ABORTED', 'given up');
    if (limit.isLate) throw new Error(`the command did not end within ${deadline / 1000} s`);
    if (length > MAX_OUTPUT_BYTES) throw new Error(`the command says more than ${MAX_OUTPUT_BYTES} bytes`);
    if (end !== 0) throw new Error(`the command failed (${String(end)})`);
    return Buffer.concat(chunks);
  } finally {
    limit.signal.removeEventListener('abort', kill);
    forget();
  }
}

/**
 * The first line of what a command said, zeroed as a whole; undefined if that is empty.
 * @throws Error if it is not UTF-8: other bytes would be replaced
 */
export function firstLineOf(output: Buffer): string | undefined {
  try {
    const end = output.indexOf(0x0a);
    const bytes = output.subarray(0, end < 0 ? output.length : end);
    if (!isUtf8(bytes)) throw new Error('the command says what is not UTF-8');
    const line = bytes.toString().replace(/\r$/, '');
    return line === '' ? undefined : line;
  } finally {
    output.fill(0);
  }
}
