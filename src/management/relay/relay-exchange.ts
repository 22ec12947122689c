import { errorCode, errorText } from '../../errors.ts';
import type { ManagementClient } from '../client/client.ts';
import type { RelayRights } from '../commands/table.ts';
import type { Questions } from './questions.ts';
import type { RelayClient } from './relay-client.ts';
import { redactLog } from './rights.ts';
import type { Topic } from './subscriptions.ts';

/** The state that the clients of one relay share. */
export interface RelayContext {
  readonly rights: RelayRights;
  readonly questions: Questions;
  readonly clients: ReadonlySet<RelayClient>;
  /** Clients outlive the daemon: they are told what became of their commands. */
  readonly keep: boolean;
  upstream: ManagementClient | undefined;
  /** The notifications that the daemon was asked for. */
  readonly asked: Set<Topic>;
  /** Seconds between byte counts that the daemon was asked for, 0 for none. */
  interval: number;
  /** Who gets the daemon's question again, as the only one. */
  repeatTo: RelayClient | undefined;
}

/** A command as it goes to the daemon. */
export interface Outgoing {
  readonly name: string;
  readonly line: string;
  /** Empty where we can't read the line. */
  readonly words: readonly string[];
}

/** Gets a reply's lines, one character a byte. */
export type OnReply = (lines: readonly string[]) => void;

/** The newest management interface that we know all commands of: 2.7's. */
export const NEWEST_MANAGEMENT = 6;

export function plainReply(client: RelayClient): OnReply {
  return (lines) => {
    client.reply(lines);
  };
}

export function denied(name: string, rights: RelayRights): string {
  return `ERROR: The '${name}' command is not allowed on this relay (--relay-allow ${rights})`;
}

/** In the daemon's words: it names the command from 2.7 on. */
export function unknown(name: string, context: RelayContext): string {
  const named = (context.upstream?.daemonVersion.management ?? 5) >= 6 ? ` [${name}]` : '';
  return `ERROR: unknown command${named}, enter 'help' for more options`;
}

/** Sends a command and gives its reply to `onReply`, at once; a client gets an error if there is none. */
export async function relay(
  command: Outgoing,
  client: RelayClient,
  context: RelayContext,
  onReply: OnReply,
  body?: readonly string[],
): Promise<void> {
  const { upstream, questions, rights } = context;
  if (upstream === undefined) {
    client.subscriptions.forgetWanted();
    client.reply(['ERROR: the daemon is away']);
    return;
  }
  try {
    await upstream.exchange(command.line, {
      ...(body && { body }),
      encoding: 'latin1',
      onReply: (reply, bytes) => {
        // such a reply is followed by the question that the daemon waits with (man_signal in manage.c)
        if (reply.error?.endsWith(' is currently ignored') === true) context.repeatTo = client;
        questions.settle(command.name, command.words[1], reply);
        onReply(command.name === 'log' ? bytes.map((line) => redactLog(line, rights)) : bytes);
      },
    });
  } catch (error) {
    client.subscriptions.forgetWanted();
    // where the daemon has gone its connections just end
    if (context.keep || errorCode(error) !== 'ERR_MANAGEMENT_CLOSED') client.reply([`ERROR: ${errorText(error)}`]);
  }
}
