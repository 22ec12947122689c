import { existsSync, type Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentError, errorCode, isAbsence, type AgentErrorCode } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { readFileLimited } from '../read-file-limited.ts';
import { Secret } from '../secret.ts';
import { type CommandOptions, runsNothing } from '../shell-command.ts';
import { type AskAbout, behindPrompt } from './asking.ts';
import { type Dialog, dialogCommand, typedIn } from './dialog.ts';

/** Where a PIN, passphrase or password comes from. */
export type SecretSource =
  | {
      readonly kind: 'file';
      readonly path: string;
      /** The folder that a configuration's word was resolved against: the word alone is behind it. */
      readonly folder?: string;
    }
  /** A name in $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=). */
  | { readonly kind: 'credential'; readonly name: string }
  /** A command line for /bin/sh whose first line of output is the secret. */
  | { readonly kind: 'command'; readonly command: string }
  | { readonly kind: 'prompt' }
  /** A program with a window of its own. */
  | { readonly kind: Dialog };

/** What a secret is for: decides the words and the code of errors. */
export type SecretKind = 'PIN' | 'password' | 'login';

/** What reading a secret needs of its surroundings. */
export interface SecretSurroundings {
  readonly credentialsDirectory: string | undefined;
  /**
   * Asks on the terminal without echo; rejects with ERR_PIN_REQUIRED where there is none.
   * @param notes what is shown behind what is wanted
   */
  readonly prompt: (what: string, notes: string) => Promise<Secret>;
  /** Told what is unsafe but works. */
  readonly warn: (text: string) => void;
  /** Runs a command for its output, which whoever gets it zeroes. Errors repeat neither. */
  readonly run: (command: string, options?: Pick<CommandOptions, 'input' | 'words'>) => Promise<Buffer>;
  /** Told when a person is asked, and when that is over. */
  readonly onAsking?: ((what: string, by: Asker, isOver: boolean) => void) | undefined;
}

/** Who asks a person. */
export type Asker = 'prompt' | Dialog;

/** What stands before a colon in a source's text. */
const KINDS = ['file', 'credential', 'command'];

const MAX_FILE_BYTES = 65_536;

const TAKES = 'a file, credential:NAME, command:COMMAND, pinentry, askpass or prompt';
/** By kind: what is to be given, for whoever gave the secret itself. */
const HINTS: Readonly<Record<SecretKind, string>> = {
  PIN: `a PIN source says where the PIN or passphrase is, not the PIN itself: give ${TAKES}`,
  password: `name the file that the password is in, not the password itself: give ${TAKES}`,
  login: `say where the password is, not the password itself: give ${TAKES}`,
};
const HINTS_OF_DIALOGS: Readonly<Record<Dialog, string>> = {
  pinentry: '$PINENTRY names another one than pinentry; one for a terminal takes $GPG_TTY',
  askpass: '$SSH_ASKPASS names another one than ssh-askpass; it takes $DISPLAY or $WAYLAND_DISPLAY',
};
const CODES = {
  PIN: 'ERR_PIN_SOURCE',
  password: 'ERR_MANAGEMENT_PASSWORD',
  login: 'ERR_ANSWER',
} satisfies Record<SecretKind, AgentErrorCode>;

/** What the system says of a file, in words that repeat nothing of its name. */
const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENAMETOOLONG: 'the name is too long for a file',
};

/**
 * A file's path as an error may show it. People give the PIN where its file is meant, and a log is read by many: so only
 * what can't be one is shown: a file that exists, a path whose folder does, or an absolute path of several lower-case
 * names, which no generator of passwords makes.
 * @param folder what the path was resolved against: the person gave only what is behind it
 * @returns undefined if it may be the secret itself
 */
export async function publicPath(path: string, folder?: string): Promise<string | undefined> {
  if (await stat(path).catch(() => undefined)) return path;
  if (path.endsWith('/')) return undefined; // a file's name does not, and dirname() would pass over it
  const given = folder === undefined ? path : relative(folder, path);
  if (given === path && /^(?:\/[a-z][a-z0-9_.-]*){2,}$/.test(path)) return path;
  // '/x', './x' and 'x' lie in folders that always exist
  if (!/[^./]/.test(given.slice(0, given.lastIndexOf('/') + 1))) return undefined;
  const isThere = await stat(dirname(path)).then(
    (found) => found.isDirectory(),
    (error: unknown) => systemCode(error) === 'EACCES',
  );
  return isThere ? path : undefined;
}

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

function usage(text: string, hint: string): never {
  throw new AgentError('ERR_USAGE', text, { hint });
}

/** What Node would leave out, or read as a slash, is refused: it would name another file, with another PIN. @throws TypeError */
function pathOf(url: string): string {
  if (/[?#\\\p{Cc}]|\s$/u.test(url)) throw new TypeError('it has characters that are not percent-encoded');
  return fileURLToPath(url);
}

/**
 * Parses a source: `file:PATH` or a path, `credential:NAME`, `command:COMMAND` or `|COMMAND`, `pinentry`,
 * `askpass`, `prompt`. Errors repeat nothing of it: it may be the secret itself.
 * @throws AgentError ERR_USAGE
 */
export function parseSecretSource(text: string, kind: SecretKind = 'PIN'): SecretSource {
  if (isAsker(text)) return { kind: text };
  const command = /^(?:\||command:)(.*)$/s.exec(text)?.[1]?.trimStart();
  if (command !== undefined) {
    return runsNothing(command)
      ? usage(`a ${kind} source without a command`, "say 'command:COMMAND'")
      : { kind: 'command', command };
  }
  const name = /^credential:(.*)$/s.exec(text)?.[1];
  if (name !== undefined) {
    if (!/^[^/\0]+$/.test(name) || name === '..') usage('that is not a name of a credential', "say 'credential:NAME'");
    return { kind: 'credential', name };
  }
  try {
    const path = text.startsWith('file://') ? pathOf(text) : text.replace(/^file:/, '');
    if (path !== '' && !path.includes('\0')) return { kind: 'file', path };
  } catch {
    // a file: URL with a host, with an encoded slash, or with a query
  }
  return usage(`that is not a ${kind} source`, HINTS[kind]);
}

/** What a file's name was meant to be, if it is like the name of another source: all that it gives away is that. */
function meantSource(path: string): string | undefined {
  const [kind = '', ...rest] = path.split(':');
  const close = rest.length > 0 ? nearest(kind, KINDS) : nearest(path, ASKERS);
  if (close === undefined) return undefined;
  return rest.length > 0 ? `${close}:…` : close;
}

/**
 * A source as a file in `folder` means it, with its path absolute. A bare name must be a file that is there: whoever wrote
 * the secret itself shall hear of it at once.
 * @throws AgentError ERR_USAGE
 */
export function absoluteSource(text: string, folder: string, kind: SecretKind = 'PIN'): string {
  const source = parseSecretSource(text, kind);
  if (source.kind !== 'file') return text;
  const path = resolve(folder, source.path);
  if (/^(?!file:)[^/]*$/.test(text) && !existsSync(path))
    usage(`there is no file of this name beside this one`, hintOf(kind, source.path));
  return path;
}

/** @param path as it was given */
function hintOf(kind: SecretKind, path: string): string {
  const meant = meantSource(path);
  return meant === undefined ? HINTS[kind] : `did you mean '${meant}'?`;
}

const ORDINALS = ['first', 'second'];

/** Reading one secret: what for, how its errors speak of it, and in how many lines it stands. */
class SecretReader {
  /** What the secret opens, as in `PIN of token 'x'`. */
  readonly what: string;
  readonly #kind: SecretKind;
  readonly #lines: 1 | 2;
  readonly #about: AskAbout;

  constructor(what: string, kind: SecretKind, lines: 1 | 2, about: AskAbout = {}) {
    this.what = what;
    this.#kind = kind;
    this.#lines = lines;
    this.#about = about;
  }

  /** @param from is shown: nothing that may be the secret */
  #refuse(why: string, from?: string, hint = HINTS[this.#kind]): never {
    const where = from === undefined ? '' : ` from ${from}`;
    throw new AgentError(CODES[this.#kind], `can't read the ${this.what}${where}: ${why}`, { hint });
  }

  async fromTerminal(prompt: SecretSurroundings['prompt']): Promise<Secret[]> {
    try {
      return [await prompt(this.what, behindPrompt(this.#about))];
    } catch (error) {
      if (this.#kind === 'PIN' || errorCode(error) !== 'ERR_PIN_REQUIRED') throw error;
      const hint = this.#kind === 'login' ? HINTS.login : 'name its file behind the address';
      return this.#refuse((error as AgentError).message, undefined, hint);
    }
  }

  /** Zeroes the bytes, whatever comes of them: a line that is refused may hold the PIN all the same. */
  #firstLines(bytes: Buffer, path?: string): Secret[] {
    const taken: Secret[] = [];
    try {
      let rest = bytes;
      for (const which of ORDINALS.slice(0, this.#lines)) {
        const end = rest.indexOf(0x0a);
        let line = end < 0 ? rest : rest.subarray(0, end);
        rest = end < 0 ? rest.subarray(rest.length) : rest.subarray(end + 1);
        if (line.at(-1) === 0x0d) line = line.subarray(0, -1);
        if (line.includes(0)) this.#refuse(`its ${which} line has a NUL in it`, path);
        if (line.length === 0) {
          const hint =
            this.#lines === 1
              ? 'write it there, alone on the first line'
              : 'write the username there, and below it the password';
          this.#refuse(`its ${which} line is empty`, path, hint);
        }
        taken.push(new Secret(line));
      }
      return taken;
    } catch (error) {
      for (const secret of taken) secret.destroy();
      throw error;
    } finally {
      bytes.fill(0);
    }
  }

  async fromFile(path: string, warn: (text: string) => void, folder?: string): Promise<Secret[]> {
    let code = '';
    const limits = {
      what: this.what,
      code: CODES[this.#kind],
      maxBytes: MAX_FILE_BYTES,
      inspect: ({ mode }: Stats): void => {
        if ((mode & 0o077) !== 0) warn(`others can read ${path}: chmod 600 it`);
      },
    };
    const bytes = await readFileLimited(path, limits).catch((error: unknown) => {
      const { cause } = error as AgentError;
      // no cause: it has the path in it; one without a system's code is of a file that is there, and may be named
      code = systemCode(cause);
      return code === 'unknown' ? this.#refuse((cause as Error).message.replace(path, 'it'), path) : undefined;
    });
    if (bytes) return this.#firstLines(bytes, path);
    const shown = (await publicPath(path, folder)) ?? (folder === undefined ? undefined : `a file in ${folder}`);
    const hint = hintOf(this.#kind, folder === undefined ? path : relative(folder, path));
    return this.#refuse(FILE_ERRORS[code] ?? code, shown, hint);
  }

  async fromCommand(command: string, run: SecretSurroundings['run']): Promise<Secret[]> {
    const output = await run(command).catch((error: unknown) => {
      // given up from outside: nothing is wrong with it
      if (errorCode(error) === 'ERR_ABORTED') throw error;
      return this.#refuse((error as Error).message, undefined, 'run it by hand');
    });
    return this.#firstLines(output, 'the output of the command');
  }

  async fromDialog(dialog: Dialog, run: SecretSurroundings['run']): Promise<Secret[]> {
    const { command, options } = dialogCommand(dialog, this.what, this.#about);
    try {
      const output = await run(command, options);
      return this.#firstLines(dialog === 'pinentry' ? typedIn(output) : output, `the ${dialog}`);
    } catch (error) {
      if (error instanceof AgentError) throw error;
      return this.#refuse((error as Error).message, dialog, HINTS_OF_DIALOGS[dialog]);
    }
  }

  async fromCredential(name: string, directory: string | undefined): Promise<Secret[]> {
    const hint = 'set it up with LoadCredential= or LoadCredentialEncrypted= in the unit';
    if (directory === undefined) return this.#refuse('$CREDENTIALS_DIRECTORY is not set', undefined, hint);
    const known = await readdir(directory).catch((error: unknown): string[] =>
      isAbsence(error) ? [] : this.#refuse(`the folder of credentials can't be read (${systemCode(error)})`, undefined),
    );
    if (known.includes(name)) return await this.fromFile(join(directory, name), () => undefined);
    const names = known.map((each) => `'${each}'`).join(', ');
    return this.#refuse('there is no such credential', undefined, names === '' ? hint : `there is ${names}`);
  }
}

/** A bare name means a credential where systemd handed one over, or where that can't be told for the moment; a file otherwise. */
async function isCredential({ path }: { path: string }, directory: string | undefined): Promise<boolean> {
  if (directory === undefined || isAbsolute(path) || path.includes('/')) return false;
  return await stat(join(directory, path)).then(
    () => true,
    (error: unknown) => !isAbsence(error) && systemCode(error) !== 'ENAMETOOLONG',
  );
}

async function read(reader: SecretReader, source: SecretSource, around: SecretSurroundings): Promise<Secret[]> {
  const { kind } = source;
  if (!isAsker(kind)) return await readFrom(reader, source, around);
  around.onAsking?.(reader.what, kind, false);
  try {
    return await readFrom(reader, source, around);
  } finally {
    around.onAsking?.(reader.what, kind, true);
  }
}

async function readFrom(reader: SecretReader, source: SecretSource, around: SecretSurroundings): Promise<Secret[]> {
  const { credentialsDirectory } = around;
  switch (source.kind) {
    case 'prompt':
      return await reader.fromTerminal(around.prompt);
    case 'command':
      return await reader.fromCommand(source.command, around.run);
    case 'pinentry':
    case 'askpass':
      return await reader.fromDialog(source.kind, around.run);
    case 'credential':
      return await reader.fromCredential(source.name, credentialsDirectory);
    case 'file':
      // systemd's credentials are mode 0400 or 0440 by its own hand: nothing to warn of
      return (await isCredential(source, credentialsDirectory))
        ? await reader.fromCredential(source.path, credentialsDirectory)
        : await reader.fromFile(source.path, around.warn, source.folder);
  }
}

/** The only list of who asks a person. */
const ASKERS: readonly string[] = ['prompt', 'pinentry', 'askpass'] satisfies Asker[];

function isAsker(word: string): word is Asker {
  return ASKERS.includes(word);
}

/** Whether a person types it: at the terminal, or in a window. */
export function asksPerson({ kind }: SecretSource): boolean {
  return isAsker(kind);
}

/** Whether reading it may trouble a person: a command may have a window of its own. */
export function mayTrouble(source: SecretSource): boolean {
  return source.kind === 'command' || asksPerson(source);
}

/**
 * Gets the secret: the first line of what the source gives, without its line end.
 * @param what for a prompt and for errors: what the secret opens, as in `PIN of token 'x'`
 * @param about what a person who is asked should know beside that
 * @throws AgentError ERR_PIN_SOURCE (for passwords ERR_MANAGEMENT_PASSWORD, ERR_ANSWER), ERR_PIN_REQUIRED
 */
export async function readSecret(
  source: SecretSource,
  what: string,
  around: SecretSurroundings,
  kind: SecretKind = 'PIN',
  about?: AskAbout,
): Promise<Secret> {
  const [secret] = await read(new SecretReader(what, kind, 1, about), source, around);
  return secret ?? new Secret('');
}

/**
 * Gets a username and a password: the first two lines of what the source gives, as in the file of OpenVPN's auth-user-pass.
 * @throws AgentError ERR_ANSWER
 */
export async function readUserPass(
  source: SecretSource,
  what: string,
  around: SecretSurroundings,
): Promise<{ readonly username: Secret; readonly password: Secret }> {
  const [username, password] = await read(new SecretReader(what, 'login', 2), source, around);
  return { username: username ?? new Secret(''), password: password ?? new Secret('') };
}
