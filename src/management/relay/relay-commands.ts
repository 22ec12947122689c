import { errorCode, errorText } from '../../errors.ts';
import type { ManagementClient } from '../client.ts';
import { commandLine, MAX_PIPELINED_LINE, parseLine } from '../wire/words.ts';
import type { Reply } from '../reply.ts';
import { COMMANDS, replyShape } from '../reply-shape.ts';
import type { Questions } from './questions.ts';
import type { RelayClient } from './relay-client.ts';
import { judge, type RelayRights } from './rights.ts';
import { forwardedWords, outcome, type Topic, TOPICS } from './subscriptions.ts';

/** What the clients of one relay share. */
export interface RelayContext {
  readonly rights: RelayRights;
  readonly questions: Questions;
  readonly clients: ReadonlySet<RelayClient>;
  /** Clients outlive the daemon: they are told what became of their commands. */
  readonly keep: boolean;
  upstream: ManagementClient | undefined;
  /** What the daemon was asked for. */
  readonly asked: Set<Topic>;
  /** Seconds between byte counts that the daemon was asked for, 0 for none. */
  interval: number;
  /** Who gets the daemon's question again, as the only one. */
  repeatTo: RelayClient | undefined;
}

/** A command as it goes to the daemon. */
interface Outgoing {
  readonly name: string;
  readonly line: string;
  /** Empty where we can't read the line. */
  readonly words: readonly string[];
}

/** The block behind one command may have so many characters. */
const MAX_BODY = 256 * 1024;

/** Behind a longer line nothing could be sent until the daemon has read it: not even a signature. */
const TOO_LONG = 'ERROR: the line is too long';

/** A name that the daemon can't read otherwise than we do. */
const PLAIN_NAME = /^ *([A-Za-z0-9_][A-Za-z0-9_.-]*)(?= |$)/;

/** What these do depends on their words: they must be certain. */
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
  const verdict = PLAIN_NAME.test(name) ? judge(name, command.line, context.rights) : 'unknown';
  if (verdict === 'denied') client.reply([denied(name, context.rights)]);
  else if (verdict === 'unknown') client.reply([unknown(name, context)]);
  else await forward({ ...command, name }, client, context);
  return true;
}

/** What a line is, in the form in which it is sent; an error's text if it can't be. No name: nothing to do. */
function read(text: string): { name: string | undefined; line: string; words: readonly string[] } | string {
  const words = parseLine(text, 'latin1');
  if (words?.length === 0) return { name: undefined, line: '', words };
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

function denied(name: string, rights: RelayRights): string {
  return `ERROR: The '${name}' command is not allowed on this relay (--relay-allow ${rights})`;
}

/** In the daemon's words: it names the command from 2.7 on. */
function unknown(name: string, context: RelayContext): string {
  const named = (context.upstream?.daemonVersion.management ?? 5) >= 6 ? ` [${name}]` : '';
  return `ERROR: unknown command${named}, enter 'help' for more options`;
}

async function forward(command: Outgoing, client: RelayClient, context: RelayContext): Promise<void> {
  const { name, words } = command;
  const topic = TOPICS.find((each) => each === name);
  if (topic !== undefined && words.length > 1) await followTopic(topic, words, client, context);
  else if (name === 'bytecount' && words.length > 1) await countBytes(words[1] ?? '', client, context);
  else if (name === 'version' && words.length > 1) await announceVersion(command, client, context);
  else await relay(command, client, context, plainReply(client));
}

type OnReply = (reply: Reply) => void;

function plainReply(client: RelayClient): OnReply {
  return ({ raw }) => {
    client.reply(raw);
  };
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
  const line = commandLine(forwardedWords(words, others));
  await relay({ name: topic, line, words }, client, context, (reply) => {
    const { lines, on } = outcome(topic, words, reply);
    client.reply(lines);
    if (on === true) active.add(topic);
    else if (on === false) active.delete(topic);
  });
}

/** The daemon counts in the shortest interval that anybody wants; it is told only what changes that. */
async function countBytes(word: string, client: RelayClient, context: RelayContext): Promise<void> {
  const { subscriptions } = client;
  subscriptions.wantedInterval = Math.max(0, Number.parseInt(word, 10) || 0);
  const interval = shortest(context);
  if (interval === context.interval && context.upstream !== undefined) {
    client.reply(['SUCCESS: bytecount interval changed']);
    subscriptions.startByteCounts();
    return;
  }
  context.interval = interval;
  await relay({ name: 'bytecount', line: `bytecount ${interval}`, words: [] }, client, context, (reply) => {
    client.reply(reply.raw);
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
    client.reply([`SUCCESS: Management client version set to ${Number.parseInt(words[1] ?? '', 10)}`]);
    return;
  }
  await relay({ name: 'version', line: 'version', words: [] }, client, context, plainReply(client));
}

/** Sends a command and gives its reply to `onReply`, at once; a client gets an error if there is none. */
async function relay(
  command: Outgoing,
  client: RelayClient,
  context: RelayContext,
  onReply: OnReply,
  body?: readonly string[],
): Promise<void> {
  const { upstream, questions } = context;
  if (upstream === undefined) {
    client.reply(['ERROR: the daemon is away']);
    return;
  }
  try {
    await upstream.exchange(command.line, {
      ...(body && { body }),
      onReply: (reply) => {
        // such a reply is followed by the question that the daemon waits with (man_signal in manage.c)
        if (reply.error?.endsWith(' is currently ignored') === true) context.repeatTo = client;
        questions.settle(command.name, command.words[1], reply);
        onReply(reply);
      },
    });
  } catch (error) {
    client.subscriptions.forgetWanted();
    // where the daemon has gone its connections just end
    if (context.keep || errorCode(error) !== 'ERR_MANAGEMENT_CLOSED') client.reply([`ERROR: ${errorText(error)}`]);
  }
}

/** A command with a block: all of it goes to the daemon at once, or nothing does. */
async function dispatchBlock(command: Outgoing, client: RelayClient, context: RelayContext): Promise<void> {
  const { name, words } = command;
  const { questions, rights } = context;
  const isCertificate = name === 'certificate' && rights === 'all' && questions.type === 'NEED-CERTIFICATE';
  if (/^(?:pk-sig|rsa-sig|certificate)$/.test(name) && !isCertificate) {
    // what the daemon says to whom it hasn't asked; the block's lines are then commands to it
    client.reply([`ERROR: The ${name} command is not currently available`]);
    return;
  }
  const ids = name === 'client-auth' ? words.slice(1, 3) : name === 'client-pf' ? words.slice(1, 2) : [];
  if (rights === 'all' && name.startsWith('client-')) {
    // where the daemon would refuse the line it would take the block behind it for commands
    if (ids.length < (name === 'client-auth' ? 2 : 1)) {
      await relay({ ...command, line: commandLine([name, ...ids]) }, client, context, plainReply(client));
      return;
    }
    const wrong = ids.findIndex((id) => !/^\d{1,9}$/.test(id));
    if (wrong !== -1) {
      client.reply([`ERROR: cannot parse ${wrong === 0 ? 'CID' : 'KID'}`]);
      return;
    }
  }
  const body = await readBlock(client);
  if (body === undefined) return;
  if (!isCertificate && rights !== 'all') {
    client.reply([denied(name, rights)]);
    return;
  }
  if (isCertificate) questions.clear();
  const lines = isCertificate ? pemLines(body) : body;
  await relay({ ...command, line: commandLine([name, ...ids]) }, client, context, plainReply(client), lines);
}

/** The lines up to END; undefined if the client left before it, or never comes to it. */
async function readBlock(client: RelayClient): Promise<string[] | undefined> {
  const lines: string[] = [];
  let length = 0;
  for (let line = await client.next(); line !== undefined; line = await client.next()) {
    if (line.text === 'END') return lines;
    length += line.text.length + 1;
    if (line.tooLong || length > MAX_BODY) {
      client.reply(['ERROR: the block is too long']);
      client.close();
      return undefined;
    }
    lines.push(line.text);
  }
  return undefined;
}

/** Only what can't be a command, should the daemon no longer want it. */
function pemLines(body: readonly string[]): string[] {
  const blocks = body.join('\n').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => block.split('\n'));
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
