import { connect, type Socket } from 'node:net';
import { AgentError } from '../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';

/**
 * Opens a stream to `address`.
 *
 * @throws AgentError ERR_MANAGEMENT_CONNECT if nothing listens there or it may not be used; ERR_ABORTED
 */
export function dial(address: ManagementAddress, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const name = formatManagementAddress(address);
    if (signal?.aborted === true) {
      reject(connectAborted(name, signal));
      return;
    }
    const socket = connect(
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port, noDelay: true },
    );
    const done = (): void => {
      socket.removeListener('connect', onConnect);
      socket.removeListener('error', onError);
      signal?.removeEventListener('abort', onAbort);
    };
    const onConnect = (): void => {
      done();
      resolve(socket);
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      done();
      socket.destroy();
      reject(refused(name, error));
    };
    const onAbort = (): void => {
      done();
      socket.destroy();
      reject(connectAborted(name, signal));
    };
    socket.once('connect', onConnect);
    socket.once('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function connectAborted(name: string, signal: AbortSignal | undefined): AgentError {
  return new AgentError('ERR_ABORTED', `connecting to the management interface ${name} was given up`, {
    cause: signal?.reason,
  });
}

/** What to do about the errors that operators meet. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such socket: is OpenVPN running with this --management path?'],
  ['ECONNREFUSED', 'nothing listens there: is OpenVPN running with this --management address?'],
  ['EACCES', `this user may not use the socket: see --management-client-user and -group, and the folder's mode`],
  ['EAGAIN', 'too many management clients wait there already: OpenVPN serves one at a time'],
  ['ENOTSOCK', 'the path is not a socket'],
  ['ENOTFOUND', 'no such host'],
]);

function refused(name: string, error: NodeJS.ErrnoException): AgentError {
  const hint = HINTS.get(error.code ?? '') ?? error.message;
  return new AgentError('ERR_MANAGEMENT_CONNECT', `can't connect to the management interface ${name}`, {
    cause: error,
    hint,
  });
}
