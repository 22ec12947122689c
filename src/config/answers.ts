import { AgentError } from '../errors.ts';
import type { ProxyChoice } from '../management/index.ts';
import { commandLine } from './command-line.ts';
import { asksPerson, parseSecretSource } from './secret-source.ts';

/** What OpenVPN calls the things that it wants a password for. */
export type LoginName = 'Auth' | 'Private Key' | 'HTTP Proxy' | 'SOCKS Proxy';

/** A password, and where it comes from. */
export interface LoginSettings {
  /** See `secret-source.ts`. */
  readonly source: string;
  /** In its lines stand username and password, or, where the username is known or there is none, the password alone. */
  readonly lines: 1 | 2;
  readonly username?: string | undefined;
}

/** OpenVPN's words behind `remote`. */
export type RemoteChoice =
  | { readonly action: 'ACCEPT' }
  | { readonly action: 'SKIP'; readonly count: number | undefined }
  | { readonly action: 'MOD'; readonly host: string; readonly port: string };

/** What the daemon's questions are answered with. */
export interface AnswerSettings {
  readonly logins: Readonly<Partial<Record<LoginName, LoginSettings>>>;
  /** A command line for /bin/sh that reads a challenge and says the response. */
  readonly challengeCommand?: string | undefined;
  /** A command line for /bin/sh that reads a link and opens it. */
  readonly openUrlCommand?: string | undefined;
  /** By what the daemon wants confirmed. */
  readonly needOk: Readonly<Record<string, 'ok' | 'cancel'>>;
  /** By what the daemon wants to know. */
  readonly needStr: Readonly<Record<string, string>>;
  readonly remote?: RemoteChoice | undefined;
  readonly proxy?: ProxyChoice | undefined;
}

/** The options about answers. */
export interface AnswerFlags {
  readonly authUser?: string | undefined;
  readonly authUserPass?: string | undefined;
  readonly askpass?: string | undefined;
  readonly httpProxyUserPass?: string | undefined;
  readonly socksProxyUserPass?: string | undefined;
  readonly challengeCommand?: string | undefined;
  readonly openUrlCommand?: string | undefined;
  /** NAME=ok or NAME=cancel each. */
  readonly answerNeedok?: readonly string[] | undefined;
  /** NAME=TEXT each. */
  readonly answerNeedstr?: readonly string[] | undefined;
  readonly answerRemote?: readonly string[] | undefined;
  readonly answerProxy?: readonly string[] | undefined;
}

export const REMOTE_TAKES = 'ACCEPT, SKIP [NUMBER], or MOD HOST PORT';
export const PROXY_TAKES = 'NONE, HTTP HOST PORT [nct], or SOCKS HOST PORT';

function refuse(option: string, text: string): never {
  throw new AgentError('ERR_USAGE', `--${option} ${text}`);
}

function checked(source: string): string {
  parseSecretSource(source, 'login');
  return source;
}

/** @param source its first two lines are username and password */
function userPass(option: string, source: string | undefined): LoginSettings | undefined {
  if (source === undefined) return undefined;
  if (asksPerson(parseSecretSource(source, 'login')))
    return refuse(option, `${source} would ask for the password alone`);
  return { source, lines: 2 };
}

function auth({ authUser, authUserPass }: AnswerFlags): LoginSettings | undefined {
  if (authUser === undefined) return userPass('auth-user-pass', authUserPass);
  if (authUserPass === undefined) return refuse('auth-user', 'goes with --auth-user-pass, which gives the password');
  return { source: checked(authUserPass), lines: 1, username: authUser };
}

function logins(flags: AnswerFlags): AnswerSettings['logins'] {
  const given: readonly (readonly [LoginName, LoginSettings | undefined])[] = [
    ['Auth', auth(flags)],
    ['Private Key', flags.askpass === undefined ? undefined : { source: checked(flags.askpass), lines: 1 }],
    ['HTTP Proxy', userPass('http-proxy-user-pass', flags.httpProxyUserPass)],
    ['SOCKS Proxy', userPass('socks-proxy-user-pass', flags.socksProxyUserPass)],
  ];
  return Object.fromEntries(given.filter(([, login]) => login !== undefined));
}

/** NAME=TEXT each, as a record. */
function named(option: string, words: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const end = word.indexOf('=');
      return end > 0 ? [word.slice(0, end), word.slice(end + 1)] : refuse(option, 'takes NAME=ANSWER');
    }),
  );
}

function needOk(words: readonly string[] | undefined): AnswerSettings['needOk'] {
  const answers = named('answer-needok', words);
  for (const answer of Object.values(answers)) {
    if (answer !== 'ok' && answer !== 'cancel') refuse('answer-needok', 'takes NAME=ok or NAME=cancel');
  }
  return answers as Record<string, 'ok' | 'cancel'>;
}

function isPort(text: string): boolean {
  return /^[0-9]{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function remote(words: readonly string[] | undefined): RemoteChoice | undefined {
  if (words === undefined) return undefined;
  const [action, first, second] = words;
  if (action === 'ACCEPT' && words.length === 1) return { action };
  if (action === 'SKIP' && words.length === 1) return { action, count: undefined };
  if (action === 'SKIP' && words.length === 2 && /^[1-9][0-9]{0,5}$/.test(first ?? ''))
    return { action, count: Number(first) };
  if (action === 'MOD' && words.length === 3 && first && second !== undefined && isPort(second))
    return { action, host: first, port: second };
  return refuse('answer-remote', `takes ${REMOTE_TAKES}`);
}

function proxy(words: readonly string[] | undefined): ProxyChoice | undefined {
  if (words === undefined) return undefined;
  const [type, host, port, nct] = words;
  if (type === 'NONE' && words.length === 1) return { type };
  const isPlace = host && port !== undefined && isPort(port);
  if (type === 'SOCKS' && words.length === 3 && isPlace) return { type, host, port: Number(port) };
  if (type === 'HTTP' && isPlace && (words.length === 3 || (words.length === 4 && nct === 'nct')))
    return { type, host, port: Number(port), nonCleartextAuth: nct === 'nct' };
  return refuse('answer-proxy', `takes ${PROXY_TAKES}`);
}

/**
 * What the options say of answers; undefined if nothing.
 * @throws AgentError ERR_USAGE
 */
export function answerSettings(flags: AnswerFlags): AnswerSettings | undefined {
  const settings: AnswerSettings = {
    logins: logins(flags),
    needOk: needOk(flags.answerNeedok),
    needStr: named('answer-needstr', flags.answerNeedstr),
    remote: remote(flags.answerRemote),
    proxy: proxy(flags.answerProxy),
    challengeCommand: commandLine(flags.challengeCommand, '--challenge-command'),
    openUrlCommand: commandLine(flags.openUrlCommand, '--open-url-command'),
  };
  const isEmpty = Object.values(settings).every(
    (value) => value === undefined || (typeof value === 'object' && Object.keys(value as object).length === 0),
  );
  return isEmpty ? undefined : settings;
}

/** Whether the daemon gets any password. */
export function givesPasswords(settings: AnswerSettings | undefined): boolean {
  return settings !== undefined && Object.keys(settings.logins).length > 0;
}
