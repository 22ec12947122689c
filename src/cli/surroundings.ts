import { execFile } from 'node:child_process';
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { FailoverEvent } from '../keys/key-copy.ts';
import { backendOf } from '../keys/backends.ts';
import type { KeyOptions } from '../keys/key-options.ts';
import { openKey, type OpenedKey } from '../keys/open-key.ts';
import { AgentError } from '../errors.ts';
import { ModuleHosts, Pin, RefusedPins, type ModuleHostEvent, type TokenEvent } from '../pkcs11/index.ts';
import type { LogLevel } from '../telemetry/log.ts';
import { terminal } from './terminal.ts';
import { secretAsker, type SecretAsker, type SecretFlags } from './secret-asker.ts';
import type { Logger } from './standard-streams.ts';

/** The options that every command that looks into tokens takes. */
export interface TokenFlags extends SecretFlags {
  readonly moduleInitArgs?: string;
  readonly moduleEnv?: readonly string[];
  readonly moduleOutput?: boolean;
  readonly stateDirectory?: string;
  readonly useFinalPinTry?: boolean;
  readonly deadline: number;
  readonly logLevel: LogLevel;
}

/** The options that every command that opens a key takes. */
export interface KeyFlags extends TokenFlags {
  readonly key: readonly string[];
  readonly cert?: string;
  readonly module?: string;
  readonly allowReadableKey?: boolean;
}

/**
 * No core dump may hold a PIN: sets the limit for this process and for all that it starts. util-linux's prlimit is
 * everywhere on Linux; elsewhere the service manager must do it.
 */
export async function forbidCoreDumps(): Promise<void> {
  await new Promise<void>((resolve) => {
    execFile('prlimit', [`--pid=${process.pid}`, '--core=0:0'], () => {
      resolve();
    });
  });
}

/** Names of variables that hold secrets. */
const SECRET_NAME = /PIN|PASS|PWD|SECRET|KEY$|AUTH/i;

function moduleEnvironment(settings: readonly string[], log: Logger): NodeJS.ProcessEnv {
  return settings.reduce<NodeJS.ProcessEnv>((environment, setting, index) => {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(setting) ?? [];
    if (name === undefined) {
      // not repeated: it may be a PIN
      throw new AgentError('ERR_USAGE', `word ${index + 1} behind --module-env is not NAME=VALUE`);
    }
    if (SECRET_NAME.test(name) && value !== '') {
      const text = 'all users of this machine can read --module-env in the list of processes: give a secret otherwise';
      log.warn({ variable: name }, text);
    }
    return { ...environment, [name]: value };
  }, process.env);
}

function logHostEvent(log: Logger, { type, ...fields }: ModuleHostEvent): void {
  if (type === 'output') {
    if ('text' in fields) log.info(fields, 'module output');
    else log.debug(fields, 'the module prints something: --module-output logs it, a PIN too');
    return;
  }
  const level = 'expected' in fields && !fields.expected ? 'warn' : 'debug';
  log[level](fields, `module host ${type}`);
}

/** The hosts of PKCS#11 modules, whose doings end in the log. */
export function moduleHosts(flags: TokenFlags, log: Logger): ModuleHosts {
  if (flags.moduleOutput === true) {
    log.warn({}, "the log gets what the module prints, and some print PINs: don't leave --module-output on");
  }
  return new ModuleHosts({
    execPath: process.execPath,
    deadline: flags.deadline,
    initArgs: flags.moduleInitArgs,
    showOutput: flags.moduleOutput,
    environment: moduleEnvironment(flags.moduleEnv ?? [], log),
    onEvent: (event) => {
      logHostEvent(log, event);
    },
  });
}

/** systemd's folder for the service's state, else the user's (XDG Base Directory Specification). */
function stateDirectory(): string {
  const home = (): string => {
    let cause: unknown;
    try {
      // HOME may be empty
      const path = homedir();
      return isAbsolute(path) ? path : userInfo().homedir;
    } catch (error) {
      cause = error; // a user whom the system does not know
    }
    const hint = 'give --state-directory, or set HOME';
    throw new AgentError('ERR_STATE_DIRECTORY', 'this user has no home for the state directory', { cause, hint });
  };
  const [systemd] = (process.env['STATE_DIRECTORY'] ?? '').split(':');
  if (systemd !== undefined && systemd !== '') return systemd;
  const xdg = process.env['XDG_STATE_HOME'] ?? '';
  return join(isAbsolute(xdg) ? xdg : join(home(), '.local', 'state'), 'pksigd');
}

function refusedPins(flags: TokenFlags): RefusedPins {
  return new RefusedPins(() => flags.stateDirectory ?? stateDirectory(), process.pid, process.geteuid?.());
}

/** What the log says of tokens and copies of keys. */
function logKeyEvent(log: Logger, event: TokenEvent | FailoverEvent): void {
  const { type, ...fields } = event;
  switch (type) {
    case 'recovering':
      log.warn(fields, 'the token failed: trying to recover');
      return;
    case 'lost':
      log.error(fields, 'the token is away');
      return;
    case 'found':
      log.info(fields, 'the token is back');
      return;
    case 'pin-count-low':
      log.warn(fields, 'a wrong PIN was entered since the last login: few tries are left');
      return;
    case 'pin-wait':
      log.warn(fields, 'waiting for another login with this PIN to end');
      return;
    case 'pin-record-failed':
      log.error(fields, 'what the token said of the PIN could not be written down');
      return;
    case 'pin-pad':
      log.warn(fields, "enter the PIN on the token's own keypad");
      return;
    case 'copy-failed':
      log.warn(fields, 'a copy of the key failed');
      return;
    case 'copy-works':
      log.info(fields, 'a copy of the key works again');
  }
}

/** {@link secretAsker}, with warnings in the log. */
export function secretAskerOf(flags: SecretFlags, log: Logger): SecretAsker {
  return secretAsker(flags, (text) => {
    log.warn({}, text);
  });
}

/** What opening the key that the flags name takes. */
export function keyOptionsOf(flags: KeyFlags, hosts: ModuleHosts, log: Logger, watchInterval?: number): KeyOptions {
  const asker = secretAskerOf(flags, log);
  return {
    keys: flags.key,
    certificate: flags.cert,
    pkcs11: {
      hosts,
      defaultModule: flags.module,
      refusedPins: refusedPins(flags),
      useFinalPinTry: flags.useFinalPinTry,
      watchInterval,
    },
    allowReadableKey: flags.allowReadableKey,
    askSecret: asker.forKey,
    nameSource: asker.nameSource,
    mayAskAgain: asker.mayAskAgain,
    deadline: flags.deadline,
    onEvent: (event) => {
      logKeyEvent(log, event);
    },
  };
}

function noticeOf({ key }: KeyFlags): string {
  return key.map((text) => backendOf(text).notice).find((notice) => notice !== '') ?? '';
}

/** Does something that opens keys, with a person before it who may be asked for secrets. */
export async function waiting<Result>(
  flags: KeyFlags,
  log: Logger,
  work: () => Promise<Result>,
  notice: string = noticeOf(flags),
): Promise<Result> {
  const asker = secretAskerOf(flags, log);
  const asks = flags.key.some((key) => {
    const secret = backendOf(key).secretOf(key);
    return secret !== undefined && asker.mayAsk(secret.source);
  });
  return await terminal.during(asks, notice, work);
}

/** Opens the key that the flags name. */
export async function openKeyOf(
  flags: KeyFlags,
  hosts: ModuleHosts,
  log: Logger,
  watchInterval?: number,
): Promise<OpenedKey> {
  return await waiting(flags, log, () => openKey(keyOptionsOf(flags, hosts, log, watchInterval)));
}

/** A PIN for a token that is looked into without opening a key. */
export function tokenPin(flags: TokenFlags, log: Logger, uriSource: string | undefined): Pin {
  const { forKey } = secretAskerOf(flags, log);
  return new Pin({
    ask: (token, again) => forKey(`PIN of token '${token}'`, uriSource, again ? 'ask again' : 'ask'),
    refused: refusedPins(flags),
    useFinalTry: flags.useFinalPinTry,
    onEvent: (event) => {
      logKeyEvent(log, event);
    },
  });
}
