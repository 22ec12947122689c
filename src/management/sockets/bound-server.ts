import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { lstat } from 'node:fs/promises';
import { Server, type ServerOpts, type Socket } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { AgentError, type AgentErrorCode, errorText } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress, MAX_UNIX_PATH, socketPathFault } from './address.ts';
import { dial } from './dial.ts';

/** Who may use a unix socket that we listen on. */
export interface SocketAccess {
  readonly mode: number;
  /** User ID, where it isn't to be this process's own. */
  readonly user?: number | undefined;
  /** Group ID, where it isn't to be this process's own. */
  readonly group?: number | undefined;
}

/** Tells one file from all others, for as long as it exists. */
type Identity = Pick<Stats, 'dev' | 'ino'>;

/** Where a unix socket belongs, and for whom. */
interface Place {
  readonly address: ManagementAddress & { readonly kind: 'unix' };
  /** The address's, whole. */
  readonly path: string;
  readonly access: SocketAccess;
  readonly whom: string;
}

/** What became of a socket whose file had gone. */
export interface Renewal {
  readonly address: ManagementAddress;
  /** Why it could not be bound anew, if so. */
  readonly error?: unknown;
}

/** A server on a management address. A unix socket is reachable from when it has its owner and mode, and goes with it. */
export class BoundServer extends Server {
  /** Those on unix sockets. */
  static readonly #unix = new Set<BoundServer>();
  static #renewing: Promise<unknown> = Promise.resolve();
  readonly isInherited = false;
  #place: Place | undefined;
  /** The socket that was put there. */
  #file: Identity | undefined;

  private constructor(options: ServerOpts, onClient: (socket: Socket) => void) {
    super(options, onClient);
    // accept(2) fails where descriptors or memory are short: the next connection may do better
    this.on('error', () => undefined);
  }

  /**
   * Listens on `address`. A unix socket that nothing listens on is replaced.
   *
   * @param whom who connects there, for errors: `OpenVPN`
   * @throws AgentError ERR_MANAGEMENT_IN_USE if another process listens there, ERR_MANAGEMENT_ADDRESS if
   *   something is there that is not a socket, which is never removed, or the path is too long, ERR_MANAGEMENT_LISTEN if the address can't be used
   */
  static async listen(
    address: ManagementAddress,
    access: SocketAccess,
    options: ServerOpts,
    onClient: (socket: Socket) => void,
    whom: string,
  ): Promise<BoundServer> {
    const server = new BoundServer(options, onClient);
    try {
      if (address.kind === 'unix') {
        const fault = socketPathFault(address.path);
        if (fault !== undefined) throw new Unusable(fault);
        await server.#start({ address, path: resolve(address.path), access, whom }, await findStale(address.path));
      } else {
        const listening = settled(server);
        server.listen({ host: address.host, port: address.port, exclusive: true });
        await listening;
      }
      return server;
    } catch (error) {
      server.close();
      throw failure(address, whom, error);
    }
  }

  /**
   * Binds each unix socket anew whose file somebody has removed, or replaced by one that nothing listens on: nobody could
   * connect any more. Connections stay. What another process listens on is left to it.
   *
   * @returns what became of those that had gone. Never rejects
   */
  static async renewGone(): Promise<Renewal[]> {
    // one after the other: to a second one a socket that the first one binds would be another process's
    const renewing = BoundServer.#renewing.then(async () => await BoundServer.#renewAll());
    BoundServer.#renewing = renewing;
    return await renewing;
  }

  static async #renewAll(): Promise<Renewal[]> {
    const renewals: Renewal[] = [];
    for (const server of [...BoundServer.#unix]) {
      const place = server.#place;
      if (!place || server.#isThere(place)) continue;
      const { address, whom } = place;
      try {
        if (await server.#renew(place)) renewals.push({ address });
      } catch (error) {
        renewals.push({ address, error: failure(address, whom, error) });
      }
    }
    return renewals;
  }

  /** Whether the socket still has its file. Its number can't be another file's while the socket is bound. */
  #isThere({ path }: Place): boolean {
    try {
      return this.#file !== undefined && isSame(this.#file, statOf(path));
    } catch {
      // that can't be seen at the moment
      return true;
    }
  }

  /** @returns whether it listens again: it may have been closed */
  async #renew(place: Place): Promise<boolean> {
    const stale = await findStale(place.address.path);
    // those who connected while it was there are let in first
    await new Promise(setImmediate);
    if (this.#place !== place) return false;
    await this.#start(place, stale);
    return true;
  }

  /** The address with the port that the system picked, if 0 was asked for. */
  addressOf(asked: ManagementAddress): ManagementAddress {
    const bound = this.address();
    return asked.kind === 'tcp' && typeof bound === 'object' && bound !== null ? { ...asked, port: bound.port } : asked;
  }

  /** Stops listening. The socket's file goes first: its number can't be another file's while the socket is bound. */
  override close(callback?: (error?: Error) => void): this {
    this.#removeFile();
    return super.close(callback);
  }

  /** Removes the files of all sockets, at once: for a process that ends without closing anything. */
  static removeFiles(): void {
    for (const server of BoundServer.#unix) server.#removeFile();
  }

  #removeFile(): void {
    const [place, file] = [this.#place, this.#file];
    this.#place = this.#file = undefined;
    BoundServer.#unix.delete(this);
    if (place && file) removeOwn(place.path, file);
  }

  /**
   * Binds in a private folder beside the path, and puts the socket there when it has its owner and mode. All of it in one
   * turn of the event loop: a process that is killed leaves nothing behind but by the rarest chance.
   */
  #start(at: Place, stale: Stats | undefined): Promise<void> {
    const { path, access } = at;
    const folder = new PrivateFolder(dirname(path));
    try {
      // a name of its own: libuv removes whatever has the name that it bound when the server closes
      const place = folder.path(randomBytes(6).toString('hex'));
      // the socket from before, whose file has gone
      this.#file = undefined;
      if (this.listening) super.close();
      const listening = settled(this);
      this.listen({ path: place });
      if (!this.listening) return listening;
      // the mode last, since chown may change it
      if (access.user !== undefined || access.group !== undefined)
        chownSync(place, access.user ?? -1, access.group ?? -1);
      chmodSync(place, access.mode);
      const { dev, ino } = lstatSync(place);
      publish(place, path, stale);
      this.#place = at;
      this.#file = { dev, ino };
      BoundServer.#unix.add(this);
      return listening;
    } finally {
      folder.remove();
    }
  }
}

/** A folder closed to other users, reached without a name that they could give to something else. */
class PrivateFolder {
  readonly #folder: string;
  readonly #descriptor: number;
  readonly #short: string;

  constructor(beside: string) {
    this.#folder = mkdtempSync(join(beside, '.pksigd-'));
    try {
      this.#descriptor = openSync(this.#folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    } catch (error) {
      // for want of a descriptor, at each try to listen
      rmdirSync(this.#folder);
      throw error;
    }
    const isPrivate = (fstatSync(this.#descriptor).mode & 0o077) === 0;
    if (!isPrivate) {
      this.remove();
      throw new Error(`${this.#folder} is not private`);
    }
    // Linux: by its descriptor. It is short too, so that any path that a socket may have can be bound
    const byDescriptor = `/proc/self/fd/${this.#descriptor}`;
    this.#short = existsSync(byDescriptor) ? byDescriptor : this.#folder;
  }

  path(name: string): string {
    const path = join(this.#short, name);
    const excess = Buffer.byteLength(path) - MAX_UNIX_PATH;
    if (excess > 0) throw new Error(`the socket is made in a folder beside it, whose path is ${excess} bytes too long`);
    return path;
  }

  remove(): void {
    closeSync(this.#descriptor);
    try {
      rmdirSync(this.#folder);
    } catch {
      // what went wrong with its content is told already
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}

/** Gives a socket its path. Only `stale` may be there: a socket that came in the meantime is another's. */
function publish(place: string, path: string, stale: Stats | undefined): void {
  const found = statOf(path);
  // a new file may have the number of one that was removed
  if (found !== undefined && !(isSame(found, stale) && found.ctimeMs === stale?.ctimeMs)) throw new InUse();
  if (found !== undefined) removeStale(path);
  try {
    // unlike rename it never replaces anything
    linkSync(place, path);
    unlinkSync(place);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new InUse();
    // file systems without links
    renameSync(place, path);
  }
}

/** In a sticky folder, as /tmp is, only its owner may remove it. */
function removeStale(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    throw new Unusable('another user has left a socket there, which this user may not remove: name another path');
  }
}

/** Removes our socket. If it can't be removed any more, the next one who listens there replaces it. */
function removeOwn(path: string, ours: Identity): void {
  try {
    if (isSame(ours, statOf(path))) unlinkSync(path);
  } catch {
    // the folder is gone, or the right to write to it
  }
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function isSame(one: Identity, other: Identity | undefined): boolean {
  return one.dev === other?.dev && one.ino === other.ino;
}

/** A socket that a process left behind, if there is one; refuses anything else. A short path must stay so: it is connected to. */
async function findStale(path: string): Promise<Stats | undefined> {
  const stats = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (stats === undefined) return undefined;
  if (!stats.isSocket())
    throw new Unusable('there is something that is not a socket: name another path, or remove it yourself');
  const outcome = await dial({ kind: 'unix', path }, undefined).catch((error: unknown) => error);
  if (!(outcome instanceof Error)) {
    (outcome as Socket).destroy();
    throw new InUse();
  }
  const { code } = (outcome.cause ?? {}) as NodeJS.ErrnoException;
  if (code === 'ENOENT') return undefined;
  // full: the process that listens there is busy
  if (code === 'EAGAIN') throw new InUse();
  if (code !== 'ECONNREFUSED') throw outcome;
  return stats;
}

/** Settles when the server listens, or can't. */
function settled(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

class InUse extends Error {
  readonly code = 'EADDRINUSE';
}

/** Until a person names another path, or removes a file that is another's. */
class Unusable extends Error {}

function failure(address: ManagementAddress, whom: string, error: unknown): AgentError {
  const text = `can't listen for ${whom} on ${formatManagementAddress(address)}`;
  return new AgentError(listenCode(error), text, { hint: listenHint(error), cause: error });
}

function listenCode(error: unknown): AgentErrorCode {
  if (error instanceof Unusable) return 'ERR_MANAGEMENT_ADDRESS';
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'ERR_MANAGEMENT_IN_USE' : 'ERR_MANAGEMENT_LISTEN';
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'already in use, another process listens on it'],
  ['EADDRNOTAVAIL', 'this host has no such address'],
  ['EACCES', 'not allowed for this user'],
  ['ENOENT', 'there is no such folder'],
  ['EPERM', 'this user may not give a socket to that user or group'],
  ['EMFILE', 'this process may have no more file descriptors: raise the limit'],
]);

function listenHint(error: unknown): string {
  return HINTS.get((error as NodeJS.ErrnoException).code ?? '') ?? errorText(error);
}
