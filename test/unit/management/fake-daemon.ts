import { createServer, type Server, type Socket } from 'node:net';
import type { ManagementAddress } from '../../../src/management/index.ts';

export const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";

/** One end of a management connection, played by a test. */
export class FakeDaemon {
  /** Everything that the client wrote. */
  received = '';
  /** The client's writes, as they arrived. */
  readonly chunks: string[] = [];
  closed = false;
  readonly socket: Socket;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk.toString('latin1'));
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits until the client has written `text` (or the connection ended), and takes all up to it. */
  async hear(text: string): Promise<string> {
    while (!this.received.includes(text)) {
      if (this.closed) throw new Error(`closed before ${JSON.stringify(text)}; heard ${JSON.stringify(this.received)}`);
      await this.#more();
    }
    const end = this.received.indexOf(text) + text.length;
    const heard = this.received.slice(0, end);
    this.received = this.received.slice(end);
    return heard;
  }

  async gone(): Promise<void> {
    while (!this.closed) await this.#more();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Listens as a daemon does; `next` is the daemon's end of the next connection. */
export class FakeListener {
  readonly address: ManagementAddress;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ready: FakeDaemon[] = [];
  readonly #waiting: ((daemon: FakeDaemon) => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
    const bound = server.address();
    this.address =
      typeof bound === 'object' && bound !== null
        ? { kind: 'tcp', host: '127.0.0.1', port: bound.port }
        : { kind: 'unix', path: bound ?? '' };
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      const daemon = new FakeDaemon(socket);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#ready.push(daemon);
      else waiting(daemon);
    });
  }

  static async start(path?: string): Promise<FakeListener> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      if (path === undefined) server.listen(0, '127.0.0.1', resolve);
      else server.listen(path, resolve);
    });
    return new FakeListener(server);
  }

  next(): Promise<FakeDaemon> {
    const daemon = this.#ready.shift();
    return daemon === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(daemon);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
