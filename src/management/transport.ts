import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { AgentError, errorText } from '../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';

type SocketOptions = { host: string; port: number } | { path: string };

function socketOptions(address: ManagementAddress): SocketOptions {
  return address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
}

/**
 * Connects to a daemon that has `--management`.
 * @throws AgentError ERR_MANAGEMENT_CLOSED
 */
export async function connectSocket(address: ManagementAddress, signal?: AbortSignal): Promise<Socket> {
  const socket = connect({ ...socketOptions(address), noDelay: true });
  try {
    // the signal ends the attempt only: node:net's own would end the connection later on
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    const where = formatManagementAddress(address);
    throw new AgentError('ERR_MANAGEMENT_CLOSED', `can't connect to ${where}: ${errorText(error)}`, { cause: error });
  }
}

async function listen(server: Server, address: ManagementAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketOptions(address), () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** A socket file that nobody listens at is left over from a crash. */
async function removeStaleSocket(path: string): Promise<boolean> {
  const status = await lstat(path).catch(() => undefined);
  if (status?.isSocket() !== true) return false;
  const living = await connectSocket({ kind: 'unix', path }).catch(() => undefined);
  living?.destroy();
  if (living) return false;
  await unlink(path);
  return true;
}

/** Listens for daemons that have `--management-client`; a unix socket is open to its owner alone. */
export class ManagementListener implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * @param onSocket gets each daemon that connects
   * @throws AgentError ERR_MANAGEMENT_LISTEN
   */
  static async open(address: ManagementAddress, onSocket: (socket: Socket) => void): Promise<ManagementListener> {
    const server = createServer({ noDelay: true }, onSocket);
    try {
      await listen(server, address).catch(async (error: unknown) => {
        if (address.kind !== 'unix' || !(await removeStaleSocket(address.path))) throw error;
        await listen(server, address);
      });
      if (address.kind === 'unix') await chmod(address.path, 0o600);
    } catch (error) {
      throw new AgentError(
        'ERR_MANAGEMENT_LISTEN',
        `can't listen on ${formatManagementAddress(address)}: ${errorText(error)}`,
        {
          cause: error,
        },
      );
    }
    return new ManagementListener(server);
  }

  /** Stops listening, and removes the socket file. Connections live on. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#server.close(); // its callback waits for the connections
    return Promise.resolve();
  }
}
