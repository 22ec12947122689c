// Which shared library drives a token: by its path, by its name, or by p11-kit's configuration. For all that starts from a
// URI or from none.
import { access, readdir } from 'node:fs/promises';
import { machine } from 'node:os';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { AgentError, errorCode, errorText, isAbsence } from '../../errors.ts';
import { p11KitModules, type P11KitFolders, type P11KitModule } from './p11-kit.ts';
import type { Pkcs11Uri } from '../uri.ts';

/** Where distributions put modules, beside the library folders of multiarch. */
const LIBRARY_FOLDERS = ['/usr/lib/softhsm', '/usr/lib/pkcs11', '/usr/lib64/pkcs11', '/usr/local/lib', '/usr/lib'];

/** Why a file can't be looked at; undefined if it can. */
async function whyAway(path: string): Promise<unknown> {
  return await access(path).then(
    () => undefined,
    (error: unknown) => error,
  );
}

const isThere = async (path: string): Promise<boolean> => (await whyAway(path)) === undefined;

async function libraryFolders(): Promise<string[]> {
  const entries = await readdir('/usr/lib').catch(() => []);
  const isOwn = (name: string): boolean => name.startsWith(machine());
  const multiarch = entries
    .filter((name) => name.includes('-linux-'))
    .sort((a, b) => Number(isOwn(b)) - Number(isOwn(a)))
    .map((name) => join('/usr/lib', name));
  return [...multiarch.map((folder) => join(folder, 'pkcs11')), ...LIBRARY_FOLDERS, ...multiarch];
}

async function firstThere(files: readonly string[]): Promise<string | undefined> {
  for (const folder of await libraryFolders()) {
    for (const file of files) {
      const path = join(folder, file);
      if (await isThere(path)) return path;
    }
  }
  return undefined;
}

async function configuredPath({ file }: P11KitModule): Promise<string | undefined> {
  return isAbsolute(file) ? file : await firstThere([file]);
}

/** RFC 7512 section 2.3: the module's name without a `lib` before and an extension behind it, or as p11-kit knows it. */
async function moduleByName(name: string): Promise<string> {
  if (name !== basename(name)) throw new AgentError('ERR_URI', `bad pkcs11 URI: module-name '${name}' is a path`);
  // one that is meant for other programs too: it was asked for by name
  const configured = (await p11KitModules()).find((module) => module.name === name);
  const found = configured
    ? await configuredPath(configured)
    : await firstThere([`lib${name}.so`, `${name}.so`, `${name}-pkcs11.so`]);
  if (found === undefined) {
    throw new AgentError('ERR_MODULE_NOT_FOUND', `no PKCS#11 module named '${name}'`, { hint: 'give module-path' });
  }
  return found;
}

/**
 * The file of the module that a URI names, or else the default one: an absolute path. A bare name would be looked for elsewhere by
 * the loader, and a module by two names be loaded twice.
 * @throws AgentError ERR_MODULE_NOT_FOUND, ERR_URI
 */
export async function findModule(uri: Pkcs11Uri, defaultModule: string | undefined): Promise<string> {
  const named = uri.modulePath ?? (uri.moduleName === undefined ? defaultModule : await moduleByName(uri.moduleName));
  if (named === undefined) {
    // not one that may come: a supervisor would wait for nothing
    throw new AgentError('ERR_URI', 'the pkcs11 URI names no module', {
      hint: 'add ?module-path=/path/to/module.so',
      reason: 'no-module',
    });
  }
  const path = resolve(named);
  const why = await whyAway(path);
  if (why !== undefined) throw notThere(path, why);
  return path;
}

function notThere(path: string, why: unknown): AgentError {
  const text = isAbsence(why) ? `no PKCS#11 module at ${path}` : `can't look at the PKCS#11 module: ${errorText(why)}`;
  return new AgentError('ERR_MODULE_NOT_FOUND', text, { cause: why });
}

/** Why a module that nobody looked for was not loaded: the loader does not tell a file that is not there from others. */
export async function whyNotLoaded(path: string, error: unknown): Promise<unknown> {
  const isSure = errorCode(error) === 'ERR_MODULE_LOAD' && isAbsolute(path);
  const why = isSure ? await whyAway(path) : undefined;
  return why === undefined ? error : notThere(path, why);
}

/** The file that dlopen would load for a library's bare name, by the folders that we know; else the text as it is. */
export async function findLibrary(file: string): Promise<string> {
  return file.includes('/') ? file : ((await firstThere([file])) ?? file);
}

/** A module to look into, and how a URI names it. */
export interface ModuleName {
  readonly path: string;
  /** As all users of this machine know it from p11-kit's configuration. */
  readonly name?: string;
}

/**
 * The modules that p11-kit's configuration has for pksigd, each once: without those that hold certificate authorities only.
 * A file that is not there is in the list too: loading it says so.
 */
export async function configuredModules(folders?: P11KitFolders): Promise<ModuleName[]> {
  const modules = new Map<string, ModuleName>();
  for (const module of await p11KitModules(folders)) {
    if (!module.isEnabled || module.isTrust) continue;
    const path = (await configuredPath(module)) ?? module.file;
    const { name, isUsers } = module;
    if (!modules.has(path)) modules.set(path, { path, ...(!isUsers && { name }) });
  }
  return [...modules.values()];
}
