// Commands of the management interface, and what OpenVPN 2.6 answers as a client (manage.c): for the simulated daemon.
// test/conformance/simulated-daemon.test.ts compares both.

/** What a daemon's answers depend on, and what commands change. */
export interface Facts {
  /** Which notifications this connection is told of, by the command that turns them on. */
  readonly told: Record<string, boolean>;
  readonly options: DaemonFlags;
  readonly pid: number;
  /** It waits to be released. */
  readonly isInHold: boolean;
  /** Lines, the last of which is that of now. */
  readonly states: readonly string[];
  readonly bytes: number;
}

/** Options that commands change, and that stay until the daemon ends. */
export class DaemonFlags {
  isHeld: boolean;
  /** Of the management interface, as the last client has it that told one. */
  version = 1;
  verb = 3;
  mute = 0;
  authRetry = 'none';

  constructor(isHeld: boolean) {
    this.isHeld = isHeld;
  }
}

export type Action =
  | { readonly type: 'release' | 'close' | 'hold again' }
  | { readonly type: 'restart' | 'end'; readonly signal: string }
  | { readonly type: 'count bytes'; readonly seconds: number };

export interface Reply {
  readonly text: string;
  readonly action?: Action;
}

const said = (...lines: string[]): Reply => ({ text: lines.map((line) => `${line}\r\n`).join('') });
const unavailable = (what: string): Reply => said(`ERROR: The ${what} command is not currently available`);
const unsupported = (name: string): Reply =>
  said(`ERROR: The '${name}' command is not supported by the current daemon mode`);

/** How many words a command wants, if it wants any. */
const NEEDS: Readonly<Record<string, readonly [number: number, isLeast?: boolean]>> = {
  bytecount: [1],
  echo: [1, true],
  log: [1, true],
  signal: [1],
  test: [1],
};

const SERVERS = new Set(['kill', 'client-kill', 'client-auth', 'client-auth-nt', 'client-deny', 'client-pending-auth']);
/** What is asked for by none of the simulated daemon's options. */
const NOT_ASKED = new Set(['proxy', 'remote-entry-count', 'remote-entry-get']);
const IGNORED_IN_HOLD = new Set(['SIGHUP', 'SIGUSR1']);
const SIGNALS = new Set(['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2']);
const NOT_NEEDED: Readonly<Record<string, string>> = {
  password: 'password',
  username: 'username',
  needok: 'needok-confirmation',
  needstr: 'needstr-string',
};

const STATISTICS = ['TUN/TAP read', 'TUN/TAP write', 'TCP/UDP read', 'TCP/UDP write', 'Auth read'];

/** @param words one at least. All but `pk-sig` and `rsa-sig`, which depend on what the daemon waits for */
export function reply(words: readonly string[], facts: Facts): Reply {
  const [name = '', ...given] = words;
  const [number = 0, isLeast = false] = NEEDS[name] ?? [];
  if (given.length < number) {
    const count = `${isLeast ? 'at least ' : ''}${number} parameter`;
    return said(`ERROR: the '${name}' command requires ${count}`);
  }
  const answer = ANSWERS[name];
  if (answer) return answer(given, facts);
  if (SERVERS.has(name) || NOT_ASKED.has(name)) return unsupported(name);
  const what = NOT_NEEDED[name];
  if (what !== undefined) return said(`ERROR: no ${what} is currently needed at this time`);
  return said("ERROR: unknown command, enter 'help' for more options");
}

const ANSWERS: Readonly<Record<string, (given: readonly string[], facts: Facts) => Reply>> = {
  version: ([version], { options }) => {
    if (version === undefined) return said('OpenVPN Version: OpenVPN 2.6', 'Management Version: 5', 'END');
    options.version = Number.parseInt(version, 10) || 0;
    return { text: '' };
  },
  pid: (_, { pid }) => said(`SUCCESS: pid=${pid}`),
  hold: ([word], { options }) => {
    if (word === undefined) return said(`SUCCESS: hold=${options.isHeld ? 1 : 0}`);
    if (word === 'release') return { ...said('SUCCESS: hold release succeeded'), action: { type: 'release' } };
    if (word !== 'on' && word !== 'off') return said('ERROR: bad hold command parameter');
    options.isHeld = word === 'on';
    return said(`SUCCESS: hold flag set to ${word.toUpperCase()}`);
  },
  state: (given, facts) => ({ text: history('state', given.length === 0 ? ['1'] : given, facts, facts.states) }),
  log: (given, facts) => ({ text: history('log', given, facts, []) }),
  echo: (given, facts) => ({ text: history('echo', given, facts, []) }),
  test: ([count]) =>
    said(
      ...Array.from(
        { length: Number.parseInt(count ?? '', 10) || 0 },
        (_, index) => `[${index}] The purpose of this command is to generate large amounts of output.`,
      ),
    ),
  verb: ([level], { options }) => {
    if (level === undefined) return said(`SUCCESS: verb=${options.verb}`);
    if (Number(level) > 15) return said('ERROR: verb level is out of range');
    options.verb = Number(level);
    return said('SUCCESS: verb level changed');
  },
  mute: ([level], { options }) => {
    if (level === undefined) return said(`SUCCESS: mute=${options.mute}`);
    options.mute = Number(level);
    return said('SUCCESS: mute level changed');
  },
  'auth-retry': ([way], { options }) => {
    if (way === undefined) return said(`SUCCESS: auth-retry=${options.authRetry}`);
    options.authRetry = way;
    return said('SUCCESS: auth-retry parameter changed');
  },
  status: (_, { isInHold, bytes }) => {
    if (isInHold) return unsupported('status');
    const lines = STATISTICS.map((what) => `${what} bytes,${bytes}`);
    return said('OpenVPN STATISTICS', 'Updated,2026-06-01 12:00:00', ...lines, 'END');
  },
  'load-stats': (_, { bytes }) => said(`SUCCESS: nclients=0,bytesin=${bytes},bytesout=${bytes}`),
  bytecount: ([seconds = '']) => ({
    ...said('SUCCESS: bytecount interval changed'),
    action: { type: 'count bytes', seconds: Number.parseInt(seconds, 10) || 0 },
  }),
  signal: ([name = ''], { isInHold }) => signal(name, isInHold),
  help: () => said('Management Interface for OpenVPN', 'Commands:', 'END'),
  remote: (_, { isInHold }) => (isInHold ? unsupported('remote') : said('ERROR: remote command failed')),
  net: (_, { isInHold }) =>
    isInHold ? unsupported('net') : said('ERROR: Sorry, this command is currently only implemented on Windows'),
  'forget-passwords': () => said('SUCCESS: Passwords were forgotten'),
  'env-filter': ([level = '']) => said(`SUCCESS: env_filter_level=${Number.parseInt(level, 10) || 0}`),
  certificate: () => unavailable('certificate'),
  // so it says
  'cr-response': () => unsupported('cr-repsonse'),
  quit: () => ({ text: '', action: { type: 'close' } }),
  exit: () => ({ text: '', action: { type: 'close' } }),
};

function signal(name: string, isInHold: boolean): Reply {
  if (!SIGNALS.has(name)) return said(`ERROR: signal '${name}' is not a known signal type`);
  if (isInHold && IGNORED_IN_HOLD.has(name))
    return { ...said(`ERROR: signal '${name}' is currently ignored`), action: { type: 'hold again' } };
  const thrown = said(`SUCCESS: signal ${name} thrown`);
  if (name === 'SIGUSR1' || name === 'SIGHUP') return { ...thrown, action: { type: 'restart', signal: name } };
  // in hold it ends by any other
  return name === 'SIGUSR2' && !isInHold ? thrown : { ...thrown, action: { type: 'end', signal: name } };
}

function history(name: string, given: readonly string[], { told }: Facts, lines: readonly string[]): string {
  return given
    .map((word) => {
      if (word === 'on' || word === 'off') {
        told[name] = word === 'on';
        return `SUCCESS: real-time ${name} notification set to ${word.toUpperCase()}\r\n`;
      }
      const count = word === 'all' ? lines.length : Number.parseInt(word, 10);
      if (word !== 'all' && !(count > 0))
        return `ERROR: ${name} parameter must be 'on' or 'off' or some number n or 'all'\r\n`;
      return [...(count > 0 ? lines.slice(-count) : []), 'END'].map((line) => `${line}\r\n`).join('');
    })
    .join('');
}
