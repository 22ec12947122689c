import { dirname, resolve } from 'node:path';
import type { KeyOptions } from '../keys/key-options.ts';
import {
  parseSecretSource,
  publicPath,
  readSecret,
  type SecretKind,
  type SecretSource,
} from '../config/secret-source.ts';
import { AgentError, errorCode } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { complain } from './standard-streams.ts';
import { terminal } from './terminal.ts';

/** The options that say where secrets come from. */
export interface SecretFlags {
  readonly pinSource?: string;
  readonly allowPinCommand?: boolean;
}

/** Ways to get secrets with the surroundings of this process. */
export interface SecretAsker {
  /** A key's PIN or passphrase: from its URI's pin-source, else --pin-source, else the terminal. */
  readonly forKey: KeyOptions['askSecret'];
  /** Somebody may be asked at the terminal. */
  readonly mayAsk: (uriSource: string | undefined) => boolean;
  /** After a PIN that was typed wrong: says so, and has it typed again. */
  readonly mayAskAgain: NonNullable<KeyOptions['mayAskAgain']>;
  /** Two texts of one source have one name. */
  readonly nameSource: NonNullable<KeyOptions['nameSource']>;
  /**
   * A management interface's or a relay's password.
   * @param word the third of `--management`: any source, or `stdin` for the terminal
   * @param configuration the .ovpn that the word is from, if it is: names a file then
   */
  readonly forManagement: (word: string, what: string, configuration?: string) => Promise<Secret>;
}

async function read(
  source: SecretSource,
  what: string,
  warn: (text: string) => void,
  kind: SecretKind,
): Promise<Secret> {
  const around = {
    credentialsDirectory: process.env['CREDENTIALS_DIRECTORY'],
    prompt: (text: string) => terminal.ask(text),
    warn,
  };
  return await readSecret(source, what, around, kind);
}

function passwordSource(word: string, configuration: string | undefined): SecretSource {
  // OpenVPN's word for asking on the terminal
  if (word === 'stdin') return { kind: 'prompt' };
  if (configuration === undefined) return parseSecretSource(word, 'password');
  return { kind: 'file', path: word, folder: dirname(resolve(configuration)) };
}

/** Gets a management password; see {@link SecretAsker.forManagement}. */
export async function askManagementPassword(
  word: string,
  what: string,
  warn: (text: string) => void,
  configuration?: string,
): Promise<Secret> {
  return await read(passwordSource(word, configuration), what, warn, 'password');
}

/** A password's word as it may be printed, in lines for the .ovpn: a path if it is one, else what to put there. */
export async function publicPasswordWord(word: string, configuration?: string): Promise<string> {
  const source = passwordSource(word, configuration);
  const path = source.kind === 'file' ? await publicPath(source.path, source.folder) : undefined;
  return path === undefined ? 'PASSWORD-FILE' : resolve(path);
}

function uriSecretSource(text: string, allowCommand: boolean): SecretSource {
  const source = parseSecretSource(text);
  if (source.kind === 'command' && !allowCommand) {
    throw new AgentError('ERR_USAGE', "the pkcs11 URI's pin-source is a command", {
      hint: 'give --allow-pin-command if you trust whoever wrote the URI',
    });
  }
  return source;
}

export function secretAsker(flags: SecretFlags, warn: (text: string) => void): SecretAsker {
  const given = flags.pinSource === undefined ? undefined : parseSecretSource(flags.pinSource);
  let said: unknown;
  let hasGivenUp = false;
  const sourceOf = (uriSource: string | undefined): SecretSource =>
    uriSource === undefined
      ? (given ?? { kind: 'prompt' })
      : uriSecretSource(uriSource, flags.allowPinCommand ?? false);
  return {
    nameSource: (uriSource) => JSON.stringify(sourceOf(uriSource)),
    forManagement: (word, what, configuration) => askManagementPassword(word, what, warn, configuration),
    mayAsk: (uriSource) => sourceOf(uriSource).kind === 'prompt',
    mayAskAgain: (error, uriSource) => {
      if (hasGivenUp || !terminal.isOpening || errorCode(error) !== 'ERR_PIN_INCORRECT') return false;
      if (sourceOf(uriSource).kind !== 'prompt') return false;
      // without its hint, which speaks of a source
      // the same error twice: the PIN that it is about was typed again
      const text =
        error === said || !(error instanceof AgentError)
          ? 'the token refused this PIN before: it was not tried again'
          : error.message;
      said = error;
      complain(text);
      return true;
    },
    forKey: async (what, uriSource, manner) => {
      const source = sourceOf(uriSource);
      // a command may have a window of its own
      const troubles = source.kind === 'prompt' || source.kind === 'command';
      const isPersonThere = manner === 'ask again' && source.kind === 'prompt' && terminal.isOpening;
      if (manner !== 'ask' && troubles && !isPersonThere) {
        throw new AgentError('ERR_PIN_REQUIRED', `not asked again: ${what}`);
      }
      return await read(source, what, warn, 'PIN').catch((error: unknown) => {
        hasGivenUp ||= source.kind === 'prompt';
        throw error;
      });
    },
  };
}
