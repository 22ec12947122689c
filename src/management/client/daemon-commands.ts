import { AgentError } from '../../errors.ts';
import { AgentCommands } from './signing-commands.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import type { DaemonVersion } from '../connection/options.ts';
import { commandLine } from '../wire/words.ts';
import { readCount } from '../wire/fields.ts';
import {
  type EchoEntry,
  type LogEntry,
  parseEchoEntry,
  parseLogEntry,
  parseStateEntry,
  type StateEntry,
} from '../notifications/entries.ts';
import type { Reply } from '../commands/reply.ts';
import { type DaemonStatus, parseStatus } from '../commands/status.ts';

/** How a daemon goes on after a refused username or password (`--auth-retry`). */
export type AuthRetry = 'none' | 'interact' | 'nointeract';

/** The daemon's totals, over all clients. */
export interface LoadStats {
  readonly clients: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** The commands about the daemon itself: what it does, logs and shows. All throw as {@link AgentCommands.raw} does. */
export class SessionCommands extends AgentCommands {
  /** The current `--auth-retry`. */
  async authRetry(options?: CommandOptions): Promise<string> {
    return valueOf('auth-retry', await this.raw('auth-retry', options), /^auth-retry=(.*)$/);
  }

  async setAuthRetry(mode: AuthRetry, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['auth-retry', mode]), options);
  }

  /** BYTECOUNT (on servers BYTECOUNT_CLI) each so many seconds; 0 stops it. */
  async bytecount(seconds: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['bytecount', whole(seconds)]), options);
  }

  /** Turns ECHO notifications on or off. */
  async echo(on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'echo on' : 'echo off', options);
  }

  /** Echoed parameters of the past; with `follow`, ECHO is turned on in the same step so that none is missed. */
  async echoHistory(count: number | 'all', options?: HistoryOptions): Promise<EchoEntry[]> {
    const reply = await this.raw(historyLine('echo', count, options), options);
    return reply.lines.map((line) => parseEchoEntry(line) ?? refuse('echo', line));
  }

  /** How many variables ENV blocks carry: 0 all, 1 the certificate's and the usual ones, 2 the usual ones, 3 none. */
  async envFilter(level: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['env-filter', whole(level)]), options);
  }

  /** Ends the connection from the daemon's side. */
  async exit(options?: CommandOptions): Promise<void> {
    await this.raw('exit', options);
  }

  async forgetPasswords(options?: CommandOptions): Promise<void> {
    await this.raw('forget-passwords', options);
  }

  /** The lines of the daemon's help. */
  async help(options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw('help', options)).lines;
  }

  /** Whether restarts hold. */
  async hold(options?: CommandOptions): Promise<boolean> {
    return valueOf('hold', await this.raw('hold', options), /^hold=([01])$/) === '1';
  }

  async setHold(on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'hold on' : 'hold off', options);
  }

  async loadStats(options?: CommandOptions): Promise<LoadStats> {
    const text = (await this.raw('load-stats', options)).text ?? '';
    const [, ...counts] = /^nclients=(\d+),bytesin=(\d+),bytesout=(\d+)$/.exec(text) ?? [];
    const [clients, bytesIn, bytesOut] = counts.map((count) => readCount(count));
    if (clients === undefined || bytesIn === undefined || bytesOut === undefined) return refuse('load-stats', text);
    return { clients, bytesIn, bytesOut };
  }

  /** Turns LOG notifications on or off. */
  async log(on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'log on' : 'log off', options);
  }

  /** Cached log lines, as many as `--management-log-cache` keeps; `follow` turns LOG on in the same step. */
  async logHistory(count: number | 'all', options?: HistoryOptions): Promise<LogEntry[]> {
    const reply = await this.raw(historyLine('log', count, options), options);
    const entries: LogEntry[] = [];
    for (const line of reply.lines) {
      const entry = parseLogEntry(line);
      const last = entries.at(-1);
      // some of the daemon's own log texts span lines
      if (entry !== undefined) entries.push(entry);
      else if (last !== undefined) entries[entries.length - 1] = { ...last, text: `${last.text}\n${line}` };
      else refuse('log', line);
    }
    return entries;
  }

  /** The current `--mute`. */
  async mute(options?: CommandOptions): Promise<number> {
    return countOf('mute', await this.raw('mute', options), /^mute=(\d+)$/);
  }

  async setMute(level: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['mute', whole(level)]), options);
  }

  /** Clients of a server. The `help` of no release mentions this command. */
  async nclients(options?: CommandOptions): Promise<number> {
    return countOf('nclients', await this.raw('nclients', options), /^nclients=(\d+)$/);
  }

  /** Adapters and routes as `--show-net` shows them; on Windows only. */
  async net(options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw('net', options)).lines;
  }

  async pid(options?: CommandOptions): Promise<number> {
    return countOf('pid', await this.raw('pid', options), /^pid=(\d+)$/);
  }

  /** The state that the daemon is in; undefined if it has none yet. */
  async state(options?: CommandOptions): Promise<StateEntry | undefined> {
    const line = (await this.raw('state', options)).lines[0];
    return line === undefined ? undefined : (parseStateEntry(line) ?? refuse('state', line));
  }

  /** Turns STATE notifications on or off. */
  async stateNotifications(on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'state on' : 'state off', options);
  }

  /** States of the past, oldest first; `follow` turns STATE on in the same step. */
  async stateHistory(count: number | 'all', options?: HistoryOptions): Promise<StateEntry[]> {
    const reply = await this.raw(historyLine('state', count, options), options);
    return reply.lines.map((line) => parseStateEntry(line) ?? refuse('state', line));
  }

  /**
   * The tunnel's counters, or a server's clients and routes (none where the daemon is no server). Formats 1 and 2 are for daemons or logs that need them;
   * a daemon in client mode answers in its one format.
   */
  async status(format: 1 | 2 | 3 = 3, options?: CommandOptions): Promise<DaemonStatus> {
    return parseStatus((await this.raw(commandLine(['status', format]), options)).raw);
  }

  /** That many lines of nothing, for tests. */
  async test(count: number, options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw(commandLine(['test', whole(count)]), options)).lines;
  }

  /** The current `--verb`. */
  async verb(options?: CommandOptions): Promise<number> {
    return countOf('verb', await this.raw('verb', options), /^verb=(\d+)$/);
  }

  /** Sets `--verb`, 0 to 15. */
  async setVerb(level: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['verb', whole(level)]), options);
  }

  /** What the daemon says of itself; kept as {@link ManagementClient.daemonVersion}. */
  async version(options?: CommandOptions): Promise<DaemonVersion> {
    const { lines } = await this.raw('version', options);
    if (parseVersion(lines) === undefined) return refuse('version', lines.join(' '));
    return this.daemonVersion;
  }

  /** Announces another client version than the one that was announced when connecting. */
  async announceVersion(version: number, options?: CommandOptions): Promise<void> {
    await this.raw(commandLine(['version', whole(version)]), options);
  }
}

/** Options of commands that show history. */
export interface HistoryOptions extends CommandOptions {
  /** Turn the notifications on in the same step, so that none is missed and none comes twice. */
  readonly follow?: boolean;
}

function historyLine(name: string, count: number | 'all', options: HistoryOptions | undefined): string {
  // 0 would be an error to the daemon
  if (count !== 'all' && whole(count) === 0)
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `${name} shows at least one line of history`);
  return commandLine([name, ...(options?.follow === true ? ['on'] : []), count]);
}

/** A number as the daemon's atoi reads it whole. */
export function whole(value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0x7fffffff) return value;
  throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `${value} is not a whole number from 0 to 2147483647`);
}

/** The lines of the `version` command's reply. */
export function parseVersion(
  lines: readonly string[],
): { readonly title: string; readonly management: number } | undefined {
  const title = /^OpenVPN Version: (.*)$/.exec(lines[0] ?? '')?.[1];
  const management = readCount(/^Management (?:Interface )?Version: (\d+)$/.exec(lines[1] ?? '')?.[1]);
  return title === undefined || management === undefined ? undefined : { title, management };
}

/** What `pattern` captures in a reply's SUCCESS line. */
export function valueOf(name: string, reply: Reply, pattern: RegExp): string {
  return pattern.exec(reply.text ?? '')?.[1] ?? refuse(name, reply.text ?? '');
}

/** The same as a number. */
export function countOf(name: string, reply: Reply, pattern: RegExp): number {
  return readCount(valueOf(name, reply, pattern)) ?? refuse(name, reply.text ?? '');
}

/** @throws AgentError ERR_MANAGEMENT_PROTOCOL */
export function refuse(name: string, text: string): never {
  const what = JSON.stringify(text.slice(0, 200));
  throw new AgentError('ERR_MANAGEMENT_PROTOCOL', `OpenVPN's reply to the ${name} command can't be read: ${what}`);
}
