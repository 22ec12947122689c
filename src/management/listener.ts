import { chmodSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { AgentError, type AgentErrorCode, errorText } from '../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';
import { acceptManagement, type ManagementClient } from './client.ts';
import type { ManagementOptions } from './options.ts';
import { dial } from './transport.ts';

/** How to listen for daemons that connect by themselves (`--management-client`). */
export interface ListenOptions extends Omit<ManagementOptions, 'signal'> {
  /** Stops listening when aborted. Clients that were handed out stay; close them apart. */
  readonly signal?: AbortSignal | undefined;
  /** Mode of a unix socket. Default 0o600: only this user's (and root's) daemons. */
  readonly mode?: number | undefined;
  /** Told of daemons that connected and failed before they were handed out (a wrong password…). */
  readonly onRejected?: ((error: AgentError, peer: string) => void) | undefined;
}

/** Where daemons connect. Iterate for them, one after the other as they come. */
export class ManagementListener implements AsyncIterable<ManagementClient>, AsyncDisposable {
  /** The address in use: with the port that the system picked, if 0 was asked for. */
  readonly address: ManagementAddress;
  readonly #server: Server;
  readonly #options: ListenOptions;
  readonly #ready: ManagementClient[] = [];
  readonly #readers: ((result: IteratorResult<ManagementClient>) => void)[] = [];
  readonly #stop = new AbortController();
  readonly #onAbort = (): void => void this.close();
  #closing: Promise<void> | undefined;

  /** @internal `server` listens. */
  constructor(server: Server, address: ManagementAddress, options: ListenOptions) {
    this.#server = server;
    this.#options = options;
    this.address = address;
    server.on('connection', (socket) => void this.#accept(socket));
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Ends when the listener is closed. A daemon goes to one iterator only. */
  [Symbol.asyncIterator](): AsyncIterator<ManagementClient> {
    return {
      next: () => {
        const client = this.#ready.shift();
        if (client !== undefined) return Promise.resolve({ done: false, value: client });
        if (this.#closing !== undefined) return Promise.resolve({ done: true, value: undefined });
        return new Promise((resolve) => this.#readers.push(resolve));
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  /** Stops listening, removes a unix socket, closes what was never handed out. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    // closes at once, and libuv removes a unix socket with it; its callback waits for the clients that were handed out
    this.#server.close();
    this.#stop.abort();
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
    await Promise.all(this.#ready.splice(0).map((client) => client.close()));
  }

  async #accept(socket: Socket): Promise<void> {
    const peer = peerName(this.address, socket);
    socket.setNoDelay(true);
    try {
      const client = await acceptManagement(socket, peer, this.#options, this.#stop.signal);
      const reader = this.#readers.shift();
      if (reader !== undefined) reader({ done: false, value: client });
      else if (this.#closing === undefined) this.#ready.push(client);
      else await client.close();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (this.#closing === undefined) this.#options.onRejected?.(error, peer);
    }
  }
}

/**
 * Listens for daemons that run with `--management-client`. A unix socket that nothing listens on is replaced.
 *
 * @throws AgentError ERR_MANAGEMENT_IN_USE if another process listens there, ERR_MANAGEMENT_LISTEN if the address can't be
 *   used, ERR_ABORTED
 */
export async function listenManagement(
  address: ManagementAddress,
  options: ListenOptions = {},
): Promise<ManagementListener> {
  const name = formatManagementAddress(address);
  const { signal, mode = 0o600 } = options;
  const refuseAborted = (): void => {
    if (signal?.aborted !== true) return;
    throw new AgentError('ERR_ABORTED', `listening on ${name} was given up`, { cause: signal.reason });
  };
  refuseAborted();
  if (address.kind === 'unix') await removeStale(address.path);
  const server = createServer({ allowHalfOpen: false });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port, exclusive: true },
        () => {
          server.removeListener('error', reject);
          resolve();
        },
      );
      // bound by now: so that nobody else gets in between
      if (address.kind === 'unix' && server.listening) chmodSync(address.path, mode);
    });
    refuseAborted();
  } catch (error) {
    server.close();
    if (error instanceof AgentError) throw error;
    throw cantListen(name, listenHint(error), error, isInUse(error) ? 'ERR_MANAGEMENT_IN_USE' : undefined);
  }
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return new ManagementListener(server, address.kind === 'tcp' ? { ...address, port } : address, options);
}

/** Removes a socket that a process left behind; refuses to touch anything else. */
export async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cantListen(path, errorText(error), error);
  });
  if (stats === undefined) return;
  if (!stats.isSocket()) throw cantListen(path, 'there is something that is not a socket');
  const outcome = await dial({ kind: 'unix', path }, undefined).catch((error: unknown) => error);
  if (!(outcome instanceof Error)) {
    (outcome as Socket).destroy();
    throw cantListen(path, IN_USE, undefined, 'ERR_MANAGEMENT_IN_USE');
  }
  const { code } = (outcome.cause ?? {}) as NodeJS.ErrnoException;
  if (code !== 'ECONNREFUSED') throw cantListen(path, errorText(outcome), outcome);
  await unlink(path).catch((error: unknown) => {
    throw cantListen(path, errorText(error), error);
  });
}

const IN_USE = 'already in use, another process listens on it';

function isInUse(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

export function listenHint(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (isInUse(error)) return IN_USE;
  if (code === 'EADDRNOTAVAIL') return 'this host has no such address';
  if (code === 'EACCES') return 'not allowed for this user';
  return errorText(error);
}

function cantListen(
  name: string,
  hint: string,
  cause?: unknown,
  code: AgentErrorCode = 'ERR_MANAGEMENT_LISTEN',
): AgentError {
  return new AgentError(code, `can't listen for OpenVPN on ${name}`, { hint, cause });
}

function peerName(address: ManagementAddress, socket: Socket): string {
  if (address.kind === 'unix' || socket.remoteAddress === undefined) return formatManagementAddress(address);
  return formatManagementAddress({ kind: 'tcp', host: socket.remoteAddress, port: socket.remotePort ?? 0 });
}
