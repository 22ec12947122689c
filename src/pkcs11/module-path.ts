import { access, readdir, readFile } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { AgentError } from '../errors.ts';
import type { Pkcs11Uri } from './uri.ts';

/** Where p11-kit keeps its module files (pkcs11.conf(5)); the later overrides the earlier. */
const MODULE_FILE_FOLDERS = ['/usr/share/p11-kit/modules', '/etc/pkcs11/modules'];
/** Where distributions put modules, beside the library folders of multiarch. */
const LIBRARY_FOLDERS = ['/usr/lib/softhsm', '/usr/lib/pkcs11', '/usr/lib64/pkcs11', '/usr/local/lib', '/usr/lib'];

async function isReadable(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function libraryFolders(): Promise<string[]> {
  const entries = await readdir('/usr/lib').catch(() => []);
  const multiarch = entries.filter((name) => name.includes('-linux-')).map((name) => join('/usr/lib', name));
  return [...multiarch.map((folder) => join(folder, 'pkcs11')), ...LIBRARY_FOLDERS, ...multiarch];
}

/** The `module:` line of p11-kit's NAME.module, if there is such a file. */
async function p11KitModule(name: string): Promise<string | undefined> {
  let found: string | undefined;
  for (const folder of MODULE_FILE_FOLDERS) {
    const text = await readFile(join(folder, `${name}.module`), 'utf8').catch(() => '');
    found = /^\s*module\s*:\s*(\S.*?)\s*$/m.exec(text)?.[1] ?? found;
  }
  return found;
}

async function firstReadable(files: readonly string[]): Promise<string | undefined> {
  for (const folder of await libraryFolders()) {
    for (const file of files) {
      const path = join(folder, file);
      if (await isReadable(path)) return path;
    }
  }
  return undefined;
}

/** RFC 7512 section 2.3: the module's name without a `lib` before and an extension behind it, or as p11-kit knows it. */
async function moduleByName(name: string): Promise<string> {
  if (name !== basename(name)) throw new AgentError('ERR_URI', `bad pkcs11 URI: module-name '${name}' is a path`);
  const configured = await p11KitModule(name);
  const found =
    configured === undefined
      ? await firstReadable([`lib${name}.so`, `${name}.so`, `${name}-pkcs11.so`])
      : isAbsolute(configured)
        ? configured
        : await firstReadable([configured]);
  if (found === undefined) {
    throw new AgentError('ERR_MODULE_NOT_FOUND', `no PKCS#11 module named '${name}'`, { hint: 'give module-path' });
  }
  return found;
}

/**
 * The file of the module that a URI names, or else the default one.
 * @throws AgentError ERR_MODULE_NOT_FOUND
 */
export async function findModule(uri: Pkcs11Uri, defaultModule: string | undefined): Promise<string> {
  const path = uri.modulePath ?? (uri.moduleName === undefined ? defaultModule : await moduleByName(uri.moduleName));
  if (path === undefined) {
    throw new AgentError('ERR_MODULE_NOT_FOUND', 'the pkcs11 URI names no module', {
      hint: 'add ?module-path=/path/to/module.so, or give --module',
    });
  }
  if (!(await isReadable(path))) throw new AgentError('ERR_MODULE_NOT_FOUND', `no PKCS#11 module at ${path}`);
  return path;
}
