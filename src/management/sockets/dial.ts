/**
 * Sockets to daemons and for daemons, and whose their other ends are: for the client, the listener and the relay. Nothing
 * of the protocol is spoken here.
 *
 * @module
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { AgentError } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';
import { approach, type DaemonOwner, gone, ListenerChanged } from './daemon-owner.ts';
import { KEEP_ALIVE } from './keep-alive.ts';
import { readTcpListeners, type ReadTcpTable, readTcpTable } from './tcp-table.ts';

/** A daemon starts once: who still isn't the same then has something else in mind. */
const TRIES = 3;

/**
 * Opens a stream to `address`. Nothing is sent on it before it is known whose its other end is.
 *
 * @throws AgentError ERR_MANAGEMENT_CONNECT if nothing listens there or it may not be used; ERR_MANAGEMENT_PEER if it is
 *   another user's than `owner` says; ERR_ABORTED
 */
export async function dial(
  address: ManagementAddress,
  signal: AbortSignal | undefined,
  owner?: DaemonOwner,
): Promise<Socket> {
  for (let left = TRIES - 1; ; left -= 1) {
    try {
      // mostly nobody listens: the whole table is read only if somebody does who is not at its beginning
      return await dialOnce(address, signal, owner, left === TRIES - 1 ? readTcpListeners : readTcpTable);
    } catch (error) {
      if (!(error instanceof ListenerChanged) || left === 0) throw error;
    }
  }
}

async function dialOnce(
  address: ManagementAddress,
  signal: AbortSignal | undefined,
  owner: DaemonOwner | undefined,
  readListeners: ReadTcpTable,
): Promise<Socket> {
  const approached = owner && (await approach(address, owner, readListeners));
  const socket = await open(address, signal);
  if (approached === undefined) return socket;
  // until the socket's user listens for errors
  const ignore = (): void => undefined;
  socket.on('error', ignore);
  try {
    await approached.arrived(socket);
    if (signal?.aborted === true) throw connectAborted(formatManagementAddress(address), signal);
    if (socket.destroyed) throw gone(formatManagementAddress(address));
    socket.removeListener('error', ignore);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function open(address: ManagementAddress, signal: AbortSignal | undefined): Promise<Socket> {
  const name = formatManagementAddress(address);
  if (signal?.aborted === true) throw connectAborted(name, signal);
  const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE };
  const socket = connect(
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port, ...tcp },
  );
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    const { name: kind } = error as Error;
    throw kind === 'AbortError' ? connectAborted(name, signal) : refused(name, error as NodeJS.ErrnoException);
  }
}

function connectAborted(name: string, signal: AbortSignal | undefined): AgentError {
  return new AgentError('ERR_ABORTED', `connecting to the management interface ${name} was given up`, {
    cause: signal?.reason,
  });
}

/** Hints for the errors that operators meet. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such socket: is OpenVPN running with this --management path?'],
  ['ECONNREFUSED', 'nothing listens there: is OpenVPN running with this --management address?'],
  ['EACCES', `this user may not use the socket: see --management-client-user and -group, and the folder's mode`],
  ['EAGAIN', 'too many management clients wait there already: OpenVPN serves one at a time'],
  ['ENOTSOCK', 'the path is not a socket'],
  ['ENOTFOUND', 'no such host'],
  ['EMFILE', 'this process may have no more file descriptors: raise the limit'],
]);

function refused(name: string, error: NodeJS.ErrnoException): AgentError {
  const hint = HINTS.get(error.code ?? '') ?? error.message;
  return new AgentError('ERR_MANAGEMENT_CONNECT', `can't connect to the management interface ${name}`, {
    cause: error,
    hint,
  });
}
