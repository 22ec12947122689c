import type { ServerOpts, Socket } from 'node:net';
import { AgentError } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';
import { BoundServer, type SocketAccess } from './bound-server.ts';
import type { InheritedSocket, Taker } from './inherited-socket.ts';
import { INHERITED } from './inherited-sockets.ts';
import { whoReaches } from './reach.ts';
import { statusOfGiven, untold } from './untold.ts';

/** Where connections come from. */
export interface Listening {
  /** Somebody else made the socket, and says who may use it. */
  readonly isInherited: boolean;
  /** The address with the port that the system picked, if 0 was asked for. */
  addressOf(asked: ManagementAddress): ManagementAddress;
  /** Lets the process end while it listens. */
  unref(): void;
  /** Stops listening at once. @param done called later: of a socket of our own when all connections have ended, too */
  close(done?: () => void): void;
}

/** This user's own socket, with a group the group's too. The kernel lets nobody else connect, but root. */
export function ownAccess(group: number | undefined): SocketAccess {
  return { mode: group === undefined ? 0o600 : 0o660, group };
}

/** Listens no more. Resolves when all connections have ended, where the socket is our own. */
export async function closed(server: Listening | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    if (server) server.close(resolve);
    else resolve();
  });
}

/**
 * Listens on `address`: on the socket there that this process was given, or else on one of its own, which replaces one that
 * nothing listens on.
 *
 * @param whom who connects there, for errors: `OpenVPN`
 * @throws AgentError ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_LISTEN; ERR_USAGE for a given socket that
 *   is open to more users than `access` says, ERR_MANAGEMENT_PEER if who can connect to it can't be told at the moment
 */
export async function listenAt(
  address: ManagementAddress,
  access: SocketAccess,
  options: Pick<ServerOpts, 'allowHalfOpen' | 'noDelay'>,
  onClient: (socket: Socket) => void,
  whom: string,
): Promise<Listening> {
  const given = await INHERITED.find(address);
  if (!given) return await BoundServer.listen(address, access, options, onClient, whom);
  await refuseOpen(address, access);
  return new Tenancy(given, { options, onClient });
}

const OTHERS_WRITE = 0o002;

/** systemd's sockets are everybody's, if their unit says nothing. @throws AgentError ERR_USAGE, ERR_MANAGEMENT_PEER */
async function refuseOpen(address: ManagementAddress, { mode }: SocketAccess): Promise<void> {
  if (address.kind === 'tcp' || (mode & OTHERS_WRITE) !== 0) return;
  const status = await statusOfGiven(address.path);
  if (status === undefined) return;
  const reaching = await whoReaches(address, status.mode).catch((error: unknown) => {
    throw untold(`who can connect to ${address.path}`, error);
  });
  if (reaching !== 'users') return;
  const name = formatManagementAddress(address);
  throw new AgentError('ERR_USAGE', `every user of this host can connect to ${name}, a socket that pksigd was given`, {
    hint: 'write SocketMode=0600 into its unit',
  });
}

/** For a while, the connections of a socket that was given are ours. */
class Tenancy implements Listening {
  readonly isInherited = true;
  readonly #socket: InheritedSocket;
  readonly #taker: Taker;

  constructor(socket: InheritedSocket, taker: Taker) {
    this.#socket = socket;
    this.#taker = taker;
    socket.take(taker);
  }

  addressOf(asked: ManagementAddress): ManagementAddress {
    return asked;
  }

  unref(): void {
    this.#socket.unref();
  }

  close(done?: () => void): void {
    this.#socket.release(this.#taker);
    if (done) setImmediate(done);
  }
}
