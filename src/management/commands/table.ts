import { parseLine } from '../wire/words.ts';

/** How the daemon answers one command. Any of them can be one `ERROR:` line instead. */
export type ReplyPart =
  /** One line `SUCCESS: …`. */
  | { readonly kind: 'line' }
  /** Lines up to `END`. */
  | { readonly kind: 'block' }
  /** That many lines and nothing behind them (`test N`). */
  | { readonly kind: 'lines'; readonly count: number }
  /** Lines of any kind, `SUCCESS:` and `ERROR:` among them, up to the one that says `COMMAND command succeeded` or `failed`. */
  | { readonly kind: 'verdict'; readonly command: string }
  /** A line in the form of a notification. */
  | { readonly kind: 'notification'; readonly word: string };

/**
 * The whole answer to one command: its parts in order; `log on all` has two, a line and a block. No parts at all for
 * commands that get no answer; `closes` for those by which the connection ends.
 */
export interface ReplyShape {
  readonly parts: readonly ReplyPart[];
  readonly closes?: true;
}

/** What is known of one command. */
export interface CommandEntry {
  /** Lines up to END follow the command's own line. */
  readonly body: boolean;
  /** The first release that has it, and where it was dropped, the first without it. */
  readonly since: string;
  readonly until?: string;
  /** What its `SUCCESS:` line says, behind `SUCCESS: `. */
  readonly says: RegExp;
  /** Its answer for these words (the command's own first), given the daemon's management version. */
  readonly shape: (words: readonly string[], managementVersion: number) => ReplyShape;
}

const LINE: ReplyShape = { parts: [{ kind: 'line' }] };
const BLOCK: ReplyShape = { parts: [{ kind: 'block' }] };
const NONE: ReplyShape = { parts: [] };
const CLOSES: ReplyShape = { parts: [], closes: true };

const line = (since: string, says: RegExp): CommandEntry => ({ body: false, since, says, shape: () => LINE });
const block = (since: string): CommandEntry => ({ body: false, since, says: /^\b$/, shape: () => BLOCK });
/** What happened to each client comes first (push_util.c). */
const pushUpdate: CommandEntry = {
  body: false,
  since: '2.7',
  says: /^push-update command succeeded$/,
  shape: () => ({ parts: [{ kind: 'verdict', command: 'push-update' }] }),
};
const withBody = (since: string, says: RegExp): CommandEntry => ({ body: true, since, says, shape: () => LINE });

/** `on`, `off` and anything wrong get a line; `all` and numbers a block; two words get both (man_history in manage.c). */
function historyShape(words: readonly string[]): ReplyShape {
  const parts = words
    .slice(1, 3)
    .map((word): ReplyPart => (word === 'all' || Number.parseInt(word, 10) > 0 ? { kind: 'block' } : { kind: 'line' }));
  return { parts: parts.length === 0 ? [{ kind: 'line' }] : parts };
}

/**
 * Up to 2.4 the number is ignored and the version block printed; 2.5 and 2.6 say nothing; 2.7 says nothing up to 3 and
 * acknowledges from 4 on (set_client_version in manage.c).
 */
function versionShape(words: readonly string[], managementVersion: number): ReplyShape {
  const wanted = words[1];
  if (wanted === undefined || managementVersion <= 1) return BLOCK;
  return managementVersion >= 6 && Number.parseInt(wanted, 10) > 3 ? LINE : NONE;
}

/**
 * Every command of OpenVPN 2.3 to 2.7, by name: what a client, or a relay in front of the daemon, must know to tell
 * one answer from the next (man_dispatch_command in manage.c of each release).
 */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = Object.assign(
  Object.create(null) as Record<string, CommandEntry>,
  {
    'auth-retry': line('2.1', /^auth-retry(?:=| parameter changed$)/),
    bytecount: line('2.1', /^bytecount interval changed$/),
    certificate: withBody('2.4', /^certificate command succeeded$/),
    'client-auth': withBody('2.1', /^client-auth command succeeded$/),
    'client-auth-nt': line('2.1', /^client-auth command succeeded$/),
    'client-deny': line('2.1', /^client-deny command succeeded$/),
    'client-kill': line('2.1', /^client-kill command succeeded$/),
    'client-pending-auth': line('2.5', /^client-pending-auth command succeeded$/),
    'client-pf': { ...withBody('2.1', /^client-pf command succeeded$/), until: '2.6' },
    'cr-response': line('2.5', /^command succeeded$/),
    echo: { ...line('2.1', /^real-time echo notification set to O(?:N|FF)$/), shape: historyShape },
    'env-filter': line('2.1', /^env_filter_level=/),
    exit: { ...line('2.1', /^\b$/), shape: () => CLOSES },
    'forget-passwords': line('2.1', /^Passwords were forgotten$/),
    help: block('2.1'),
    hold: line('2.1', /^hold(?:=| flag set to | release succeeded$)/),
    kill: line('2.1', / client\(s\) (?:at address .*)?killed$/),
    'load-stats': line('2.1', /^nclients=\d+,bytesin=/),
    log: { ...line('2.1', /^real-time log notification set to O(?:N|FF)$/), shape: historyShape },
    mute: line('2.1', /^mute(?:=| level changed$)/),
    nclients: line('2.3', /^nclients=\d+$/),
    needok: line('2.1', /^'.*' needok-confirmation entered/),
    needstr: line('2.1', /^'.*' needstr-string entered/),
    net: block('2.1'),
    password: line('2.1', /^'.*' password entered/),
    pid: line('2.1', /^pid=/),
    'pk-sig': withBody('2.5', /^(?:pk|rsa)-sign command succeeded$/),
    'pkcs11-id-count': {
      ...line('2.1', /^\b$/),
      shape: () => ({ parts: [{ kind: 'notification', word: 'PKCS11ID-COUNT' }] }),
    },
    'pkcs11-id-get': {
      ...line('2.1', /^\b$/),
      shape: () => ({ parts: [{ kind: 'notification', word: 'PKCS11ID-ENTRY' }] }),
    },
    proxy: line('2.3', /^proxy command succeeded$/),
    'push-update-broad': pushUpdate,
    'push-update-cid': pushUpdate,
    quit: { ...line('2.1', /^\b$/), shape: () => CLOSES },
    remote: line('2.3', /^remote command succeeded$/),
    'remote-entry-count': block('2.6'),
    'remote-entry-get': block('2.6'),
    'rsa-sig': withBody('2.3', /^(?:(?:pk|rsa)-sign|rsa-sig) command succeeded$/),
    signal: line('2.1', /^signal .* thrown$/),
    state: {
      ...line('2.1', /^real-time state notification set to O(?:N|FF)$/),
      shape: (words: readonly string[]) => (words.length < 2 ? BLOCK : historyShape(words)),
    },
    status: block('2.1'),
    test: {
      ...line('2.1', /^\b$/),
      shape: (words: readonly string[]): ReplyShape => {
        const count = Number.parseInt(words[1] ?? '', 10);
        if (words[1] === undefined) return LINE;
        return count > 0 ? { parts: [{ kind: 'lines', count }] } : NONE;
      },
    },
    username: line('2.1', /^'.*' username entered/),
    verb: line('2.1', /^verb(?:=| level changed$)/),
    version: { ...line('2.1', /^Management client version set to /), shape: versionShape },
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
  const words = parseLine(text);
  if (words === undefined) return LINE;
  const name = words[0];
  if (name === undefined) return NONE;
  return COMMANDS[name]?.shape(words, managementVersion) ?? LINE;
}
