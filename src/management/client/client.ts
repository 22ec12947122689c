import type { Socket } from 'node:net';
import { AgentError } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from '../sockets/address.ts';
import type { ManagementOptions } from '../connection/options.ts';
import { ServerCommands } from './server-commands.ts';
import { dial } from '../sockets/dial.ts';

/**
 * A management client: one connection to one daemon. Made by {@link connectManagement}, or by
 * {@link listenManagement} for daemons that connect by themselves.
 */
export class ManagementClient extends ServerCommands {}

/**
 * Connects to a daemon's management interface (`--management ADDRESS PORT` or `PATH unix`) and waits for its greeting.
 *
 * @throws AgentError ERR_MANAGEMENT_CONNECT if nothing listens there, ERR_MANAGEMENT_PASSWORD, ERR_MANAGEMENT_PROTOCOL
 *   if it isn't OpenVPN, ERR_MANAGEMENT_TIMEOUT if no greeting comes (a daemon serves one management client at a time:
 *   others wait), ERR_MANAGEMENT_PEER if it is another user's than `owner` says, ERR_MANAGEMENT_CLOSED, ERR_ABORTED
 */
export async function connectManagement(
  address: ManagementAddress,
  options: ManagementOptions = {},
): Promise<ManagementClient> {
  const name = formatManagementAddress(address);
  const limit = deadline(name, options);
  try {
    const socket = await dial(address, limit.signal, options.owner);
    options.onConnected?.();
    return await greet(socket, name, options, limit.signal);
  } catch (error) {
    throw limit.explain(error);
  } finally {
    limit.stop();
  }
}

/** Makes a client of a connection that was accepted. `signal` only counts until the client is there. */
export async function acceptManagement(
  socket: Socket,
  name: string,
  options: Omit<ManagementOptions, 'signal'>,
  signal: AbortSignal,
): Promise<ManagementClient> {
  const limit = deadline(name, { ...options, signal });
  try {
    return await greet(socket, name, { ...options, signal: undefined }, limit.signal);
  } catch (error) {
    throw limit.explain(error);
  } finally {
    limit.stop();
  }
}

/** Bytes: a daemon that speaks the protocol says two lines until then. */
const MAX_BEFORE_GREETING = 65_536;

async function greet(
  socket: Socket,
  name: string,
  options: ManagementOptions,
  limit: AbortSignal,
): Promise<ManagementClient> {
  const client = new ManagementClient(socket, name, options);
  const giveUp = (): void => {
    client.fail(new AgentError('ERR_ABORTED', `connecting to the management interface ${name} was given up`));
  };
  const notTooMuch = (): void => {
    if (socket.bytesRead <= MAX_BEFORE_GREETING) return;
    const text = `${name} sent ${MAX_BEFORE_GREETING} bytes and did not greet us`;
    client.fail(new AgentError('ERR_MANAGEMENT_PROTOCOL', text));
  };
  socket.on('data', notTooMuch);
  if (limit.aborted) giveUp();
  limit.addEventListener('abort', giveUp, { once: true });
  try {
    await client.greeted();
  } finally {
    socket.removeListener('data', notTooMuch);
    limit.removeEventListener('abort', giveUp);
  }
  const { signal } = options;
  const close = (): void => void client.close();
  if (signal?.aborted === true) close();
  signal?.addEventListener('abort', close, { once: true });
  void client.closed.then(() => {
    signal?.removeEventListener('abort', close);
  });
  return client;
}

interface Deadline {
  readonly signal: AbortSignal;
  /** What to throw for an error: the deadline, if that was the reason. */
  readonly explain: (error: unknown) => unknown;
  readonly stop: () => void;
}

/** One signal for the caller's signal and the connect timeout, which tells them apart afterwards. */
function deadline(name: string, options: ManagementOptions): Deadline {
  const controller = new AbortController();
  const { signal, connectTimeout = 10_000 } = options;
  let late = false;
  const timer =
    connectTimeout > 0
      ? setTimeout(() => {
          late = true;
          controller.abort();
        }, connectTimeout)
      : undefined;
  const abort = (): void => {
    controller.abort(signal?.reason);
  };
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    explain: (error) =>
      late
        ? new AgentError('ERR_MANAGEMENT_TIMEOUT', `OpenVPN didn't greet us on ${name} within ${connectTimeout} ms`, {
            cause: error,
            hint: 'it serves one management client at a time: is another one connected?',
          })
        : error,
    stop: () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}
