import type { Socket } from 'node:net';
import { AgentError } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from '../sockets/address.ts';
import { givenUp, greetedInTime, ManagementClient } from './client.ts';
import { type DaemonOwner, gone, judgePeer, judgeUsers } from '../sockets/daemon-owner.ts';
import { KEEP_ALIVE } from '../sockets/keep-alive.ts';
import { type Listening, listenAt } from '../sockets/listen.ts';
import type { ManagementOptions } from '../connection/options.ts';
import { type OnRejected, Rejections } from '../sockets/rejections.ts';

/** How to listen for daemons that connect by themselves (`--management-client`). */
export interface ListenOptions extends Omit<ManagementOptions, 'signal'> {
  /** Stops listening when aborted. Clients that were handed out stay; close them apart. */
  readonly signal?: AbortSignal | undefined;
  /** Mode of a unix socket. Default 0o600: only the daemons of this user, or of `owner.user`, and of root. */
  readonly mode?: number | undefined;
  /** How many daemons may be connected at a time: others are turned away. Default: any number. */
  readonly maxDaemons?: number | undefined;
  /**
   * Told of daemons that connected and failed before they were handed out (a wrong password…). Many that fail for one
   * reason are told together.
   */
  readonly onRejected?: OnRejected | undefined;
}

/** Peers that have not greeted us yet. The one that waits longest makes room: a daemon greets at once. */
const MAX_SILENT = 64;

const ignore = (): void => undefined;

/** Where daemons connect. Iterate for them, one after the other as they come. */
export class ManagementListener implements AsyncIterable<ManagementClient>, AsyncDisposable {
  /** The address in use: with the port that the system picked, if 0 was asked for. */
  readonly address: ManagementAddress;
  readonly #name: string;
  readonly #options: Omit<ListenOptions, 'signal'>;
  readonly #signal: AbortSignal | undefined;
  readonly #server: Listening;
  readonly #ready: ManagementClient[] = [];
  readonly #readers: ((result: IteratorResult<ManagementClient>) => void)[] = [];
  readonly #silent = new Set<ManagementClient>();
  readonly #rejections: Rejections;
  readonly #onAbort = (): void => void this.close();
  /** Daemons that have greeted us and are still connected. */
  #daemons = 0;
  #closing: Promise<void> | undefined;

  /** @internal `server` listens; connections that it accepts must come to {@link ManagementListener.accept}. */
  constructor(server: Listening, address: ManagementAddress, options: ListenOptions) {
    this.#server = server;
    const { signal, ...others } = options;
    this.#options = others;
    this.#signal = signal;
    this.address = server.addressOf(address);
    this.#name = formatManagementAddress(this.address);
    this.#rejections = new Rejections((error, peer, count) => options.onRejected?.(error, peer, count));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
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

  /** @internal Takes a connection; never throws for what its other end does. */
  async accept(socket: Socket): Promise<void> {
    const peer = this.#nameOf(socket);
    // until there is a client, who hears them
    socket.on('error', ignore);
    try {
      if (this.#closing !== undefined) throw gone(peer);
      this.#refuseTooMany(peer);
      const { owner } = this.#options;
      // a unix socket lets no other user in
      if (owner !== undefined && this.address.kind !== 'unix') await this.#judge(socket, peer, owner);
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE);
      const client = new ManagementClient(socket, peer, this.#options);
      socket.removeListener('error', ignore);
      // only now: those who may not be the daemon can't push it out
      this.#makeRoom();
      this.#silent.add(client);
      try {
        await greetedInTime(client, this.#options);
      } finally {
        this.#silent.delete(client);
      }
      await this.#handOut(client, peer);
    } catch (error) {
      socket.destroy();
      if (!(error instanceof AgentError)) throw error;
      if (this.#closing === undefined) this.#rejections.add(error, peer);
    }
  }

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    // closes at once; its callback waits for the clients that were handed out
    this.#server.close();
    for (const client of this.#silent) client.fail(givenUp(client.peer));
    this.#rejections.flush();
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
    await Promise.all(this.#ready.splice(0).map((client) => client.close()));
  }

  #nameOf(socket: Socket): string {
    if (this.address.kind === 'unix' || socket.remoteAddress === undefined) return this.#name;
    return formatManagementAddress({ kind: 'tcp', host: socket.remoteAddress, port: socket.remotePort ?? 0 });
  }

  #refuseTooMany(peer: string): void {
    const { maxDaemons = Infinity } = this.#options;
    if (this.#daemons < maxDaemons) return;
    const served = maxDaemons === 1 ? 'another daemon is' : `${this.#daemons} daemons are`;
    throw new AgentError('ERR_MANAGEMENT_LIMIT', `${peer} was turned away: ${served} connected already`, {
      reason: 'too-many-daemons',
    });
  }

  #makeRoom(): void {
    if (this.#silent.size < MAX_SILENT) return;
    const [oldest] = this.#silent;
    if (oldest === undefined) return;
    this.#silent.delete(oldest);
    oldest.fail(givenUp(oldest.peer));
  }

  /** Whose the peer is: one that isn't known gets no password. Nothing was sent to it so far, and nothing read. */
  async #judge(socket: Socket, peer: string, owner: DaemonOwner): Promise<void> {
    const verdict = await judgePeer(peer, socket, owner);
    if (socket.destroyed || this.#closing !== undefined) throw gone(peer);
    if (verdict === 'known' || this.#options.password === undefined) return;
    throw new AgentError('ERR_MANAGEMENT_PEER', `whose end ${peer} is can't be told: it doesn't get the password`);
  }

  async #handOut(client: ManagementClient, peer: string): Promise<void> {
    try {
      // another one may have been faster
      this.#refuseTooMany(peer);
    } catch (error) {
      await client.close();
      throw error;
    }
    this.#daemons += 1;
    void client.closed.then(() => {
      this.#daemons -= 1;
    });
    const reader = this.#readers.shift();
    if (reader !== undefined) reader({ done: false, value: client });
    else if (this.#closing === undefined) this.#ready.push(client);
    else await client.close();
  }
}

/**
 * Listens for daemons that run with `--management-client`. A unix socket that nothing listens on is replaced.
 *
 * Over TCP all who reach the address can connect, pass for a daemon, and get the password and signatures: give `owner`,
 * which keeps out other users of this host.
 *
 * @throws AgentError ERR_MANAGEMENT_IN_USE if another process listens there, ERR_MANAGEMENT_ADDRESS if something is
 *   there that is not a socket, ERR_MANAGEMENT_LISTEN if the address can't be used, ERR_ABORTED
 */
export async function listenManagement(
  address: ManagementAddress,
  options: ListenOptions = {},
): Promise<ManagementListener> {
  const { signal, mode = 0o600, owner } = options;
  const refuseAborted = (): void => {
    if (signal?.aborted !== true) return;
    const text = `listening on ${formatManagementAddress(address)} was given up`;
    throw new AgentError('ERR_ABORTED', text, { cause: signal.reason });
  };
  refuseAborted();
  const early: Socket[] = [];
  let accept = (socket: Socket): unknown => early.push(socket);
  const server = await listenAt(
    address,
    { mode, user: socketUser(owner) },
    { allowHalfOpen: false },
    (socket) => void accept(socket),
    'OpenVPN',
  );
  try {
    if (server.isInherited && address.kind === 'unix' && owner) await judgeUsers(address.path, owner);
    refuseAborted();
  } catch (error) {
    server.close();
    for (const socket of early) socket.destroy();
    throw error;
  }
  const listener = new ManagementListener(server, address, options);
  accept = (socket) => listener.accept(socket);
  for (const socket of early) void listener.accept(socket);
  return listener;
}

/** Who is to own the socket: root gets in anyhow. */
function socketUser(owner: ListenOptions['owner']): number | undefined {
  return owner?.user === undefined || owner.user === owner.self || owner.user === 0 ? undefined : owner.user;
}
