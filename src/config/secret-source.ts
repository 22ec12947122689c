import { execFile } from 'node:child_process';
import { access, open } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentError, errorText } from '../errors.ts';
import { Secret } from '../secret.ts';

/** Where a PIN, passphrase or password comes from. */
export type SecretSource =
  | { readonly kind: 'file'; readonly path: string }
  /** A name in $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=). */
  | { readonly kind: 'credential'; readonly name: string }
  /** A command line for /bin/sh whose first line of output is the secret. */
  | { readonly kind: 'command'; readonly command: string }
  | { readonly kind: 'prompt' };

/** What reading a secret needs of its surroundings. */
export interface SecretSurroundings {
  readonly credentialsDirectory: string | undefined;
  /** Asks on the terminal without echo; rejects with ERR_PIN_REQUIRED where there is none. */
  readonly prompt: (question: string) => Promise<Secret>;
  /** Told what is unsafe but works. */
  readonly warn: (text: string) => void;
}

const MAX_BYTES = 4096;
/** A person may have to type something into the command's own window. */
const COMMAND_TIMEOUT = 120_000;

function usage(text: string, hint: string): never {
  throw new AgentError('ERR_USAGE', text, { hint });
}

/**
 * Parses a source: `file:PATH` or a path, `credential:NAME`, `command:COMMAND` or `|COMMAND`, `prompt`.
 * @throws AgentError ERR_USAGE
 */
export function parseSecretSource(text: string): SecretSource {
  if (text === 'prompt') return { kind: 'prompt' };
  const command = /^(?:\||command:)(.*)$/s.exec(text)?.[1]?.trimStart();
  if (command !== undefined) {
    return command === ''
      ? usage('a PIN source without a command', "say 'command:COMMAND'")
      : { kind: 'command', command };
  }
  const name = /^credential:(.*)$/s.exec(text)?.[1];
  if (name !== undefined) {
    if (!/^[^/]+$/.test(name) || name === '..') usage(`'${name}' is no name of a credential`, "say 'credential:NAME'");
    return { kind: 'credential', name };
  }
  try {
    const path = text.startsWith('file://') ? fileURLToPath(text) : text.replace(/^file:/, '');
    if (path !== '') return { kind: 'file', path };
  } catch {
    // a file: URL with a host, or with an encoded slash
  }
  return usage(`'${text}' is no PIN source`, 'give a file, credential:NAME, command:COMMAND or prompt');
}

function firstLine(bytes: Buffer, origin: string): Secret {
  const end = bytes.findIndex((byte) => byte === 0x0a);
  let line = end < 0 ? bytes : bytes.subarray(0, end);
  if (line.at(-1) === 0x0d) line = line.subarray(0, -1);
  if (line.length === 0) throw new AgentError('ERR_PIN_SOURCE', `nothing in ${origin}`);
  const secret = new Secret(line);
  bytes.fill(0);
  return secret;
}

async function readFromFile(path: string, warn: (text: string) => void): Promise<Secret> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new AgentError('ERR_PIN_SOURCE', `can't read the PIN: ${errorText(error)}`, { cause: error });
  });
  try {
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) warn(`others can read ${path}: chmod 600 it`);
    const buffer = Buffer.alloc(MAX_BYTES);
    const { bytesRead } = await file.read(buffer).catch((error: unknown) => {
      throw new AgentError('ERR_PIN_SOURCE', `can't read ${path}: ${errorText(error)}`, { cause: error });
    });
    return firstLine(buffer.subarray(0, bytesRead), path);
  } finally {
    await file.close();
  }
}

async function readFromCommand(command: string): Promise<Secret> {
  const output = await new Promise<Buffer>((resolve, reject) => {
    const options = { encoding: 'buffer', timeout: COMMAND_TIMEOUT, maxBuffer: MAX_BYTES } as const;
    execFile('/bin/sh', ['-c', command], options, (error, stdout) => {
      if (!error) resolve(stdout);
      // execFile's own message repeats the command's output
      else reject(new AgentError('ERR_PIN_SOURCE', `the PIN command failed (${String(error.code ?? error.signal)})`));
    });
  });
  return firstLine(output, 'the output of the PIN command');
}

/** A bare name means a credential where systemd handed one over, a file otherwise. */
async function credentialFile(source: SecretSource, directory: string | undefined): Promise<string | undefined> {
  if (source.kind === 'credential') {
    if (directory !== undefined) return join(directory, source.name);
    throw new AgentError('ERR_PIN_SOURCE', `no credential '${source.name}': $CREDENTIALS_DIRECTORY is not set`);
  }
  if (source.kind !== 'file' || directory === undefined || isAbsolute(source.path) || source.path.includes('/')) {
    return undefined;
  }
  const path = join(directory, source.path);
  return await access(path).then(
    () => path,
    () => undefined,
  );
}

/**
 * Gets the secret: the first line of what the source gives, without its line end.
 * @param what for a prompt: what the secret opens
 * @throws AgentError ERR_PIN_SOURCE, ERR_PIN_REQUIRED
 */
export async function readSecret(source: SecretSource, what: string, around: SecretSurroundings): Promise<Secret> {
  const credential = await credentialFile(source, around.credentialsDirectory);
  // systemd's credentials are mode 0400 or 0440 by its own hand: nothing to warn of
  if (credential !== undefined) return await readFromFile(credential, () => undefined);
  switch (source.kind) {
    case 'prompt':
      return await around.prompt(what);
    case 'command':
      return await readFromCommand(source.command);
    case 'file':
    case 'credential':
      return await readFromFile(source.kind === 'file' ? source.path : source.name, around.warn);
  }
}
