// In place of node:net.
import { EventEmitter } from 'node:events';
import { disk, Inode, systemError } from '../disk.ts';
import { kernel } from '../kernel.ts';
import { type Acceptor, network, SimulatedSocket } from '../wire.ts';

export { isIP, isIPv6, SocketAddress } from 'node:net';
export { SimulatedSocket as Socket };

interface Place {
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
}

export function connect(place: Place): SimulatedSocket {
  const socket = new SimulatedSocket(place.port !== undefined);
  const owner = kernel().process;
  kernel().after(
    0.05 + kernel().random.next() * 0.3,
    () => {
      if (socket.destroyed) return;
      const acceptor = network().at(place);
      const refusal = typeof acceptor === 'string' ? acceptor : acceptor.accept(socket);
      if (refusal === undefined) socket.emit('connect');
      else socket.destroy(systemError(refusal, 'connect', place.path));
    },
    owner,
  );
  return socket;
}

interface Options {
  readonly allowHalfOpen?: boolean;
}

export class Server extends EventEmitter implements Acceptor {
  listening = false;
  readonly #options: Options;
  readonly #owner = kernel().process;
  readonly #sockets = new Set<SimulatedSocket>();
  #inode: Inode | undefined;
  #bound: { path: string } | { port: number } | undefined;
  #isClosed = false;

  constructor(options: Options, onConnection: (socket: SimulatedSocket) => void) {
    super();
    this.#options = options;
    this.on('connection', onConnection);
  }

  listen(place: Place): this {
    try {
      this.#bind(place);
    } catch (error) {
      process.nextTick(() => this.emit('error', error));
      return this;
    }
    this.listening = true;
    this.#owner.hold('server', this);
    this.#owner.onDeath.push(() => {
      this.#unbind();
    });
    process.nextTick(() => this.emit('listening'));
    return this;
  }

  #bind({ path, port = 0 }: Place): void {
    if (path === undefined) {
      if (network().ports.has(port)) throw systemError('EADDRINUSE', 'listen');
      network().ports.set(port, this);
      this.#bound = { port };
      return;
    }
    if (disk().find(path, 'bind').inode) throw systemError('EADDRINUSE', 'listen', path);
    this.#inode = disk().make(path, new Inode('socket', 0o755), 'bind');
    this.#inode.server = this;
    this.#bound = { path };
  }

  #unbind(): void {
    if (this.#inode) this.#inode.server = undefined;
    if (this.#bound && 'port' in this.#bound) network().ports.delete(this.#bound.port);
  }

  accept(socket: SimulatedSocket): string | undefined {
    if (!this.#owner.isAlive || this.#isClosed) return 'ECONNREFUSED';
    // the end that the server has: of one connection there is one socket in this world
    socket.allowHalfOpen = this.#options.allowHalfOpen ?? false;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#tellClosed();
    });
    kernel().after(
      0.02,
      () => {
        if (this.#isClosed) socket.destroy();
        else this.emit('connection', socket);
      },
      this.#owner,
    );
    return undefined;
  }

  address(): { address: string; port: number } | string | null {
    if (!this.#bound) return null;
    return 'port' in this.#bound ? { address: '127.0.0.1', port: this.#bound.port } : this.#bound.path;
  }

  close(callback?: (error?: Error) => void): this {
    if (callback) this.once('close', callback);
    this.#isClosed = true;
    this.listening = false;
    this.#unbind();
    this.#owner.release('server', this);
    this.#tellClosed();
    return this;
  }

  #tellClosed(): void {
    if (this.#isClosed && this.#sockets.size === 0) process.nextTick(() => this.emit('close'));
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
