import type { ManagementClient } from '../client/client.ts';
import { certificateBlocks } from '../wire/pem.ts';
import { commandLine } from '../wire/words.ts';
import { COMMANDS } from '../commands/table.ts';
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

/** The block behind one command may have so many characters. */
const MAX_BODY = 256 * 1024;

/** A command that clients may send with a block. */
interface BlockCommand {
  /** Numbers that the daemon must be able to read: it would take the block behind a line that it refuses for commands. */
  readonly ids: readonly string[];
  /** Whether a line can stand in its block. */
  readonly takes: (line: string) => boolean;
}

const BLOCKS: ReadonlyMap<string, BlockCommand> = new Map<string, BlockCommand>([
  // directives for a client, of any kind
  ['client-auth', { ids: ['CID', 'KID'], takes: isNoCommand }],
  // pf_init in pf.c
  ['client-pf', { ids: ['CID'], takes: (line) => /^(?:[+#-].*|\[[a-z ]*\] *| *)$/i.test(line) }],
]);

/** Commands that show something and change nothing. A block may have lines that look like them. */
const HARMLESS = new Set(['echo', 'help', 'load-stats', 'nclients', 'pid', 'state', 'status']);

/**
 * Whether a line would do no harm as a command. A daemon that takes the block never reads it as one; should it not take
 * it, for whatever reason, nothing comes of it. Stricter than the daemon's own reading: a first word with quotes or
 * backslashes in it may end elsewhere than one thinks (`"pk-sig"x` is two words), and no directive needs them there.
 */
function isNoCommand(line: string): boolean {
  const first = line.trim().split(/\s/, 1)[0] ?? '';
  if (/["'\\]/.test(first)) return false;
  return HARMLESS.has(first) || COMMANDS[first] === undefined;
}

/** A command with a block: all of it goes to the daemon at once, or nothing does. */
export async function dispatchBlock(command: Outgoing, client: RelayClient, context: RelayContext): Promise<void> {
  const { name } = command;
  const block = BLOCKS.get(name);
  if (block === undefined) await dispatchAnswer(command, client, context);
  else if (context.rights !== 'all') {
    if ((await readBlock(client)) !== undefined) client.reply([denied(name, context.rights)]);
  } else await dispatchClientBlock(block, command, client, context);
}

/** `client-auth`, `client-pf`. */
async function dispatchClientBlock(
  block: BlockCommand,
  command: Outgoing,
  client: RelayClient,
  context: RelayContext,
): Promise<void> {
  const { name } = command;
  const ids = command.words.slice(1, 1 + block.ids.length);
  const wrong = ids.findIndex((id) => !/^\d{1,9}$/.test(id));
  const line = commandLine([name, ...ids], 'latin1');
  if (ids.length < block.ids.length) {
    await relay({ ...command, line }, client, context, plainReply(client));
    return;
  }
  if (wrong !== -1) {
    client.reply([`ERROR: cannot parse ${block.ids[wrong] ?? ''}`]);
    return;
  }
  // another one may come while we read or ask: to that the same numbers are other clients
  const { upstream } = context;
  const lines = await readBlock(client);
  if (lines === undefined) return;
  const isThere = (): boolean => context.upstream === upstream;
  const refused = lines.find((each) => !block.takes(each));
  if (isThere() && upstream && !(await takesBlock(name, upstream))) client.reply([unknown(name, context)]);
  else if (refused !== undefined) client.reply([`ERROR: a line of the block can't stand in it: ${refused}`]);
  else if (!isThere()) client.reply(['ERROR: the daemon is away']);
  else await relay({ ...command, line }, client, context, plainReply(client), lines);
}

/** Whether this daemon's release takes a block behind that command. */
async function takesBlock(name: string, upstream: ManagementClient): Promise<boolean> {
  const { management } = upstream.daemonVersion;
  if (management <= NEWEST_MANAGEMENT)
    return management >= 1 && management <= (COMMANDS[name]?.until ?? NEWEST_MANAGEMENT);
  // a release that came after us says so itself
  const help = await upstream.exchange('help').catch(() => undefined);
  return help?.lines.some((line) => line.startsWith(`${name} `) && line.includes('(MULTILINE)')) ?? false;
}

/** `pk-sig`, `rsa-sig`, `certificate`: answers to what the daemon asks the agent. */
async function dispatchAnswer(command: Outgoing, client: RelayClient, context: RelayContext): Promise<void> {
  const { name } = command;
  const { questions, rights, upstream } = context;
  const isAsked = (): boolean => questions.type === 'NEED-CERTIFICATE';
  if (name !== 'certificate' || rights !== 'all' || !isAsked()) {
    // what the daemon says to whom it hasn't asked; the block's lines are then commands to it
    client.reply([notAvailable(name)]);
    return;
  }
  const body = await readBlock(client);
  if (body === undefined) return;
  // another daemon may ask by now, which this is no answer for
  if (context.upstream !== upstream) {
    client.reply(['ERROR: the daemon is away']);
    return;
  }
  const lines = pemLines(body);
  if (lines === undefined) {
    client.reply(['ERROR: the block holds no PEM certificate']);
    return;
  }
  // another client's came first
  if (!isAsked()) {
    client.reply([notAvailable(name)]);
    return;
  }
  questions.clear();
  await relay({ ...command, line: name }, client, context, plainReply(client), lines);
}

function notAvailable(name: string): string {
  return `ERROR: The ${name} command is not currently available`;
}

/** The lines up to END; undefined if the client left before it, or never comes to it. */
async function readBlock(client: RelayClient): Promise<string[] | undefined> {
  const lines: string[] = [];
  let length = 0;
  for (let line = await client.next(); line !== undefined; line = await client.next()) {
    if (line.text === 'END') return lines;
    // an empty line costs memory too
    length += line.text.length + 16;
    if (line.tooLong || length > MAX_BODY) {
      client.reply(['ERROR: the block is too long']);
      client.close();
      return undefined;
    }
    lines.push(line.text);
  }
  return undefined;
}

/** The certificates, without the text around them; undefined if there are none, or a line in one is not base64. */
function pemLines(body: readonly string[]): string[] | undefined {
  const blocks = certificateBlocks(body);
  const isWhole = (block: readonly string[]): boolean => block.length > 2 && block.slice(1, -1).every(isBase64);
  return blocks.length > 0 && blocks.every(isWhole) ? blocks.flat() : undefined;
}

/** Base64 has words that are commands too: `quit`, `help`. */
function isBase64(line: string): boolean {
  return /^[A-Za-z0-9+/]{1,76}={0,2}$/.test(line) && isNoCommand(line);
}
