import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { ManagementAddress } from './address.ts';
import { walkPath } from './path-walk.ts';
import { isUnmapped } from './user-namespace.ts';

const OTHERS_WRITE = 0o002;
const OTHERS_PASS = 0o001;
const GROUP_WRITES = 0o020;
const STICKY = 0o1000;

/** Whether only this host's own processes reach it. */
export function isLocal(address: ManagementAddress): boolean {
  return address.kind === 'unix' || /^(?:127(?:\.\d{1,3}){3}|::1|localhost)$/.test(address.host);
}

/**
 * Who can connect to an address beside this user and root: `nobody` (or a group that the socket's mode names), the other
 * `users` of this host, or other hosts on the `network`.
 *
 * @param mode a unix socket's
 */
export async function whoReaches(address: ManagementAddress, mode: number): Promise<'nobody' | 'users' | 'network'> {
  if (address.kind === 'tcp') return isLocal(address) ? 'users' : 'network';
  return (mode & OTHERS_WRITE) !== 0 && (await isOpenToAll(resolve(address.path))) ? 'users' : 'nobody';
}

/** May all users walk through all folders above? */
async function isOpenToAll(path: string): Promise<boolean> {
  const folder = dirname(path);
  if (((await stat(folder)).mode & OTHERS_PASS) === 0) return false;
  return folder === dirname(folder) || (await isOpenToAll(folder));
}

/** A user, or users, who could put something else where a path leads. */
export interface Replacer {
  /** The folder, link or socket that gives them the power. */
  readonly path: string;
  /** `everybody`, a group's ID, or a user's. */
  readonly who: 'everybody' | { readonly group: number } | { readonly user: number };
}

/** @returns for a person: who beside this user and root could put another socket where one of ours is, and by what */
export async function whoReplaces(path: string, self: number): Promise<string | undefined> {
  const { replacers } = await walk(dirname(path), (user) => user === 0 || user === self || isUnmapped(user));
  const [first] = replacers;
  if (first === undefined) return undefined;
  return `${nameOf(first.who)} can put another socket in the place of ${path}, by ${first.path}`;
}

/** Who it is, for a person. */
export function nameOf(who: Replacer['who']): string {
  if (who === 'everybody') return who;
  return 'group' in who ? `group ${who.group}` : `user ${who.user}`;
}

/** Where a path leads, and who could make it lead elsewhere. */
export interface Walk {
  /** The file's status; undefined if there is none. */
  readonly end: Stats | undefined;
  readonly replacers: readonly Replacer[];
}

/**
 * Walks to `path` as the kernel does, and looks at each folder and link.
 *
 * @param mayOwn whether a user may own folders and links on the way
 * @throws what lstat throws, but for a last component that isn't there
 */
export async function walk(path: string, mayOwn: (user: number) => boolean): Promise<Walk> {
  const replacers: Replacer[] = [];
  const pass = (at: string, stats: Stats): void => {
    if (!stats.isSymbolicLink()) inspectFolder(at, stats, mayOwn, replacers);
    else if (!mayOwn(stats.uid)) replacers.push({ path: at, who: { user: stats.uid } });
  };
  return { end: await walkPath(path, { pass }), replacers };
}

/** In a sticky folder others can only remove what is theirs: and whose each thing on the way is gets looked at. */
function inspectFolder(path: string, stats: Stats, mayOwn: (user: number) => boolean, replacers: Replacer[]): void {
  const { mode, uid, gid } = stats;
  if (!mayOwn(uid)) replacers.push({ path, who: { user: uid } });
  if ((mode & STICKY) !== 0) return;
  if ((mode & OTHERS_WRITE) !== 0) replacers.push({ path, who: 'everybody' });
  // root's group, or the one that many systems give each user for themself
  else if ((mode & GROUP_WRITES) !== 0 && gid !== 0 && gid !== uid) replacers.push({ path, who: { group: gid } });
}
