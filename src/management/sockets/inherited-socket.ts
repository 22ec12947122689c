import { fstatSync, type Stats } from 'node:fs';
import { Server, type ServerOpts, type Socket } from 'node:net';
import { AgentError, errorText } from '../../errors.ts';
import { formatManagementAddress, type ManagementAddress } from './address.ts';
import { realPath } from './real-path.ts';
import { readUnixRow } from './unix-table.ts';

/** A descriptor that this process was started with, and what whoever started it calls it. */
export interface Descriptor {
  readonly fd: number;
  readonly name: string;
}

/** Whoever serves a socket's connections at the moment. */
export interface Taker {
  readonly options: Pick<ServerOpts, 'allowHalfOpen' | 'noDelay'>;
  readonly onClient: (socket: Socket) => void;
}

/** Connections that may wait for a taker; the one that waits longest makes room. */
const MAX_WAITING = 64;

/**
 * A listening socket that this process was given when it started. It is listened on until the process ends, since closing it
 * would lose it: whoever serves its address takes its connections, for as long as that lasts.
 */
export class InheritedSocket {
  /** For errors and the log: its address, and its name. */
  readonly label: string;
  /** Where it listens; undefined where no address of ours can be that. A path is without links in its folder. */
  readonly address: ManagementAddress | undefined;
  readonly #server: Server;
  readonly #waiting = new Set<Socket>();
  #taker: Taker | undefined;
  #lets: 'wait' | 'go' = 'wait';

  /** @param server listens on it */
  constructor(server: Server, address: ManagementAddress | undefined, { fd, name }: Descriptor) {
    this.#server = server;
    this.address = address;
    const at = address === undefined ? '' : ` (${formatManagementAddress(address)})`;
    this.label = `descriptor ${fd}${name === '' ? '' : ` '${name}'`}${at}`;
    server.on('connection', (socket: Socket) => {
      this.#receive(socket);
    });
    server.unref();
  }

  /** @throws AgentError ERR_USAGE for what is no listening stream socket */
  static async adopt(descriptor: Descriptor): Promise<InheritedSocket> {
    const { fd, name } = descriptor;
    const row = readUnixRow(statusOf(descriptor).ino);
    if (row && !row.isListeningStream) throw unfit(descriptor);
    const server = new Server();
    await new Promise<void>((done, reject) => {
      server.once('error', (cause) => {
        reject(unfit(descriptor, cause));
      });
      server.listen({ fd }, done);
    });
    // accept(2) fails where descriptors are short: the next connection may do better
    server.on('error', () => undefined);
    const bound = server.address();
    if (bound !== null && typeof bound === 'object')
      return new InheritedSocket(server, { kind: 'tcp', host: bound.address, port: bound.port }, descriptor);
    // in a network namespace of our own the kernel does not tell: then its name may
    const path = row ? row.path : name;
    const address = path?.startsWith('/') === true ? { kind: 'unix' as const, path: realPath(path) } : undefined;
    return new InheritedSocket(server, address, descriptor);
  }

  get isTaken(): boolean {
    return this.#taker !== undefined;
  }

  /** Gives those who wait, and all who come, to a taker. That keeps the process alive. */
  take(taker: Taker): void {
    this.#taker = taker;
    this.#server.ref();
    for (const socket of this.#waiting) if (this.#forget(socket)) this.#give(socket, taker);
  }

  /** Lets the process end while it listens. */
  unref(): void {
    this.#server.unref();
  }

  /** The end of {@link take}. */
  release(taker: Taker): void {
    if (this.#taker !== taker) return;
    this.#taker = undefined;
    this.#server.unref();
  }

  /** What becomes of connections that nobody takes: they wait, or are ended at once. */
  set untaken(lets: 'wait' | 'go') {
    this.#lets = lets;
    if (lets === 'wait') return;
    for (const socket of this.#waiting) socket.destroy();
  }

  /** Listens no more: who comes now waits for the next process that is given the socket. */
  close(): void {
    this.untaken = 'go';
    this.#server.close();
  }

  #receive(socket: Socket): void {
    if (this.#taker) {
      this.#give(socket, this.#taker);
    } else if (this.#lets === 'go') {
      socket.destroy();
    } else {
      const [oldest] = this.#waiting;
      if (oldest && this.#waiting.size >= MAX_WAITING) oldest.destroy();
      this.#await(socket);
    }
  }

  #await(socket: Socket): void {
    this.#waiting.add(socket);
    const end = (): void => {
      socket.destroy();
    };
    socket.on('error', end).on('end', end);
    socket.once('close', () => this.#waiting.delete(socket));
    // nobody reads of it yet
    socket.unref();
  }

  /** @returns whether it still waits */
  #forget(socket: Socket): boolean {
    this.#waiting.delete(socket);
    socket.removeAllListeners();
    socket.ref();
    return !socket.destroyed;
  }

  #give(socket: Socket, { options, onClient }: Taker): void {
    socket.allowHalfOpen = options.allowHalfOpen ?? false;
    if (options.noDelay === true) socket.setNoDelay(true);
    onClient(socket);
  }
}

function statusOf(descriptor: Descriptor): Stats {
  try {
    const status = fstatSync(descriptor.fd);
    if (status.isSocket()) return status;
  } catch {
    // there is none
  }
  throw unfit(descriptor);
}

function unfit({ fd, name }: Descriptor, cause?: unknown): AgentError {
  const why = cause === undefined ? '' : ` (${errorText(cause)})`;
  const what = `descriptor ${fd}${name === '' ? '' : ` '${name}'`}`;
  return new AgentError('ERR_USAGE', `${what}, which pksigd was started with, is no listening stream socket${why}`, {
    hint: 'a socket unit needs ListenStream=, and no Accept=yes',
    cause,
  });
}
