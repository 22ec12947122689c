/**
 * All that is known of each command and its reply, without a connection: for the connection, the client, the relay and
 * programs that complete or show commands.
 *
 * @module
 */
import { parseLine } from '../wire/words.ts';
import {
  readEchoes,
  readIdentity,
  readIdentityCount,
  readLog,
  readRemoteCount,
  readRemotes,
  readStates,
  readStatus,
  readValues,
  readVersion,
} from './read-reply.ts';
import type { Reply } from './reply.ts';
import {
  BLOCK,
  CLOSES,
  historyShape,
  LINE,
  NONE,
  notificationShape,
  PUSH_UPDATE,
  type ReplyShape,
  type ShapeOf,
  stateShape,
  STATUS,
  testShape,
  versionShape,
} from './shape.ts';

/** What clients of a relay may do; each level includes the one before. */
export const RELAY_RIGHTS = ['read', 'operate', 'all'] as const;
export type RelayRights = (typeof RELAY_RIGHTS)[number];

/** All that is known of one command. */
export interface CommandEntry {
  /** Lines up to END follow the command's own line. */
  readonly body: boolean;
  /** The newest management version (of the greeting) that has it, if a later one dropped it. */
  readonly until?: number;
  /** Its answer for these words (the command's own first), given the daemon's management version. */
  readonly shape: ShapeOf;
  /** What its `SUCCESS:` line says, behind `SUCCESS: `. */
  readonly says: RegExp;
  /**
   * Of an answer to the daemon's own request: the lines that are its reply, wherever they come. Such commands go ahead of
   * all that is queued.
   */
  readonly claims?: RegExp;
  /**
   * Its reply as data; undefined where the reply says no more than its text.
   *
   * @throws AgentError ERR_MANAGEMENT_PROTOCOL for a reply that can't be read
   */
  readonly read?: (reply: Reply, name: string) => unknown;
  /**
   * The right that a client of a relay needs for these words. `read`: the command shows something, and changes nothing but
   * what that client itself gets. `operate`: it answers the daemon's questions, holds or restarts it.
   */
  readonly right: (words: readonly string[]) => RelayRights;
  /** Words that can follow its name, for a terminal to complete. */
  readonly words: readonly string[];
}

/** A command of one line, answered by one line, for those who may do all: unless `more` says otherwise. */
function command(says: RegExp, more: Partial<CommandEntry> = {}): CommandEntry {
  return { says, body: false, shape: () => LINE, right: () => 'all', words: [], ...more };
}

/** Its reply has no `SUCCESS:` line. */
const NOTHING = /^\b$/;

const block: Partial<CommandEntry> = { shape: () => BLOCK };
const read: Partial<CommandEntry> = { right: () => 'read' };
const operate: Partial<CommandEntry> = { right: () => 'operate' };

/** `log`, `echo`, `state`: notifications on and off, and what was before. */
function history(topic: string, shape: ShapeOf, reader: (reply: Reply) => unknown): CommandEntry {
  return command(new RegExp(`^real-time ${topic} notification set to O(?:N|FF)$`), {
    ...read,
    shape,
    read: ofBlock(reader),
    words: ['on', 'off', 'all'],
  });
}

/** Reads a reply that has a block: others say no more than their text. */
function ofBlock(reader: (reply: Reply) => unknown): (reply: Reply) => unknown {
  return (reply) => (reply.lines.length > 0 ? reader(reply) : undefined);
}

/** Whichever of the two commands was sent, old and new daemons name the other one too. */
const SIGNED =
  /^(?:SUCCESS|ERROR): (?:pk-sign|rsa-sign|rsa-sig|pk-sig) command |^ERROR: The (?:pk-sig|rsa-sig) command is not /;

/**
 * Every command of OpenVPN 2.3 to 2.7, by name: what a client, or a relay in front of the daemon, must know to tell
 * one answer from the next (man_dispatch_command in manage.c of each release).
 */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = Object.assign(
  Object.create(null) as Record<string, CommandEntry>,
  {
    'auth-retry': command(/^auth-retry(?:=| parameter changed$)/, {
      read: readValues,
      words: ['none', 'interact', 'nointeract'],
    }),
    bytecount: command(/^bytecount interval changed$/, read),
    certificate: command(/^certificate command succeeded$/, {
      body: true,
      claims: /^(?:SUCCESS|ERROR): certificate command |^ERROR: The certificate command is not /,
    }),
    'client-auth': command(/^client-auth command succeeded$/, { body: true }),
    'client-auth-nt': command(/^client-auth command succeeded$/),
    'client-deny': command(/^client-deny command succeeded$/),
    'client-kill': command(/^client-kill command succeeded$/),
    'client-pending-auth': command(/^client-pending-auth command succeeded$/),
    'client-pf': command(/^client-pf command succeeded$/, { body: true, until: 3 }),
    'cr-response': command(/^command succeeded$/, operate),
    echo: history('echo', historyShape, readEchoes),
    'env-filter': command(/^env_filter_level=/, { read: readValues }),
    exit: command(NOTHING, { ...read, shape: () => CLOSES }),
    'forget-passwords': command(/^Passwords were forgotten$/),
    help: command(NOTHING, { ...read, ...block }),
    hold: command(/^hold(?:=| flag set to | release succeeded$)/, {
      ...operate,
      read: readValues,
      words: ['on', 'off', 'release'],
    }),
    kill: command(/ client\(s\) (?:at address .*)?killed$/),
    'load-stats': command(/^nclients=\d+,bytesin=/, { ...read, read: readValues }),
    log: history('log', historyShape, readLog),
    mute: command(/^mute(?:=| level changed$)/, { read: readValues }),
    nclients: command(/^nclients=\d+$/, { ...read, read: readValues }),
    needok: command(/^'.*' needok-confirmation entered/, operate),
    needstr: command(/^'.*' needstr-string entered/, operate),
    net: command(NOTHING, block),
    password: command(/^'.*' password entered/, operate),
    pid: command(/^pid=/, { ...read, read: readValues }),
    'pk-sig': command(/^(?:pk|rsa)-sign command succeeded$/, { body: true, claims: SIGNED }),
    'pkcs11-id-count': command(NOTHING, { shape: () => notificationShape('PKCS11ID-COUNT'), read: readIdentityCount }),
    'pkcs11-id-get': command(NOTHING, { shape: () => notificationShape('PKCS11ID-ENTRY'), read: readIdentity }),
    proxy: command(/^proxy command succeeded$/, { words: ['NONE', 'HTTP', 'SOCKS'] }),
    'push-update-broad': command(/^push-update command succeeded$/, { shape: () => PUSH_UPDATE }),
    'push-update-cid': command(/^push-update command succeeded$/, { shape: () => PUSH_UPDATE }),
    quit: command(NOTHING, { ...read, shape: () => CLOSES }),
    remote: command(/^remote command succeeded$/, { words: ['ACCEPT', 'MOD', 'SKIP'] }),
    'remote-entry-count': command(NOTHING, { ...block, read: readRemoteCount }),
    'remote-entry-get': command(NOTHING, { ...block, read: readRemotes, words: ['all'] }),
    'rsa-sig': command(/^(?:(?:pk|rsa)-sign|rsa-sig) command succeeded$/, { body: true, claims: SIGNED }),
    signal: command(/^signal .* thrown$/, {
      right: ([, name = '', ...more]) =>
        more.length === 0 && ['SIGHUP', 'SIGUSR1'].includes(name) ? 'operate' : 'all',
      words: ['SIGHUP', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'],
    }),
    state: history('state', stateShape, readStates),
    status: command(NOTHING, { ...read, shape: () => STATUS, read: readStatus, words: ['1', '2', '3'] }),
    test: command(NOTHING, { shape: testShape }),
    username: command(/^'.*' username entered/, operate),
    verb: command(/^verb(?:=| level changed$)/, {
      right: (words) => (words.length === 1 ? 'read' : 'all'),
      read: readValues,
    }),
    version: command(/^Management client version set to /, {
      ...read,
      shape: versionShape,
      read: ofBlock(readVersion),
    }),
  } satisfies Record<string, CommandEntry>,
);

/** The command in a line, undefined if the table has none of that name. */
export function commandOf(text: string): CommandEntry | undefined {
  const name = parseLine(text)?.[0];
  return name === undefined ? undefined : COMMANDS[name];
}

/**
 * How a daemon of that management version answers a command's line. A command that isn't in the table, or a line that
 * the daemon can't read, is answered with an `ERROR:` line; an empty line or a comment not at all.
 */
export function replyShape(text: string, managementVersion: number): ReplyShape {
  return shapeOf(parseLine(text), managementVersion);
}

/** {@link replyShape} for a line's words, undefined for one that the daemon can't read. */
export function shapeOf(words: readonly string[] | undefined, managementVersion: number): ReplyShape {
  if (words === undefined) return LINE;
  const [name] = words;
  if (name === undefined) return NONE;
  return COMMANDS[name]?.shape(words, managementVersion) ?? LINE;
}

/**
 * A reply as data, for programs that show it as JSON: what the command's own method returns, or nearly.
 *
 * @param name the command's first word
 * @returns undefined where the reply says no more than its text
 * @throws AgentError ERR_MANAGEMENT_PROTOCOL for a reply that can't be read
 */
export function parseReply(name: string, reply: Reply): unknown {
  return COMMANDS[name]?.read?.(reply, name);
}
