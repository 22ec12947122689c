import { chmodSync, chownSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { AgentError, errorText } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from '../address.ts';
import { listenHint, removeStale } from '../listener.ts';

/** Who may use a unix socket. */
export interface SocketAccess {
  readonly mode: number;
  /** Group ID, where it isn't to be this process's own. */
  readonly group?: number | undefined;
}

/**
 * Listens where the relay's clients connect. A unix socket that nothing listens on is replaced.
 *
 * @throws AgentError ERR_MANAGEMENT_LISTEN
 */
export async function listenForClients(
  address: ManagementAddress,
  access: SocketAccess,
  onClient: (socket: Socket) => void,
): Promise<Server> {
  if (address.kind === 'unix') await removeStale(address.path);
  // a client that ends its side (`echo status | nc`) still gets its replies
  const server = createServer({ allowHalfOpen: true, noDelay: true }, onClient);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port, exclusive: true },
        resolve,
      );
      // bound by now, in the same tick: nobody gets in between. The mode last, since chown may change it.
      if (address.kind === 'unix' && server.listening) {
        if (access.group !== undefined) chownSync(address.path, -1, access.group);
        chmodSync(address.path, access.mode);
      }
    });
    return server;
  } catch (error) {
    server.close();
    const name = formatManagementAddress(address);
    const hint = error instanceof AgentError ? errorText(error) : listenHint(error);
    throw new AgentError('ERR_MANAGEMENT_LISTEN', `can't listen for the relay's clients on ${name}`, {
      hint,
      cause: error,
    });
  }
}

/** Whether only this host's own processes reach it. */
export function isLocal(address: ManagementAddress): boolean {
  return address.kind === 'unix' || /^(?:127(?:\.\d{1,3}){3}|::1|localhost)$/.test(address.host);
}
