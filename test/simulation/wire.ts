// Connections between the agent and whoever is at the other end of them. The agent's end is a Node socket; the other one is in
// the world's hands.
import { Duplex } from 'node:stream';
import { disk, type Inode, systemError } from './disk.ts';
import { kernel, type Process } from './kernel.ts';

/** What the agent wrote. */
interface Heard {
  readonly bytes: Buffer;
  readonly writtenAt: number;
  readonly done: () => void;
}

/** The world's end of a connection. */
export class Peer {
  onData: (bytes: Buffer) => void = () => undefined;
  /** The other side sends nothing more, or is gone. */
  onEnd: () => void = () => undefined;
  isOver = false;
  /** Nothing is taken from the connection: what is sent piles up. */
  isDeaf = false;
  /** When it took last what had piled up. */
  tookInAt: number = Number.NEGATIVE_INFINITY;
  /** When the agent wrote what is being taken. */
  writtenAt: number = Number.NEGATIVE_INFINITY;
  /** So many bytes more in either direction, then it breaks. */
  cutAfter: number = Number.POSITIVE_INFINITY;
  readonly socket: SimulatedSocket;
  #heard: Heard[] = [];
  #lastAt = 0;

  constructor(socket: SimulatedSocket) {
    this.socket = socket;
  }

  /** Sends: in one piece or in several, later. @param pieces where to part it, by chance else */
  send(text: string | Buffer): void {
    const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text, 'latin1');
    if (this.isOver || bytes.length === 0) return;
    const { random } = kernel();
    let rest = bytes;
    while (rest.length > 0) {
      const length = random.chance(0.9) ? rest.length : random.between(1, rest.length);
      this.#deliver(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  }

  #deliver(bytes: Buffer): void {
    const world = kernel();
    this.#lastAt = Math.max(this.#lastAt, world.now + 0.02 + world.random.next() * 0.5);
    world.after(this.#lastAt - world.now, () => {
      if (this.isOver) return;
      const part = bytes.subarray(0, this.cutAfter);
      this.cutAfter -= part.length;
      this.socket.receive(part);
      if (this.cutAfter <= 0) this.reset();
    });
  }

  /** From the agent's end. */
  hear(bytes: Buffer, done: () => void): void {
    const world = kernel();
    const heard = { bytes, writtenAt: world.now, done };
    world.after(0.02 + world.random.next() * 0.5, () => {
      if (this.isOver) return;
      if (this.isDeaf) this.#heard.push(heard);
      else this.#take(heard);
    });
  }

  #take({ bytes, writtenAt, done }: Heard): void {
    this.writtenAt = writtenAt;
    const part = bytes.subarray(0, this.cutAfter);
    this.cutAfter -= part.length;
    done();
    this.onData(part);
    if (this.cutAfter <= 0) this.reset();
  }

  /** Takes what has come meanwhile. */
  listen(): void {
    this.isDeaf = false;
    this.tookInAt = kernel().now;
    for (const heard of this.#heard.splice(0)) if (!this.isOver) this.#take(heard);
  }

  /** The agent's end sends nothing more. */
  heardEnd(): void {
    if (!this.isOver) this.onEnd();
  }

  /** Ends it in good order, behind what was sent. */
  close(): void {
    if (this.isOver) return;
    const world = kernel();
    world.after(Math.max(0, this.#lastAt - world.now) + 0.03, () => {
      if (this.isOver) return;
      this.isOver = true;
      this.socket.receiveEnd();
      this.onEnd();
    });
  }

  /** It breaks: what is under way is lost. */
  reset(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.socket.break();
    this.onEnd();
  }

  /** The agent's end is gone. */
  vanish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onEnd();
  }
}

/** A Node socket, as far as the agent uses one. */
export class SimulatedSocket extends Duplex {
  readonly peer: Peer = new Peer(this);
  bytesRead = 0;
  readonly #owner: Process = kernel().process;
  #idle: { milliseconds: number; callOff: () => void } | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;

  constructor(isTcp: boolean, { allowHalfOpen = false }: { allowHalfOpen?: boolean } = {}) {
    super({ allowHalfOpen, emitClose: true, autoDestroy: true });
    const address = isTcp ? '127.0.0.1' : undefined;
    [this.remoteAddress, this.localAddress] = [address, address];
    [this.remotePort, this.localPort] = isTcp ? [40_000, 40_001] : [undefined, undefined];
    this.#owner.hold('socket', this);
    this.#owner.onDeath.push(() => {
      this.peer.vanish();
    });
  }

  receive(bytes: Buffer): void {
    if (this.destroyed || !this.#owner.isAlive) return;
    this.bytesRead += bytes.length;
    this.#refresh();
    // Node hands out bytes of their own
    if (bytes.length > 0) this.push(Buffer.from(bytes));
  }

  receiveEnd(): void {
    if (this.destroyed || !this.#owner.isAlive) return;
    this.push(null);
    // nobody is there any more who could read
    if (this.writableLength > 0) this.destroy(systemError('EPIPE', 'write'));
  }

  break(): void {
    if (this.destroyed || !this.#owner.isAlive) return;
    this.destroy(systemError('ECONNRESET', 'read'));
  }

  override _read(): void {
    // what comes is pushed
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (this.peer.isOver) {
      done(systemError('EPIPE', 'write'));
      return;
    }
    // of its own: whoever wrote it may zero it as soon as it is written
    this.peer.hear(Buffer.from(chunk), () => {
      this.#refresh();
      if (this.#owner.isAlive) done();
    });
  }

  override _final(done: () => void): void {
    const { peer } = this;
    kernel().after(
      0.6,
      () => {
        peer.heardEnd();
      },
      this.#owner,
    );
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.setTimeout(0);
    this.#owner.release('socket', this);
    const { peer } = this;
    // behind what is under way
    kernel().after(0.6, () => {
      peer.vanish();
    });
    done(error);
  }

  setTimeout(milliseconds: number, call?: () => void): this {
    this.#idle?.callOff();
    this.#idle = undefined;
    if (call) this.once('timeout', call);
    if (milliseconds > 0) {
      this.#idle = { milliseconds, callOff: () => undefined };
      this.#refresh();
    }
    return this;
  }

  #refresh(): void {
    const idle = this.#idle;
    if (!idle) return;
    idle.callOff();
    idle.callOff = kernel().after(idle.milliseconds, () => this.emit('timeout'), this.#owner);
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/** What takes connections at a path or a port. */
export interface Acceptor {
  /** @returns a system error's code if it takes none */
  accept(socket: SimulatedSocket): string | undefined;
}

/** Where somebody listens. */
export class Network {
  readonly ports: Map<number, Acceptor> = new Map<number, Acceptor>();

  at(place: { readonly path?: string | undefined; readonly port?: number | undefined }): Acceptor | string {
    if (place.port !== undefined) return this.ports.get(place.port) ?? 'ECONNREFUSED';
    let inode: Inode | undefined;
    try {
      ({ inode } = disk().find(place.path ?? '', 'connect'));
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'ENOENT';
    }
    if (!inode) return 'ENOENT';
    if (inode.kind !== 'socket') return 'ECONNREFUSED';
    return (inode.server as Acceptor | undefined) ?? 'ECONNREFUSED';
  }
}

let present: Network | undefined;

export function network(): Network {
  if (!present) throw new Error('no world runs');
  return present;
}

export function plug(next: Network | undefined): void {
  present = next;
}

/** For the world: a connection to where the agent listens. @returns undefined if nobody does */
export function connectToAgent(place: { path?: string | undefined; port?: number | undefined }): Peer | undefined {
  const acceptor = network().at(place);
  if (typeof acceptor === 'string') return undefined;
  const socket = new SimulatedSocket(place.port !== undefined, { allowHalfOpen: true });
  return acceptor.accept(socket) === undefined ? socket.peer : undefined;
}
