import type { Socket } from 'node:net';
import { withResolvers } from '../promises.ts';

/** One end of a management connection, played by a test: whatever came, one character a byte. No wait has an end of its own. */
export class ManagementEnd {
  /** What came and wasn't taken yet. */
  received = '';
  /** What came, in the pieces in which it arrived. */
  readonly chunks: string[] = [];
  ended = false;
  readonly socket: Socket;
  #more = withResolvers();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk.toString('latin1'));
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', () => undefined);
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.ended = true;
        this.#wake();
      });
    }
  }

  /** All that ever came. */
  get all(): string {
    return this.chunks.join('');
  }

  /** Sends text as it is: lines end with `\r\n`, as OpenVPN's do. */
  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits for `text`, and takes all up to and with it. @throws Error when the connection ends before */
  async hear(text: string | RegExp): Promise<string> {
    const { index, 0: found } = await this.#find(text);
    return this.#take(0, index + found.length);
  }

  /** Waits for `text`, and takes that alone: what came before it stays. */
  protected async takeOut(text: RegExp): Promise<string> {
    const { index, 0: found } = await this.#find(text);
    return this.#take(index, index + found.length);
  }

  /** Waits until the other end has ended the connection. */
  async gone(): Promise<void> {
    while (!this.ended) await this.#more.promise;
  }

  /** Ends the connection as a crash would. */
  close(): void {
    this.socket.destroy();
  }

  async #find(text: string | RegExp): Promise<RegExpExecArray> {
    const pattern = typeof text === 'string' ? new RegExp(escaped(text)) : text;
    for (;;) {
      const match = pattern.exec(this.received);
      if (match !== null) return match;
      if (this.ended) throw new Error(`ended before ${String(text)}; came in all: ${JSON.stringify(this.all)}`);
      await this.#more.promise;
    }
  }

  #take(start: number, end: number): string {
    const taken = this.received.slice(start, end);
    this.received = this.received.slice(0, start) + this.received.slice(end);
    return taken;
  }

  #wake(): void {
    const more = this.#more;
    this.#more = withResolvers();
    more.resolve();
  }
}

/** As a regular expression's part that matches exactly this text. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
