import type { Stats } from 'node:fs';
import { access, constants, lstat, mkdir, readlink } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { errnoOf, type Fail, stateError } from './state-error.ts';

/** As many as the kernel follows. */
const MAX_LINKS = 40;

const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

/** Users who could change the folder anyway. */
export type Trusted = (uid: number) => boolean;

/** Which folder, and how it is spoken of. */
export interface FolderOptions {
  /** This process's effective user; undefined where it is not known: then any owner will do. */
  readonly uid: number | undefined;
  /** Makes what is missing, closed to others. */
  readonly create: boolean;
  /** `the state directory`. */
  readonly name: string;
  readonly fail: Fail;
}

/** Throws if a user who is not trusted can put something else in the place of what a folder on the way holds. */
function checkAncestor(path: string, { uid, mode }: Stats, isTrusted: Trusted, { name, fail }: FolderOptions): void {
  if (!isTrusted(uid)) throw fail(`${name} is not safe: ${path} belongs to another user (uid ${uid})`);
  // a group's folder on the way (/var/local, or a home under umask 002) is common, and its group is trusted with more
  if ((mode & WRITABLE_BY_OTHERS) === 0 || (mode & STICKY) !== 0) return;
  throw fail(`${name} is not safe: others can write ${path}`, undefined, `chmod o-w ${path}`);
}

function checkFolder(path: string, { uid, mode }: Stats, isTrusted: Trusted, { name, fail }: FolderOptions): void {
  if (!isTrusted(uid)) throw fail(`${name} ${path} belongs to another user (uid ${uid})`);
  if ((mode & (WRITABLE_BY_GROUP | WRITABLE_BY_OTHERS)) === 0) return;
  throw fail(`others can write ${name} ${path}`, undefined, `chmod go-w ${path}, or give another one`);
}

async function statOf(path: string, { name, fail }: FolderOptions): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fail(`can't look at ${name}`, error);
  }
}

/** One level, never recursive: that loops for ever where the kernel refuses a folder with ENOENT, as in /proc. */
async function makeFolder(path: string, options: FolderOptions): Promise<Stats> {
  const { name, fail } = options;
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw fail(`can't make ${name}`, error);
  }
  const made = await statOf(path, options);
  if (!made) throw fail(`can't make ${name} ${path}: it is gone as soon as it is made`);
  return made;
}

function trustedBy(uid: number | undefined, root: Stats): Trusted {
  return (owner) => uid === undefined || owner === uid || owner === 0 || owner === root.uid;
}

/** Who can change anything of this user's: the user, root, and the owner of `/`; all, if the user is not known. */
export async function trustedUsers(uid: number | undefined): Promise<Trusted> {
  return trustedBy(uid, await lstat(sep));
}

interface Found {
  /** Without symbolic links. */
  readonly path: string;
  readonly stats: Stats;
}

/**
 * Goes to where a path leads, link by link, through folders that are safe, or to what is no folder on the way.
 * @returns undefined if it is not there
 */
async function follow(wanted: string, root: Stats, options: FolderOptions): Promise<Found | undefined> {
  const { uid, create, name, fail } = options;
  const isTrusted = trustedBy(uid, root);
  const rest = wanted.split(sep).filter(Boolean);
  let path: string = sep;
  let stats = root;
  for (let links = 0; ; ) {
    const part = rest.shift();
    if (part === undefined || !stats.isDirectory()) return { path, stats };
    checkAncestor(path, stats, isTrusted, options);
    const next = resolve(path, part);
    let found = await statOf(next, options);
    if (!found && !create) return undefined;
    found ??= await makeFolder(next, options);
    if (!found.isSymbolicLink()) {
      path = next;
      stats = found;
      continue;
    }
    if (!isTrusted(found.uid)) throw fail(`${name} is not safe: ${next} is another user's link`);
    if (++links > MAX_LINKS) throw fail(`${name} ${wanted} has too many symbolic links`);
    const target = await readlink(next).catch((error: unknown) => {
      throw fail(`can't look at ${name}`, error);
    });
    rest.unshift(...resolve(path, target).split(sep).filter(Boolean));
    path = sep;
    stats = root;
  }
}

/**
 * Follows the way to a folder, link by link: only this user, root and the owner of `/` may be able to put something else into
 * its place.
 * @returns the folder's path without symbolic links; undefined if it is not there
 * @throws what `fail` makes
 */
export async function safeFolder(folder: string, options: FolderOptions): Promise<string | undefined> {
  const wanted = resolve(folder);
  const root = await lstat(sep);
  const found = await follow(wanted, root, options);
  if (!found) return undefined;
  const { path, stats } = found;
  if (!stats.isDirectory()) throw options.fail(`${options.name} ${wanted} can't be used: ${path} is not a folder`);
  checkFolder(path, stats, trustedBy(options.uid, root), options);
  return path;
}

/**
 * Follows the way to a file, or to a folder whose files are each looked at: only those whom {@link safeFolder} trusts, and
 * groups, may be able to put something else into its place, or to take something out of that folder. Whoever opens the file
 * looks at whose it is.
 * @returns whether it is there
 * @throws what `fail` makes
 */
export async function checkWay(wanted: string, options: Omit<FolderOptions, 'create'>): Promise<boolean> {
  const all = { ...options, create: false };
  const root = await lstat(sep);
  const found = await follow(resolve(wanted), root, all);
  if (found?.stats.isDirectory()) checkAncestor(found.path, found.stats, trustedBy(options.uid, root), all);
  return found !== undefined;
}

/**
 * The state directory, as {@link safeFolder}.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function safeStateFolder(
  folder: string,
  uid: number | undefined,
  create: boolean,
): Promise<string | undefined> {
  return await safeFolder(folder, { uid, create, name: 'the state directory', fail: stateError });
}

/**
 * Looks whether a folder can be the state directory, and makes it if it is not there.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function prepareStateFolder(folder: string, uid: number | undefined): Promise<void> {
  const path = (await safeStateFolder(folder, uid, true)) ?? folder;
  await access(path, constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw stateError("can't write into the state directory", error);
  });
}
