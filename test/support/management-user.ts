import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { ManagementAddress } from '../../src/management/index.ts';

/** A management client of the plainest kind: bytes to and from a socket, as telnet would. */
export class ManagementUser {
  /** Everything that came and wasn't taken yet, one character a byte. */
  received = '';
  /** Everything that ever came. */
  all = '';
  ended = false;
  readonly socket: Socket;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.all += chunk.toString('latin1');
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

  static async open(address: ManagementAddress): Promise<ManagementUser> {
    const socket = connect(address.kind === 'unix' ? { path: address.path } : address);
    await once(socket, 'connect');
    return new ManagementUser(socket);
  }

  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits for `text` and takes all up to and with it. */
  async hear(text: string | RegExp): Promise<string> {
    for (;;) {
      const found =
        typeof text === 'string'
          ? this.received.includes(text)
            ? this.received.indexOf(text) + text.length
            : undefined
          : endOf(text.exec(this.received));
      if (found !== undefined) {
        const heard = this.received.slice(0, found);
        this.received = this.received.slice(found);
        return heard;
      }
      if (this.ended) throw new Error(`ended before ${String(text)}; heard ${JSON.stringify(this.received)}`);
      await this.#more();
    }
  }

  /** Sends a command, and gives all that comes up to and with `end`. */
  async ask(command: string, end: string | RegExp = /^(?:SUCCESS|ERROR):.*\r\n|^END\r\n/m): Promise<string> {
    this.say(`${command}\r\n`);
    return this.hear(end);
  }

  async gone(): Promise<void> {
    while (!this.ended) await this.#more();
  }

  close(): void {
    this.socket.destroy();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function endOf(match: RegExpExecArray | null): number | undefined {
  return match === null ? undefined : match.index + match[0].length;
}
