import { once } from 'node:events';
import { rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ManagementAddress } from '../management/index.ts';
import { escaped, ManagementEnd } from './management-end.ts';

/** OpenVPN 2.6's first line. */
export const GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\r\n";

/** How long a daemon that connected waits for something to come, in milliseconds. */
const PATIENCE = 120_000;

/** A scripted OpenVPN daemon: it says what the test wants, and no more. */
export class FakeDaemon extends ManagementEnd {
  /** One with `--management-client`: connects to an address, or a unix socket's path, at which its client listens. */
  static async open(place: ManagementAddress | string): Promise<FakeDaemon> {
    const socket = connect(typeof place === 'string' ? { path: place } : place);
    await once(socket, 'connect');
    const daemon = new FakeDaemon(socket);
    socket.setTimeout(PATIENCE, () => {
      daemon.close();
    });
    return daemon;
  }

  /** Waits for a line, whatever other commands came before it. */
  async hears(command: string): Promise<void> {
    await this.takeOut(new RegExp(`^${escaped(command)}\n`, 'm'));
  }

  /** Whether this line has come, and was not waited for yet. */
  hasHeard(command: string): boolean {
    return this.received.split('\n').includes(command);
  }

  /** Waits for the command, whatever came before it, and says that it succeeded. */
  async accepts(command: string, reply = `SUCCESS: ${command}`): Promise<void> {
    await this.hears(command);
    this.say(`${reply}\r\n`);
  }

  /**
   * Asks for a signature, as OpenVPN 2.6 does in a handshake.
   * @param tbs what is to be signed: a hash, or with `data=message` in the algorithm text the message
   * @param algorithm OpenVPN's algorithm text: `ECDSA`, `RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest`
   * @returns the signature; empty where the agent refuses
   */
  async asksSignature(tbs: Uint8Array, algorithm: string): Promise<Buffer> {
    this.say(`>PK_SIGN:${Buffer.from(tbs).toString('base64')},${algorithm}\r\n`);
    const lines = await this.hearsBlock('pk-sig');
    this.say('SUCCESS: pk-sig command succeeded\r\n');
    return Buffer.from(lines.join(''), 'base64');
  }

  /** Waits for a `pk-sig` (or `rsa-sig`) block: its base64 lines. */
  async hearsBlock(header: string): Promise<string[]> {
    const block = await this.takeOut(new RegExp(`^${escaped(header)}\n(?:.*\n)*?END\n`, 'm'));
    return block.split('\n').slice(1, -2);
  }
}

/** Listens as a daemon does; `next` is the daemon's end of the next connection. */
export class FakeListener {
  readonly address: ManagementAddress;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Where the socket stands, if it was moved there. */
  #path: string | undefined;
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

  /**
   * @param path of a unix socket; without it a free port of 127.0.0.1
   * @throws Error where nobody can listen there
   */
  static async start(path?: string): Promise<FakeListener> {
    const server = createServer();
    if (path === undefined) server.listen(0, '127.0.0.1');
    else server.listen(path);
    await once(server, 'listening');
    return new FakeListener(server);
  }

  /** A unix socket that nobody finds before it listens: for tests in which no time passes, and so nobody tries again. */
  static async appear(path: string): Promise<FakeListener> {
    const listener = await FakeListener.start(`${path}.new`);
    await rename(`${path}.new`, path);
    listener.#path = path;
    return listener;
  }

  /** The daemon's end of the next connection that an agent or another management client makes. */
  next(): Promise<FakeDaemon> {
    const daemon = this.#ready.shift();
    return daemon === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(daemon);
  }

  /** Ends all connections, and listens no more. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    if (this.#path !== undefined) await rm(this.#path, { force: true });
  }
}
