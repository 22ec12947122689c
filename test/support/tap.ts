import { connect, createServer, type Server, type Socket } from 'node:net';

/** Between an agent and its daemon's unix socket: writes down what passes, and how long signatures took. */
export class Tap {
  /** All that the daemon said, one character a byte. */
  said = '';
  /** All that the agent said. */
  heard = '';
  /** Milliseconds from each request's line to the end of its answer. */
  readonly signatures: number[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #asked: number | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(path: string, daemon: string): Promise<Tap> {
    const server = createServer({ allowHalfOpen: false });
    const tap = new Tap(server);
    server.on('connection', (agent) => {
      tap.#join(agent, connect(daemon));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return tap;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(agent: Socket, daemon: Socket): void {
    for (const [from, to] of [
      [agent, daemon],
      [daemon, agent],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroySoon();
      });
      from.on('data', (chunk: Buffer) => {
        to.write(chunk);
        const text = chunk.toString('latin1');
        if (from === agent) this.heard += text;
        if (from === daemon) this.#fromDaemon(text);
        // the agent writes its answer in one piece
        else if (/(?:^|\n)pk-sig\n/.test(text) && this.#asked !== undefined) {
          this.signatures.push(performance.now() - this.#asked);
          this.#asked = undefined;
        }
      });
    }
  }

  #fromDaemon(text: string): void {
    // a request's line may come in pieces: it counts from its beginning
    const tail = this.said.slice(-8);
    this.said += text;
    if (`${tail}${text}`.includes('>PK_SIGN:')) this.#asked = performance.now();
  }
}
