import { errorText } from '../../errors.ts';
import { atoi } from '../wire/fields.ts';
import { commandLine, MAX_PIPELINED_LINE, parseLine } from '../wire/words.ts';
import { COMMANDS, replyShape } from '../commands/table.ts';
import { dispatchBlock } from './blocks.ts';
import type { RelayClient } from './relay-client.ts';
import {
  denied,
  NEWEST_MANAGEMENT,
  type Outgoing,
  plainReply,
  relay,
  type RelayContext,
  unknown,
} from './relay-exchange.ts';
import { judge } from './rights.ts';
import { forwardedWords, outcome, TOPICS, type Topic } from './subscriptions.ts';

/** Behind a longer line nothing could be sent until the daemon has read it: not even a signature. */
const TOO_LONG = 'ERROR: the line is too long';

/** A name that the daemon can't read otherwise than we do. */
const PLAIN_NAME = /^ *([A-Za-z0-9_][A-Za-z0-9_.-]*)(?= |$)/;

/** Commands whose words the relay acts upon: it must read them as the daemon does. */
const FOLLOWED = new Set<string>([...TOPICS, 'bytecount', 'version']);

/** Carries out the client's commands one after the other, until it leaves. */
export async function carryOut(client: RelayClient, context: RelayContext): Promise<void> {
  for (let line = await client.next(); line !== undefined; line = await client.next()) {
    if (line.tooLong) client.reply([TOO_LONG]);
    else if (!(await dispatch(line.text, client, context))) return;
    await client.flushed();
  }
}

/** Returns false if the client is to leave. */
async function dispatch(text: string, client: RelayClient, context: RelayContext): Promise<boolean> {
  const command = read(text);
  if (typeof command === 'string') {
    client.reply([command]);
    return true;
  }
  const { name } = command;
  if (name === undefined) return true;
  if (name === 'exit' || name === 'quit') return false;
  if (COMMANDS[name]?.body === true) {
    await dispatchBlock({ ...command, name }, client, context);
    return true;
  }
  const verdict = isKnowable(name, context) ? judge(name, command.words, context.rights) : 'unknown';
  if (verdict === 'denied') client.reply([denied(name, context.rights)]);
  else if (verdict === 'unknown') client.reply([unknown(name, context)]);
  else await forward({ ...command, name }, client, context);
  return true;
}

/** Releases after us may have commands that take a block: unseen, it would swallow what others send, signatures too. */
function isKnowable(name: string, { upstream }: RelayContext): boolean {
  if (!PLAIN_NAME.test(name)) return false;
  return name in COMMANDS || (upstream?.daemonVersion.management ?? 0) <= NEWEST_MANAGEMENT;
}

/** A client's line in the form in which it is sent, or an error's text. Without a name there is nothing to do. */
function read(text: string): { name: string | undefined; line: string; words: readonly string[] } | string {
  const words = parseLine(text, 'latin1');
  if (words !== undefined) {
    try {
      const line = commandLine(words, 'latin1');
      return line.length > MAX_PIPELINED_LINE ? TOO_LONG : { name: words[0], line, words };
    } catch (error) {
      return `ERROR: ${errorText(error)}`;
    }
  }
  // a line that we can't read; nor can the daemon, as far as we know, and says so itself
  const name = PLAIN_NAME.exec(text)?.[1];
  if (name === undefined || FOLLOWED.has(name)) return 'ERROR: Options error: the command can not be read';
  return { name, line: text.trimStart(), words: [] };
}

async function forward(command: Outgoing, client: RelayClient, context: RelayContext): Promise<void> {
  const { name, words } = command;
  const topic = TOPICS.find((each) => each === name);
  if (topic !== undefined && words.length > 1) await followTopic(topic, words, client, context);
  else if (name === 'bytecount' && words.length > 1) await countBytes(words[1] ?? '', client, context);
  else if (name === 'version' && words.length > 1) await announceVersion(command, client, context);
  // to a client of version 5 the daemon (2.7) would take all that follows, up to END, for the password
  else if (name === 'password' && words.length === 2)
    client.reply(["ERROR: the 'password' command requires 2 parameters"]);
  else await relay(command, client, context, plainReply(client));
}

/** `log`, `state` and `echo` with what to do: turned off for one client, they stay on for the others. */
async function followTopic(
  topic: Topic,
  words: readonly string[],
  client: RelayClient,
  context: RelayContext,
): Promise<void> {
  const { wanted, active } = client.subscriptions;
  const last = words.slice(1, 3).findLast((word) => word === 'on' || word === 'off');
  if (last === 'on') wanted.add(topic);
  else if (last === 'off') wanted.delete(topic);
  const others = [...context.clients].some((each) => each !== client && each.subscriptions.wanted.has(topic));
  if (others || last === 'on') context.asked.add(topic);
  else if (last === 'off') context.asked.delete(topic);
  const line = commandLine(forwardedWords(words, others), 'latin1');
  await relay({ name: topic, line, words }, client, context, (reply) => {
    const { lines, on } = outcome(topic, words, reply);
    client.reply(lines);
    if (on === true) active.add(topic);
    else if (on === false) active.delete(topic);
  });
}

/** The daemon counts in the shortest interval that a client wants; it is told only what changes that. */
async function countBytes(word: string, client: RelayClient, context: RelayContext): Promise<void> {
  const { subscriptions } = client;
  subscriptions.wantedInterval = Math.max(0, atoi(word));
  const interval = shortest(context);
  if (interval === context.interval && context.upstream !== undefined) {
    client.reply(['SUCCESS: bytecount interval changed']);
    subscriptions.startByteCounts();
    return;
  }
  context.interval = interval;
  await relay({ name: 'bytecount', line: `bytecount ${interval}`, words: [] }, client, context, (lines) => {
    client.reply(lines);
    subscriptions.startByteCounts();
  });
}

function shortest(context: RelayContext): number {
  const wanted = [...context.clients]
    .map(({ subscriptions }) => subscriptions.wantedInterval)
    .filter((each) => each > 0);
  return wanted.length === 0 ? 0 : Math.min(...wanted);
}

/** The agent needs the version that it announced: a client's own is acknowledged as the daemon would. */
async function announceVersion(command: Outgoing, client: RelayClient, context: RelayContext): Promise<void> {
  const { line, words } = command;
  const [part] = replyShape(line, context.upstream?.daemonVersion.management ?? 5).parts;
  if (part === undefined) return;
  if (part.kind === 'line') {
    client.reply([`SUCCESS: Management client version set to ${atoi(words[1] ?? '')}`]);
    return;
  }
  await relay({ name: 'version', line: 'version', words: [] }, client, context, plainReply(client));
}

/** Asks the daemon for what clients want by now, where that isn't what it was asked for: one has left, or it is back. */
export function adjust(context: RelayContext): void {
  const { upstream, asked, clients } = context;
  if (upstream === undefined) return;
  const ask = (line: string): void => {
    // a daemon that goes meanwhile is asked anew when it is back
    upstream.exchange(line).catch(() => undefined);
  };
  for (const topic of TOPICS) {
    const wanted = [...clients].some(({ subscriptions }) => subscriptions.wanted.has(topic));
    if (wanted === asked.has(topic)) continue;
    if (wanted) asked.add(topic);
    else asked.delete(topic);
    ask(`${topic} ${wanted ? 'on' : 'off'}`);
  }
  const interval = shortest(context);
  if (interval === context.interval) return;
  context.interval = interval;
  ask(`bytecount ${interval}`);
}
