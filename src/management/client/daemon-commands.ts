import { AgentError } from '../../errors.ts';
import { readEchoes, readLog, readNumber, readStates, readValue, readVersion } from '../commands/read-reply.ts';
import type { Reply } from '../commands/reply.ts';
import { type DaemonStatus, parseStatus } from '../commands/status.ts';
import type { CommandOptions } from '../connection/command-queue.ts';
import type { DaemonVersion } from '../connection/options.ts';
import type { EchoEntry, LogEntry, StateEntry } from '../notifications/entries.ts';
import { send, type Sender } from './sender.ts';

/** How a daemon goes on after a refused username or password (`--auth-retry`). */
export type AuthRetry = 'none' | 'interact' | 'nointeract';

/** The daemon's totals, over all clients. */
export interface LoadStats {
  readonly clients: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Options of commands that show history. */
export interface HistoryOptions extends CommandOptions {
  /** Turn the notifications on in the same step, so that none is missed and none comes twice. */
  readonly follow?: boolean;
}

export type DaemonCommands = typeof daemonCommands;

/** The commands about the daemon itself: what it does, logs and shows. All throw as {@link ManagementClient.raw} does. */
export const daemonCommands = {
  /** The current `--auth-retry`. */
  async authRetry(this: Sender, options?: CommandOptions): Promise<string> {
    return String(readValue(await this.raw('auth-retry', options), 'auth-retry'));
  },

  async setAuthRetry(this: Sender, mode: AuthRetry, options?: CommandOptions): Promise<void> {
    await send(this, ['auth-retry', mode], options);
  },

  /** BYTECOUNT (on servers BYTECOUNT_CLI) each so many seconds; 0 stops it. */
  async bytecount(this: Sender, seconds: number, options?: CommandOptions): Promise<void> {
    await send(this, ['bytecount', seconds], options);
  },

  /** Turns ECHO notifications on or off. */
  async echo(this: Sender, on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'echo on' : 'echo off', options);
  },

  /** Echoed parameters of the past; with `follow`, ECHO is turned on in the same step so that none is missed. */
  async echoHistory(this: Sender, count: number | 'all', options?: HistoryOptions): Promise<EchoEntry[]> {
    return readEchoes(await askHistory(this, 'echo', count, options));
  },

  /** How many variables ENV blocks carry: 0 all, 1 the certificate's and the usual ones, 2 the usual ones, 3 none. */
  async envFilter(this: Sender, level: number, options?: CommandOptions): Promise<void> {
    await send(this, ['env-filter', level], options);
  },

  /** Ends the connection from the daemon's side. */
  async exit(this: Sender, options?: CommandOptions): Promise<void> {
    await this.raw('exit', options);
  },

  async forgetPasswords(this: Sender, options?: CommandOptions): Promise<void> {
    await this.raw('forget-passwords', options);
  },

  async help(this: Sender, options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw('help', options)).lines;
  },

  /** Whether restarts hold. */
  async hold(this: Sender, options?: CommandOptions): Promise<boolean> {
    return readNumber(await this.raw('hold', options), 'hold') === 1;
  },

  async setHold(this: Sender, on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'hold on' : 'hold off', options);
  },

  async loadStats(this: Sender, options?: CommandOptions): Promise<LoadStats> {
    const reply = await this.raw('load-stats', options);
    const number = (key: string): number => readNumber(reply, 'load-stats', key);
    return { clients: number('nclients'), bytesIn: number('bytesin'), bytesOut: number('bytesout') };
  },

  /** Turns LOG notifications on or off. */
  async log(this: Sender, on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'log on' : 'log off', options);
  },

  /** Cached log lines, as many as `--management-log-cache` keeps; `follow` turns LOG on in the same step. */
  async logHistory(this: Sender, count: number | 'all', options?: HistoryOptions): Promise<LogEntry[]> {
    return readLog(await askHistory(this, 'log', count, options));
  },

  /** The current `--mute`. */
  async mute(this: Sender, options?: CommandOptions): Promise<number> {
    return readNumber(await this.raw('mute', options), 'mute');
  },

  async setMute(this: Sender, level: number, options?: CommandOptions): Promise<void> {
    await send(this, ['mute', level], options);
  },

  /** Clients of a server. The `help` of no release mentions this command. */
  async nclients(this: Sender, options?: CommandOptions): Promise<number> {
    return readNumber(await this.raw('nclients', options), 'nclients');
  },

  /** Adapters and routes as `--show-net` shows them; on Windows only. */
  async net(this: Sender, options?: CommandOptions): Promise<readonly string[]> {
    return (await this.raw('net', options)).lines;
  },

  async pid(this: Sender, options?: CommandOptions): Promise<number> {
    return readNumber(await this.raw('pid', options), 'pid');
  },

  /** The state that the daemon is in; undefined if it has none yet. */
  async state(this: Sender, options?: CommandOptions): Promise<StateEntry | undefined> {
    return readStates(await this.raw('state', options))[0];
  },

  /** Turns STATE notifications on or off. */
  async stateNotifications(this: Sender, on: boolean, options?: CommandOptions): Promise<void> {
    await this.raw(on ? 'state on' : 'state off', options);
  },

  /** States of the past, oldest first; `follow` turns STATE on in the same step. */
  async stateHistory(this: Sender, count: number | 'all', options?: HistoryOptions): Promise<StateEntry[]> {
    return readStates(await askHistory(this, 'state', count, options));
  },

  /**
   * The tunnel's counters, or a server's clients and routes (none where the daemon is not a server). Formats 1 and 2 are
   * for daemons or logs that need them; a daemon in client mode answers in its one format.
   */
  async status(this: Sender, format: 1 | 2 | 3 = 3, options?: CommandOptions): Promise<DaemonStatus> {
    return parseStatus((await send(this, ['status', format], options)).raw);
  },

  /** That many lines of nothing, for tests. */
  async test(this: Sender, count: number, options?: CommandOptions): Promise<readonly string[]> {
    return (await send(this, ['test', count], options)).lines;
  },

  /** The current `--verb`. */
  async verb(this: Sender, options?: CommandOptions): Promise<number> {
    return readNumber(await this.raw('verb', options), 'verb');
  },

  /** Sets `--verb`, 0 to 15. */
  async setVerb(this: Sender, level: number, options?: CommandOptions): Promise<void> {
    await send(this, ['verb', level], options);
  },

  /** What the daemon says of itself; kept as {@link ManagementClient.daemonVersion}. */
  async version(this: Sender, options?: CommandOptions): Promise<DaemonVersion> {
    readVersion(await this.raw('version', options));
    return this.daemonVersion;
  },

  /** Announces another client version than the one that was announced when connecting. */
  async announceVersion(this: Sender, version: number, options?: CommandOptions): Promise<void> {
    await send(this, ['version', version], options);
  },
};

async function askHistory(
  to: Sender,
  name: string,
  count: number | 'all',
  options: HistoryOptions | undefined,
): Promise<Reply> {
  // 0 would be an error to the daemon
  if (count === 0) throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `${name} shows at least one line of history`);
  return await send(to, [name, ...(options?.follow === true ? ['on'] : []), count], options);
}
