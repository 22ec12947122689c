import { resolve } from 'node:path';
import { Keyring } from '../agent/keyring.ts';
import { tokenSettings, type TokenFlags } from '../config/flags.ts';
import { askingAgain } from '../keys/pins.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import {
  configuredModules,
  findModule,
  findTokens,
  idHint,
  listToken,
  parsePkcs11Uri,
  pkcs11UriName,
  tokenForPin,
  type FoundToken,
  type ModuleName,
  type Pkcs11Uri,
} from '../pkcs11/index.ts';
import type { LogLevel } from '../log-level.ts';
import { printableJson } from '../telemetry/printable.ts';
import { exitCodeOf } from './exit-codes.ts';
import {
  moduleEntry,
  tokenEntry,
  type KeyEntry,
  type KeysDocument,
  type ModuleEntry,
  type TokenEntry,
} from './keys-document.ts';
import { keysText } from './keys-text.ts';
import { complain, print, stderrLog } from './standard-streams.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { processSurroundings } from './process-surroundings.ts';
import { terminal } from './terminal.ts';

export interface KeysFlags extends TokenFlags {
  readonly module?: readonly string[];
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

/** The URI that fits everything. */
const EVERYTHING = 'pkcs11:';

async function modulesOf(flags: KeysFlags, uri: Pkcs11Uri): Promise<ModuleName[]> {
  if (uri.modulePath !== undefined) return [{ path: resolve(uri.modulePath) }];
  if (uri.moduleName !== undefined) return [{ path: await findModule(uri, undefined), name: uri.moduleName }];
  const given = [...new Set(flags.module?.map((path) => resolve(path)))];
  const modules = given.length > 0 ? given.map((path) => ({ path })) : await configuredModules();
  if (modules.length === 0) {
    throw new AgentError('ERR_MODULE_NOT_FOUND', "p11-kit's configuration names no PKCS#11 module", {
      hint: 'give --module PATH, or install one that comes with a file in /usr/share/p11-kit/modules',
    });
  }
  if (modules.length > 1 && flags.moduleInitArgs !== undefined) {
    throw new AgentError('ERR_USAGE', '--module-init-args is for one module', { hint: 'give one --module PATH' });
  }
  return modules;
}

/** What went wrong, and in which module. */
interface Failure {
  readonly path: string;
  readonly error: unknown;
}

/** What `pksigd keys` found, and the errors on the way: of a module, of a token. */
interface Inventory extends KeysDocument {
  readonly failures: readonly Failure[];
}

async function takeInventory(flags: KeysFlags, uri: Pkcs11Uri, keyring: Keyring): Promise<Inventory> {
  const { tokens, secrets } = keyring;
  const wanted = await modulesOf(flags, uri);
  const found = await findTokens(wanted, tokens, uri);
  const failures: Failure[] = found.flatMap(({ module: { path }, error }) =>
    error === undefined ? [] : [{ path, error }],
  );
  const wantsLogin = flags.pinSource !== undefined || uri.pinSource !== undefined;
  const forPin = wantsLogin ? tokenForPin(found.flatMap(({ tokens }) => tokens)) : undefined;
  const pin = forPin && keyring.tokenPin(uri.pinSource);

  const mayAskAgain = (error: unknown): boolean => secrets.mayAskAgain(error, uri.pinSource);
  const look = async (token: FoundToken): Promise<TokenEntry> => {
    const itsPin = token === forPin ? pin : undefined;
    try {
      const list = (): ReturnType<typeof listToken> => listToken(token, uri, itsPin);
      const listed = await (itsPin ? askingAgain({ mayAskAgain }, uri.pinSource, list) : list());
      return tokenEntry(token, listed, itsPin !== undefined, Date.now());
    } catch (error) {
      if (itsPin) throw error; // somebody asked for a login: half a list would hide that there was none
      failures.push({ path: token.module.path, error });
      return tokenEntry(token, { error }, false, Date.now());
    }
  };
  const modules = found.map(async ({ module, tokens, error }): Promise<ModuleEntry> => {
    const entries: TokenEntry[] = [];
    for (const token of tokens) entries.push(await look(token));
    return moduleEntry(module, entries, error);
  });
  const entries = await Promise.all(modules);
  // whoever asks for something does not want to read where it is not
  const isFiltered = pkcs11UriName(uri) !== EVERYTHING;
  return { modules: entries.filter(({ tokens, error }) => !isFiltered || tokens.length > 0 || error), failures };
}

/**
 * The keys in modules that can be seen without a login: no PIN is read, and no person asked.
 * @param deadline milliseconds for each call into a module
 */
export async function keysWithoutLogin(modules: readonly string[], deadline: number): Promise<KeyEntry[]> {
  await forbidCoreDumps();
  const flags: KeysFlags = { module: modules, logLevel: 'silent', deadline };
  await using keyring = new Keyring(tokenSettings(flags), processSurroundings(stderrLog('silent')));
  const inventory = await takeInventory(flags, parsePkcs11Uri(EVERYTHING), keyring);
  return inventory.modules.flatMap(({ tokens }) => tokens.flatMap(({ keys }) => keys));
}

/** Where a URI was given and nothing fits it. */
function nothingFits(uri: Pkcs11Uri, { modules }: KeysDocument): AgentError | undefined {
  const name = pkcs11UriName(uri);
  if (name === EVERYTHING) return undefined;
  const tokens = modules.flatMap((module) => module.tokens);
  if (tokens.length === 0) return new AgentError('ERR_TOKEN_ABSENT', `no token that ${name} fits`);
  if (tokens.some(({ keys }) => keys.length > 0) || (uri.object === undefined && uri.id === undefined))
    return undefined;
  const hints = [
    idHint(uri),
    tokens.some(({ login }) => login === 'needed') ? 'give --pin-source to look at what takes a login' : undefined,
  ].filter((hint) => hint !== undefined);
  return new AgentError('ERR_KEY_NOT_FOUND', `no key that ${name} fits`, {
    ...(hints.length > 0 && { hint: hints.join('; ') }),
  });
}

function failureText(path: string, error: unknown): string {
  const [text, code] = [errorText(error), errorCode(error)];
  return `${text.includes(path) ? '' : `${path}: `}${text}${code === undefined ? '' : ` [${code}]`}`;
}

/** `pksigd keys`: modules, tokens, keys, certificates, and how each key signs. No PIN is used without a PIN source. */
export async function keysCommand(filter: string | undefined, flags: KeysFlags): Promise<void> {
  const uri = parsePkcs11Uri(filter ?? EVERYTHING);
  const log = stderrLog(flags.logLevel);
  await forbidCoreDumps();
  await using keyring = new Keyring(tokenSettings(flags), processSurroundings(log));
  const { modules, failures } = await terminal.during(
    flags.pinSource === 'prompt' || uri.pinSource === 'prompt',
    'reading the tokens…',
    () => takeInventory(flags, uri, keyring),
  );
  for (const { path, error } of failures) complain(failureText(path, error));
  const failed = modules.every(({ error }) => error) ? failures[0] : undefined;
  const missing = failed ? undefined : nothingFits(uri, { modules });
  if (flags.json === true) print(`${printableJson(JSON.stringify({ modules }, null, 2))}\n`);
  else if (!failed && !missing) print(keysText({ modules }));
  if (failed) process.exitCode = exitCodeOf(failed.error);
  else if (missing) throw missing;
}
