import { readFileSync, type Stats } from 'node:fs';
import type { Socket } from 'node:net';
import { AgentError, type Explained } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';
import { INHERITED } from './inherited-sockets.ts';
import { isLocal, nameOf, type Replacer, type Walk, walk } from './reach.ts';
import { type Connection, readTcpTable, type ReadTcpTable, type TcpRow, type TcpTable } from './tcp-table.ts';
import { isNeverTold, statusOfGiven, untold } from './untold.ts';
import { isUnmapped } from './user-namespace.ts';

const GROUP_WRITES = 0o020;

/** Which user the daemon's end of a management connection must belong to, wherever the kernel tells. */
export interface DaemonOwner {
  /** User ID that was insisted on. Without it: root's, or `self`'s. */
  readonly user?: number | undefined;
  /** User ID of this process. */
  readonly self: number;
}

/** Whose the other ends of sockets are, where the kernel told. */
const USERS = new WeakMap<Socket, number>();

/** Whose the daemon's end is: a user ID, as far as it was found out. */
export function daemonUserOf(socket: Socket): number | undefined {
  return USERS.get(socket);
}

/** The kernel's word: the right user, or nothing. Another user is an error. */
export type OwnerVerdict = 'known' | 'unknown';

/**
 * Refuses what can't be done: to insist on a user, or to keep a password from strangers, where the kernel doesn't tell.
 *
 * @param listens daemons connect to us; else we connect to them
 * @throws AgentError ERR_USAGE
 */
export function checkOwnerIsKnowable(
  address: ManagementAddress,
  owner: DaemonOwner,
  { listens, password }: { readonly listens: boolean; readonly password: boolean },
): void {
  const name = formatManagementAddress(address);
  const { user, self } = owner;
  if (address.kind === 'unix') {
    // a socket that was given is that user's already, or not
    if (listens && user !== undefined && user !== self && self !== 0 && user !== 0 && !INHERITED.hasPath(address.path))
      throw new AgentError('ERR_USAGE', `${name} can't be given to user ${user}`, {
        hint: 'only root can give a socket to another user',
      });
    return;
  }
  const why = !isLocal(address)
    ? 'is not a loopback address'
    : kernelTells()
      ? undefined
      : 'is TCP, and this system does not tell who owns a TCP connection';
  if (why === undefined) return;
  if (user !== undefined)
    throw new AgentError('ERR_USAGE', `user ${user} can't be insisted on: ${name} ${why}`, {
      hint: 'use a unix socket',
    });
  if (listens && password)
    throw new AgentError('ERR_USAGE', `a management password would be sent to whoever connects: ${name} ${why}`, {
      hint: 'use a unix socket, or leave the password out',
    });
}

function kernelTells(): boolean {
  try {
    readFileSync('/proc/self/net/tcp');
    return true;
  } catch (error) {
    return !isNeverTold(error);
  }
}

/** Whoever listens has begun to do so while we connected. A daemon that has just started is no reason for alarm. */
export class ListenerChanged extends AgentError {
  constructor(name: string) {
    super('ERR_MANAGEMENT_PEER', `who listens on ${name} changed while it was connected to`);
  }
}

/** An address that is about to be connected to. {@link Approach.arrived} tells whose its end is then. */
export interface Approach {
  /** @throws AgentError ERR_MANAGEMENT_PEER if the daemon's end is another user's */
  arrived(socket: Socket): Promise<OwnerVerdict>;
}

/**
 * Looks at whose the daemon's end is, before connecting.
 *
 * @param readListeners where a listener is missing, the connection is refused as one to who was not there before
 * @throws AgentError ERR_MANAGEMENT_PEER if it is another user's
 */
export async function approach(
  address: ManagementAddress,
  owner: DaemonOwner,
  readListeners: ReadTcpTable = readTcpTable,
): Promise<Approach> {
  const name = formatManagementAddress(address);
  if (address.kind === 'tcp') {
    const before = await tableFor(name, readListeners);
    return { arrived: (socket) => judgeListener(name, socket, before, owner) };
  }
  const before = await judgeSocket(address.path, owner);
  return {
    arrived: async (socket) => {
      const after = await judgeSocket(address.path, owner);
      // nothing there before or after: then it was there for a moment only
      if (before === undefined || after === undefined || !isSameFile(before.end, after.end))
        throw new ListenerChanged(name);
      USERS.set(socket, after.end.uid);
      return after.verdict;
    },
  };
}

/**
 * Whose end a daemon's own connection to us is.
 *
 * @throws AgentError ERR_MANAGEMENT_PEER if it is another user's
 */
export async function judgePeer(name: string, socket: Socket, owner: DaemonOwner): Promise<OwnerVerdict> {
  const ends = endsOf(socket);
  if (ends === undefined) throw gone(name);
  const table = await tableFor(name, readTcpTable);
  const row = table?.peer(ends);
  if (row !== undefined) return judge(name, socket, row, owner);
  // its end is on this host and isn't there any more: whose it was can't be told
  if (table !== undefined && isLocal({ kind: 'tcp', host: ends.remoteAddress, port: ends.remotePort }))
    throw gone(name);
  return unknown(name, owner);
}

/**
 * Whether only whom the daemon may belong to, and root, can connect to a unix socket that somebody else made. The owner of a
 * socket has chosen its group; but who insists on one user wants no other.
 *
 * @throws AgentError ERR_MANAGEMENT_PEER
 */
export async function judgeUsers(path: string, owner: DaemonOwner): Promise<void> {
  const status = await statusOfGiven(path);
  // none can connect
  if (status === undefined) return;
  const { uid, gid, mode } = status;
  const isGroups = owner.user !== undefined && gid !== 0 && (mode & GROUP_WRITES) !== 0;
  if ((uid === 0 || isAllowed(uid, owner)) && !isGroups) return;
  const who = isGroups ? `group ${gid}` : `user ${uid}`;
  throw new AgentError('ERR_MANAGEMENT_PEER', `${who} can connect to ${path}, a socket that pksigd was given`, {
    hint: 'its unit says who can by SocketUser= and SocketMode=',
    ...(!isGroups && { reason: 'foreign-daemon', user: uid }),
  });
}

/** @throws AgentError ERR_MANAGEMENT_PEER if the kernel can't be asked at the moment */
async function tableFor(name: string, read: ReadTcpTable): Promise<TcpTable | undefined> {
  try {
    return await read();
  } catch (cause) {
    throw untold(`whose the daemon's end of ${name} is`, cause);
  }
}

function isSameFile(one: Stats, other: Stats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

async function judgeListener(
  name: string,
  socket: Socket,
  before: TcpTable | undefined,
  owner: DaemonOwner,
): Promise<OwnerVerdict> {
  const ends = endsOf(socket);
  const after = await tableFor(name, readTcpTable);
  if (ends === undefined || socket.destroyed) throw gone(name);
  if (after === undefined || before === undefined) return unknown(name, owner);
  // the process that accepted us may have changed its user since (OpenVPN's --user): the listening socket's owner counts
  const listeners = after.listeners(ends);
  const known = new Set(before.listeners(ends).map(({ inode }) => inode));
  for (const row of listeners) {
    if (!known.has(row.inode)) throw new ListenerChanged(name);
    judgeUser(name, row.user, owner);
  }
  const [listener] = listeners;
  if (listener) {
    USERS.set(socket, listener.user);
    return 'known';
  }
  const row = after.peer(ends);
  return row === undefined ? unknown(name, owner) : judge(name, socket, row, owner);
}

/** No path leads there. */
const NO_WAY: ReadonlySet<unknown> = new Set(['ELOOP', 'ENAMETOOLONG']);
const NOTHING: Walk = { end: undefined, replacers: [] };

async function judgeSocket(
  path: string,
  owner: DaemonOwner,
): Promise<{ readonly end: Stats; readonly verdict: OwnerVerdict } | undefined> {
  const { user, self } = owner;
  const mayOwn = (uid: number): boolean =>
    uid === 0 || uid === self || uid === user || (user === undefined && isUnmapped(uid));
  const { end, replacers } = await walk(path, mayOwn).catch((error: unknown) => {
    if (error instanceof AgentError) throw error;
    if (isNeverTold(error) || NO_WAY.has((error as NodeJS.ErrnoException).code)) return NOTHING;
    throw untold(`whose the daemon's end of ${path} is`, error);
  });
  // nothing there, or out of reach: connecting says so
  if (end === undefined) return undefined;
  // the owner of a folder has chosen its group; who insists on one user wants no other
  const replacer = replacers.find(({ who }) => user !== undefined || typeof who === 'string' || !('group' in who));
  if (replacer !== undefined) throw replaceable(path, replacer);
  return { end, verdict: judgeUser(path, end.uid, owner) };
}

function judge(name: string, socket: Socket, row: TcpRow, owner: DaemonOwner): OwnerVerdict {
  // an end that is closed, even if only for writing, or that no process holds, is shown as root's
  if (row.state !== 'established' || row.inode === 0) throw gone(name);
  USERS.set(socket, row.user);
  return judgeUser(name, row.user, owner);
}

function isAllowed(uid: number, { user, self }: DaemonOwner): boolean {
  return user === undefined ? uid === 0 || uid === self : uid === user && !isUnmapped(uid);
}

function judgeUser(name: string, uid: number, owner: DaemonOwner): OwnerVerdict {
  const { user } = owner;
  if (user === undefined && isUnmapped(uid)) return 'unknown';
  if (isAllowed(uid, owner)) return 'known';
  const wanted = user === undefined ? 'neither root nor the user of this process' : `not user ${user}`;
  throw new AgentError('ERR_MANAGEMENT_PEER', `the daemon's end of ${name} belongs to user ${uid}, ${wanted}`, {
    hint: 'if OpenVPN runs as that user, insist on it',
    reason: 'foreign-daemon',
    user: uid,
  });
}

function unknown(name: string, { user }: DaemonOwner): OwnerVerdict {
  if (user === undefined) return 'unknown';
  throw new AgentError('ERR_MANAGEMENT_PEER', `whose the daemon's end of ${name} is can't be told`, {
    hint: `only unix sockets and loopback addresses tell, and user ${user} is insisted on`,
    reason: 'unknown-daemon',
    user,
  });
}

/** The other end went away before it was known whose it is. */
export function gone(name: string): AgentError {
  return new AgentError('ERR_MANAGEMENT_CLOSED', `the management connection to ${name} is closed`);
}

function replaceable(path: string, { path: by, who }: Replacer): AgentError {
  const explained: Explained =
    typeof who === 'object' && 'user' in who
      ? { hint: 'if OpenVPN runs as that user, insist on it', reason: 'foreign-daemon', user: who.user }
      : { hint: 'take the right to write away from them, or put the socket into another folder' };
  return new AgentError(
    'ERR_MANAGEMENT_PEER',
    `${nameOf(who)} can put another socket in the place of ${path}, by ${by}`,
    explained,
  );
}

function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): Connection | undefined {
  if (localAddress === undefined || localPort === undefined || remoteAddress === undefined || remotePort === undefined)
    return undefined;
  return { localAddress, localPort, remoteAddress, remotePort };
}
