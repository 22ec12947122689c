import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError, errorText, isAbsence } from '../../errors.ts';
import { ownUser } from '../../own-user.ts';
import { readFileLimited } from '../../read-file-limited.ts';

/** Where p11-kit's configuration lies. */
export interface P11KitFolders {
  /** The module files of packages. */
  readonly packages: string;
  /** The administrator's `pkcs11.conf` and `modules`. */
  readonly system: string;
  /** The user's; undefined for root, who gets only the system's, as with p11-kit itself. */
  readonly user: string | undefined;
}

/** A module that p11-kit's configuration names (pkcs11.conf(5)). */
export interface P11KitModule {
  /** Its file's name without `.module`. */
  readonly name: string;
  /** The shared library; a relative path counts from p11-kit's module folder. */
  readonly file: string;
  /** The user's own files have a say in it: other users may not know it. */
  readonly isUsers: boolean;
  /** A source of certificate authorities (p11-kit-trust): there are no keys. */
  readonly isTrust: boolean;
  /** Whether pksigd is among the programs that it is for. */
  readonly isEnabled: boolean;
}

type Settings = ReadonlyMap<string, string>;

const PROGRAM = 'pksigd';
const MODULE_FILE = /^([A-Za-z0-9][A-Za-z0-9_,.-]*)\.module$/;

/** As p11-kit is built in distributions. */
function p11KitFolders(): P11KitFolders {
  const { uid, home } = ownUser();
  return {
    packages: '/usr/share/p11-kit/modules',
    system: '/etc/pkcs11',
    user: uid === 0 || home === undefined ? undefined : join(home, '.config', 'pkcs11'),
  };
}

const MAX_SETTINGS_BYTES = 1024 * 1024;

const DENIED = new Set<unknown>(['EACCES', 'EPERM']);

/** Whether there is nothing to read, as p11-kit sees it: what may not be read counts so of the user's files alone. */
function isNothing(error: unknown, isUsers: boolean): boolean {
  const cause = error instanceof AgentError ? error.cause : error;
  return isAbsence(cause) || (isUsers && DENIED.has((cause as NodeJS.ErrnoException | undefined)?.code));
}

/**
 * A file's settings, `name: value` a line; none where there is no such file.
 * @throws AgentError ERR_CONFIG for one that can't be read: it may say that a module is not for us
 */
async function readSettings(path: string, isUsers: boolean): Promise<Settings> {
  const limits = { what: 'the settings of p11-kit', code: 'ERR_CONFIG', maxBytes: MAX_SETTINGS_BYTES } as const;
  const text = await readFileLimited(path, limits).catch((error: unknown) => {
    if (isNothing(error, isUsers)) return '';
    throw error;
  });
  return new Map(
    text
      .toString()
      .split('\n')
      .flatMap((line): [string, string][] => {
        const [, name, value] = /^\s*([A-Za-z0-9._-]+)\s*:(.*)$/.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value.trim()]];
      }),
  );
}

type UserConfig = 'none' | 'merge' | 'only';
const USER_CONFIG: ReadonlyMap<string, UserConfig> = new Map([
  ['none', 'none'],
  ['merge', 'merge'],
  ['only', 'only'],
  ['override', 'only'],
]);

/** What a `pkcs11.conf` says of the user's files: nothing, or one of the words. */
async function userConfig(folder: string, isUsers: boolean): Promise<UserConfig | undefined> {
  const path = join(folder, 'pkcs11.conf');
  const said = (await readSettings(path, isUsers)).get('user-config');
  if (said === undefined) return undefined;
  const known = USER_CONFIG.get(said);
  if (known === undefined) throw new AgentError('ERR_CONFIG', `${path}: user-config is none, merge or only`);
  return known;
}

interface ModuleFolder {
  readonly folder: string;
  readonly isUsers: boolean;
}

/** The folders of module files that count, the one that has the first say first. */
async function moduleFolders({ packages, system, user }: P11KitFolders): Promise<ModuleFolder[]> {
  const systems = [join(system, 'modules'), packages].map((folder) => ({ folder, isUsers: false }));
  if (user === undefined) return systems;
  const allowed = (await userConfig(system, false)) ?? 'merge';
  if (allowed === 'none') return systems;
  // the user may narrow it in turn, or switch it off
  const mode = (await userConfig(user, true)) ?? allowed;
  if (mode === 'none') return systems;
  const users = [{ folder: join(user, 'modules'), isUsers: true }];
  return mode === 'merge' ? [...users, ...systems] : users;
}

async function filesIn({ folder, isUsers }: ModuleFolder): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (isNothing(error, isUsers)) return [];
    throw new AgentError('ERR_CONFIG', `can't read the settings of p11-kit: ${errorText(error)}`, { cause: error });
  }
}

const list = (value: string): string[] => value.split(/[\s,]+/).filter(Boolean);

function isEnabled(settings: Settings): boolean {
  const [only, except] = [settings.get('enable-in'), settings.get('disable-in')];
  if (only !== undefined) return list(only).includes(PROGRAM);
  return except === undefined || !list(except).includes(PROGRAM);
}

/**
 * The modules of p11-kit's configuration, in its order: by priority, then by name. Files of one name are one module, each
 * setting from the first folder that has it; an empty `module:` takes a module out. Remote ones (`remote:`) are left out;
 * `managed` and `critical` mean nothing here, where each module has a process of its own.
 * @throws AgentError ERR_CONFIG where p11-kit itself would refuse: settings of the system that can't be read, a `user-config` that
 * is none
 */
export async function p11KitModules(folders: P11KitFolders = p11KitFolders()): Promise<P11KitModule[]> {
  const found = new Map<string, { settings: Settings; isUsers: boolean }>();
  for (const place of await moduleFolders(folders)) {
    const { folder, isUsers } = place;
    for (const file of await filesIn(place)) {
      const name = MODULE_FILE.exec(file)?.[1];
      if (name === undefined) continue;
      const settings = await readSettings(join(folder, file), isUsers);
      const before = found.get(name);
      found.set(
        name,
        before ? { ...before, settings: new Map([...settings, ...before.settings]) } : { settings, isUsers },
      );
    }
  }
  const priority = ({ settings }: { settings: Settings }): number => Number(settings.get('priority') ?? 0) || 0;
  return [...found]
    .sort(([a, one], [b, other]) => priority(other) - priority(one) || (a < b ? -1 : 1))
    .map(([name, { settings, isUsers }]) => ({
      name,
      file: settings.has('remote') ? '' : (settings.get('module') ?? ''),
      isUsers,
      isTrust: settings.get('trust-policy') === 'yes',
      isEnabled: isEnabled(settings),
    }))
    .filter(({ file }) => file !== '');
}
