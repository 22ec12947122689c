import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { AgentError, errorText } from '../errors.ts';
import {
  COMMANDS,
  commandLine,
  commandOf,
  connectManagement,
  type DaemonOwner,
  encodeNotification,
  listenManagement,
  type ManagementAddress,
  type ManagementClient,
  type Notification,
  parseLine,
  parseReply,
  type Reply,
} from '../management/index.ts';
import type { Secret } from '../secret.ts';
import { printable, printableColumns, printableJson } from '../telemetry/printable.ts';
import { completeCommand } from './management-completion.ts';

/** `pksigd management`'s options, parsed. */
export interface ManagementCommandOptions {
  readonly address: ManagementAddress;
  /** Whose the daemon's end must be. Default: anybody's. */
  readonly owner?: DaemonOwner | undefined;
  /** From the password file that `--management` names. */
  readonly password?: Secret | undefined;
  /** `--management-client`: the daemon connects to us. */
  readonly listen?: boolean | undefined;
  /** Announce this version. */
  readonly clientVersion?: number | undefined;
  /** Print parsed replies and notifications, one JSON object a line. */
  readonly json?: boolean | undefined;
  /**
   * What stands behind `--`: one piece is a line as it is, several are its words, to be quoted. None starts the
   * prompt.
   */
  readonly command: readonly string[];
}

/** What the command reads from and writes to. */
export interface ManagementCommandIo {
  /** Commands, or the block of the one command that takes one. A terminal gets a prompt. */
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
  readonly signal?: AbortSignal | undefined;
}

/**
 * `pksigd management --management ADDRESS PORT|unix -- COMMAND…`: sends a command and prints its reply; without one,
 * reads commands and prints notifications as they come.
 *
 * @throws AgentError ERR_MANAGEMENT_COMMAND if the daemon refuses the one command, and as connectManagement does
 */
export async function runManagementCommand(options: ManagementCommandOptions, io: ManagementCommandIo): Promise<void> {
  await using client = await connect(options, io);
  const print = new Printer(io.stdout, options.json ?? false);
  const { command } = options;
  if (command.length > 0) {
    const [line = ''] = command;
    await runOne(client, command.length === 1 ? line : commandLine(command), io.stdin, print);
  } else {
    await runPrompt(client, io, print);
  }
}

async function connect(options: ManagementCommandOptions, io: ManagementCommandIo): Promise<ManagementClient> {
  const { password, clientVersion, owner } = options;
  const { signal } = io;
  if (options.listen !== true) return connectManagement(options.address, { password, clientVersion, owner, signal });
  await using listener = await listenManagement(options.address, {
    ...{ password, clientVersion, owner, signal },
    maxDaemons: 1,
    onRejected: (error, _, count) => {
      io.stderr.write(`${printable(errorText(error))}${count > 1 ? ` (${count} times)` : ''}\n`);
    },
  });
  for await (const client of listener) {
    // the listener's signal is only its own
    signal?.addEventListener('abort', () => void client.close(), { once: true });
    return client;
  }
  throw new AgentError('ERR_ABORTED', 'no daemon connected');
}

async function runOne(client: ManagementClient, line: string, stdin: Readable, print: Printer): Promise<void> {
  // nobody reads them: they must not hold the daemon back
  client.on('*', () => undefined);
  const body = takesBody(line) ? await readLines(stdin) : undefined;
  const reply = await client.raw(line, body === undefined ? {} : { body });
  print.reply(line, reply);
}

async function runPrompt(client: ManagementClient, io: ManagementCommandIo, print: Printer): Promise<void> {
  const terminal = io.stdin.isTTY === true && io.stdout.isTTY === true;
  const lines = createInterface({
    input: io.stdin,
    output: terminal ? io.stdout : undefined,
    terminal,
    completer: completeCommand,
  });
  lines.setPrompt(`${printable(client.peer)}> `);
  // a password is not for whoever presses the arrow key next
  lines.on('history', (history: string[]) => {
    for (let at = history.length - 1; at >= 0; at -= 1) if (isSecret(history[at] ?? '')) history.splice(at, 1);
  });
  lines.on('SIGINT', () => {
    lines.close();
  });
  const above = (work: () => void): void => {
    if (terminal) io.stdout.write('\r\x1b[2K');
    work();
    if (terminal) lines.prompt(true);
  };
  client.on('*', (notification, came) => {
    above(() => {
      print.notification(notification, came);
    });
  });
  void client.closed.then(() => {
    lines.close();
  });
  if (terminal) lines.prompt();
  let block: { line: string; body: string[] } | undefined;
  let unanswered: AgentError | undefined;
  for await (const typed of lines) {
    if (block !== undefined && typed !== 'END') {
      block.body.push(typed);
    } else if (block === undefined && takesBody(typed)) {
      block = { line: typed, body: [] };
    } else {
      const { line, body } = block ?? { line: typed, body: undefined };
      block = undefined;
      // once the connection is gone, what else is typed has nowhere to go
      unanswered ??= await send(client, line, body, io.stderr, print);
    }
    if (terminal) lines.prompt();
  }
  const { by, error } = await Promise.race([client.closed, client.close().then(() => client.closed)]);
  if (by === 'daemon' && unanswered !== undefined) throw unanswered;
  if (by === 'daemon') io.stderr.write(`${printable(client.peer)} has closed the connection\n`);
  if (by === 'error' && error !== undefined) throw error;
}

/**
 * One command of the prompt: what fails there is told, and the next one read.
 * @returns why it has no reply, if the connection is gone: that is told once, at the end
 */
async function send(
  client: ManagementClient,
  line: string,
  body: readonly string[] | undefined,
  stderr: Writable,
  print: Printer,
): Promise<AgentError | undefined> {
  const words = parseLine(line);
  if (words?.length === 0) return undefined;
  try {
    const reply = await client.exchange(line, body === undefined ? {} : { body });
    print.reply(line, reply);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    if (error.code === 'ERR_MANAGEMENT_CLOSED') return error;
    stderr.write(`${printable(errorText(error))}\n`);
  }
  return undefined;
}

function takesBody(line: string): boolean {
  return commandOf(line)?.body === true;
}

function isSecret(line: string): boolean {
  return /^\s*password\b/.test(line);
}

async function readLines(stdin: Readable): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: stdin })) {
    if (line === 'END') break;
    lines.push(line);
  }
  return lines;
}

/** Writes replies and notifications, as the daemon's lines or as JSON. */
class Printer {
  readonly #out: Writable;
  readonly #json: boolean;

  constructor(out: Writable, json: boolean) {
    this.#out = out;
    this.#json = json;
  }

  reply(line: string, reply: Reply): void {
    if (this.#json) {
      const name = parseLine(line)?.[0] ?? '';
      const { error, text } = reply;
      const parsed = error === undefined ? parseReply(name, reply) : undefined;
      const lines = parsed === undefined && reply.lines.length > 0 ? reply.lines : undefined;
      this.#write(
        printableJson(
          JSON.stringify({ command: Object.hasOwn(COMMANDS, name) ? name : line, error, text, lines, reply: parsed }),
        ),
      );
    } else {
      for (const each of reply.raw) if (each !== 'END') this.#write(printableColumns(each));
    }
  }

  notification(notification: Notification, lines: readonly string[]): void {
    if (this.#json) {
      this.#write(printableJson(JSON.stringify({ notification })));
      return;
    }
    const secret = notification.type === 'PASSWORD' && notification.form === 'auth-token';
    for (const each of secret
      ? ['>PASSWORD:Auth-Token:<redacted>']
      : lines.length > 0
        ? lines
        : encodeNotification(notification))
      this.#write(printableColumns(each));
  }

  #write(line: string): void {
    this.#out.write(`${line}\n`);
  }
}
