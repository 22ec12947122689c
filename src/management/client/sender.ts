import { AgentError } from '../../errors.ts';
import type { Reply } from '../commands/reply.ts';
import type { CommandOptions, ExchangeOptions, OutgoingCommand } from '../connection/command-queue.ts';
import type { DaemonVersion } from '../connection/options.ts';
import { commandLine } from '../wire/words.ts';

/** The client that a group of commands belongs to, as far as the group needs it. */
export interface Sender {
  readonly daemonVersion: DaemonVersion;
  /** The client version that was announced last, undefined if none was. */
  readonly announcedVersion: number | undefined;
  /** Sends a line. @throws AgentError ERR_MANAGEMENT_COMMAND if the daemon answers with an error */
  raw(line: string, options?: ExchangeOptions): Promise<Reply>;
  /** Sends bytes that were made by hand. The reply may be an error. */
  submit(command: OutgoingCommand, options?: CommandOptions): Promise<Reply>;
}

/**
 * Sends a command of these words, each quoted as it needs to be, and a block if there is one.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for words that the daemon can't read, and as {@link Sender.raw}
 */
export async function send(
  to: Sender,
  words: readonly (string | number)[],
  options?: CommandOptions,
  body?: readonly string[],
): Promise<Reply> {
  const line = commandLine(words.map((word) => (typeof word === 'number' ? whole(word) : word)));
  return await to.raw(line, body === undefined ? options : { ...options, body });
}

/** A number as the daemon's atoi reads it whole. @throws AgentError ERR_MANAGEMENT_ARGUMENT */
export function whole(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0x7fffffff) return value;
  throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `${value} is not a whole number from 0 to 2147483647`);
}
