import { dirname, resolve } from 'node:path';
import { AgentError, errorCode } from '../errors.ts';
import type { AskManner } from '../keys/key-options.ts';
import type { AskAbout } from './asking.ts';
import { Secret } from '../secret.ts';
import type { LoginSettings } from './answers.ts';
import type { PinSettings } from './settings.ts';
import {
  asksPerson,
  mayTrouble,
  parseSecretSource,
  publicPath,
  readSecret,
  readUserPass,
  type SecretSource,
  type SecretSurroundings,
} from './secret-source.ts';

/** The person who may sit there. */
export interface Person {
  /** Waits for a key to be opened, and so may be asked again at once. */
  readonly isWaiting: boolean;
  /** Tells them at the terminal what was wrong. */
  readonly complain: (text: string) => void;
}

/** Windows that are opened one after the other while what is typed there is wrong. */
const MOST_WINDOWS = 3;

export type SecretsSurroundings = SecretSurroundings & { readonly person: Person };

function passwordSource(word: string, configuration: string | undefined): SecretSource {
  // OpenVPN's word for asking on the terminal
  if (word === 'stdin') return { kind: 'prompt' };
  if (configuration === undefined) return parseSecretSource(word, 'password');
  return { kind: 'file', path: word, folder: dirname(resolve(configuration)) };
}

/**
 * Gets the password of a management interface or of a relay.
 * @param word the third of `--management`: any source, or `stdin` for the terminal
 * @param configuration the .ovpn that the word is from, if it is: the word names a file then
 */
export async function managementPassword(
  word: string,
  what: string,
  around: SecretSurroundings,
  configuration?: string,
): Promise<Secret> {
  return await readSecret(passwordSource(word, configuration), what, around, 'password');
}

/** Whether reading such a password disturbs nobody. */
export function mayReadPasswordUnasked(word: string): boolean {
  return !mayTrouble(passwordSource(word, undefined));
}

/** What a daemon is logged in with. */
export interface Login {
  /** Undefined where a password alone is asked for. */
  readonly username: Secret | undefined;
  readonly password: Secret;
}

/**
 * Gets username and password, or the password alone.
 * @throws AgentError ERR_ANSWER; ERR_ABORTED
 */
export async function readLogin(
  { source, lines, username }: LoginSettings,
  what: string,
  around: SecretSurroundings,
): Promise<Login> {
  const parsed = parseSecretSource(source, 'login');
  if (lines === 2) return await readUserPass(parsed, what, around);
  const password = await readSecret(parsed, what, around, 'login');
  return { username: username === undefined ? undefined : new Secret(username), password };
}

/** Whether reading it anew, unasked, disturbs nobody: no person, and no command that may have a window. */
export function mayReadUnasked({ source }: LoginSettings): boolean {
  return !mayTrouble(parseSecretSource(source, 'login'));
}

/** Whether a person types it each time: what they typed anew may be sent again, though it was refused before. */
export function isTyped({ source }: LoginSettings): boolean {
  return asksPerson(parseSecretSource(source, 'login'));
}

/** A password's word as it may be printed, in lines for the .ovpn: a path if it is one, else what to put there. */
export async function publicPasswordWord(word: string, configuration?: string): Promise<string> {
  const source = passwordSource(word, configuration);
  const path = source.kind === 'file' ? await publicPath(source.path, source.folder) : undefined;
  return path === undefined ? 'PASSWORD-FILE' : resolve(path);
}

/** Gets the PINs and passphrases of keys: from a URI's `pin-source`, else from the settings' source, else the terminal. */
export class KeySecrets {
  readonly #given: SecretSource | undefined;
  readonly #allowCommand: boolean;
  readonly #around: SecretsSurroundings;
  #told: unknown;
  #hasGivenUp = false;
  /** What was wrong with what a person typed last: for the next window, and empty where they have been told. */
  #wrong: string | undefined;
  /** Windows in a row whose answer was refused. */
  #windows = 0;

  /** @throws AgentError ERR_USAGE if the settings' source is not one */
  constructor({ source, allowCommand }: PinSettings, around: SecretsSurroundings) {
    this.#given = source === undefined ? undefined : parseSecretSource(source);
    this.#allowCommand = allowCommand;
    this.#around = around;
  }

  #sourceOf(uriSource: string | undefined): SecretSource {
    if (uriSource === undefined) return this.#given ?? { kind: 'prompt' };
    const source = parseSecretSource(uriSource);
    if (source.kind !== 'command' || this.#allowCommand) return source;
    throw new AgentError('ERR_USAGE', "the pkcs11 URI's pin-source is a command", {
      hint: 'give --allow-pin-command if you trust whoever wrote the URI',
    });
  }

  /** Two texts of one source have one name. */
  nameSource(uriSource: string | undefined): string {
    return JSON.stringify(this.#sourceOf(uriSource));
  }

  /** Whether a person types it, at the terminal or in a window. */
  asksPerson(uriSource: string | undefined): boolean {
    return asksPerson(this.#sourceOf(uriSource));
  }

  /** Whether a person may be asked at the terminal, which must not echo meanwhile. */
  mayAsk(uriSource: string | undefined): boolean {
    return this.#sourceOf(uriSource).kind === 'prompt';
  }

  /** After a PIN that was typed wrong: says so, and lets it be typed again. */
  mayAskAgain(error: unknown, uriSource: string | undefined): boolean {
    const { person } = this.#around;
    if (this.#hasGivenUp || !person.isWaiting || errorCode(error) !== 'ERR_PIN_INCORRECT') return false;
    const source = this.#sourceOf(uriSource);
    if (!asksPerson(source)) return false;
    // without its hint, which speaks of a source; the same error twice: the PIN that it is about was typed again
    const text =
      error === this.#told || !(error instanceof AgentError)
        ? 'the token refused this PIN before: it was not tried again'
        : error.message;
    this.#told = error;
    if (source.kind === 'prompt') {
      person.complain(text);
      this.#wrong = '';
      return true;
    }
    // behind a window may be a program that says the same for ever
    this.#windows += 1;
    this.#wrong = text;
    return this.#windows < MOST_WINDOWS;
  }

  /**
   * Gets a PIN or passphrase.
   * @param what for a prompt and for errors, as in `PIN of token 'x'`
   * @param about what a person who is asked should know beside that
   * @throws AgentError ERR_PIN_SOURCE, ERR_PIN_REQUIRED, ERR_USAGE
   */
  async get(
    what: string,
    uriSource: string | undefined,
    manner: AskManner,
    about: Omit<AskAbout, 'wrong'> = {},
  ): Promise<Secret> {
    const source = this.#sourceOf(uriSource);
    const isTypedAnew = manner === 'ask again' && asksPerson(source);
    if (manner !== 'ask' && mayTrouble(source) && !isTypedAnew) {
      throw new AgentError('ERR_PIN_REQUIRED', `not asked again: ${what}`);
    }
    const wrong = manner === 'ask again' ? (this.#wrong ?? 'what was typed last was refused') : undefined;
    this.#wrong = undefined;
    if (manner === 'ask' && source.kind !== 'prompt') [this.#windows, this.#hasGivenUp] = [0, false];
    return await readSecret(source, what, this.#around, 'PIN', { ...about, wrong }).catch((error: unknown) => {
      this.#hasGivenUp ||= asksPerson(source);
      throw error;
    });
  }
}
