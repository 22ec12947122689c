/**
 * The management client that programs use: connecting, listening, and a method for each command in groups by subject.
 * For the public face, and the relay.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { SYSTEM_CLOCK } from '../../clock.ts';
import { AgentError } from '../../errors.ts';
import { within } from '../../promises.ts';
import { accepted, type Reply } from '../commands/reply.ts';
import type { ExchangeOptions } from '../connection/command-queue.ts';
import { ManagementConnection } from '../connection/connection.ts';
import type { ManagementOptions } from '../connection/options.ts';
import { formatManagementAddress, type ManagementAddress } from '../sockets/address.ts';
import { dial } from '../sockets/dial.ts';
import { type DaemonCommands, daemonCommands } from './daemon-commands.ts';
import { type QuestionCommands, questionCommands } from './question-commands.ts';
import { type ServerCommands, serverCommands } from './server-commands.ts';
import { type SigningCommands, signingCommands } from './signing-commands.ts';

/** The commands' methods: they are assigned to the class below. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- all that is declared here is assigned there
export interface ManagementClient extends SigningCommands, DaemonCommands, QuestionCommands, ServerCommands {}

/**
 * A management client: one connection to one daemon. Made by {@link connectManagement}, or by
 * {@link listenManagement} for daemons that connect by themselves.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export class ManagementClient extends ManagementConnection {
  /**
   * Sends a line as it is, and a block behind it if there is one.
   *
   * @throws AgentError ERR_MANAGEMENT_COMMAND with the daemon's words if it answers with an error; and as {@link exchange}
   */
  async raw(line: string, options: ExchangeOptions = {}): Promise<Reply> {
    return accepted(line.split(' ', 1)[0] ?? line, await this.exchange(line, options));
  }
}

Object.assign(ManagementClient.prototype, signingCommands, daemonCommands, questionCommands, serverCommands);

/** Milliseconds from the start to the daemon's greeting. */
const CONNECT_TIMEOUT = 10_000;

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
  return await inTime(name, options, async (limit) => {
    const socket = await dial(address, limit, options.owner);
    options.onConnected?.();
    return await greet(socket, name, options, limit);
  });
}

/**
 * Waits for the greeting of a daemon that connected by itself. Without signals: there may be thousands at once.
 *
 * @throws AgentError ERR_MANAGEMENT_TIMEOUT, and what the connection fails with
 */
export async function greetedInTime(client: ManagementClient, { connectTimeout }: ManagementOptions): Promise<void> {
  const timeout = connectTimeout ?? CONNECT_TIMEOUT;
  const expire = (): void => {
    client.fail(notGreeted(client.peer, timeout));
  };
  const callOff = timeout > 0 ? SYSTEM_CLOCK.after(timeout, expire, 'keep alive') : undefined;
  try {
    await client.greeted();
  } finally {
    callOff?.();
  }
}

/** Works until the connect timeout is over or the caller's signal aborts. */
async function inTime<T>(
  name: string,
  { signal, connectTimeout = CONNECT_TIMEOUT }: ManagementOptions,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  using limit = within(connectTimeout, signal);
  try {
    return await work(limit.signal);
  } catch (error) {
    throw limit.isLate ? notGreeted(name, connectTimeout, error) : error;
  }
}

/** Whoever waited for a greeting waits for it no longer. */
export function givenUp(name: string): AgentError {
  return new AgentError('ERR_ABORTED', `connecting to the management interface ${name} was given up`);
}

function notGreeted(name: string, timeout: number, cause?: unknown): AgentError {
  const hint = 'it serves one management client at a time: is another one connected?';
  return new AgentError('ERR_MANAGEMENT_TIMEOUT', `OpenVPN didn't greet us on ${name} within ${timeout} ms`, {
    cause,
    hint,
  });
}

async function greet(
  socket: Socket,
  name: string,
  options: ManagementOptions,
  limit: AbortSignal,
): Promise<ManagementClient> {
  const client = new ManagementClient(socket, name, options);
  const giveUp = (): void => {
    client.fail(givenUp(name));
  };
  if (limit.aborted) giveUp();
  limit.addEventListener('abort', giveUp, { once: true });
  try {
    await client.greeted();
  } finally {
    limit.removeEventListener('abort', giveUp);
  }
  const { signal } = options;
  if (signal === undefined) return client;
  const close = (): void => void client.close();
  if (signal.aborted) close();
  signal.addEventListener('abort', close, { once: true });
  void client.closed.then(() => {
    signal.removeEventListener('abort', close);
  });
  return client;
}
