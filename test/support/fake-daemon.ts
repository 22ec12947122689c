import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** How long the fake daemon waits for a line. */
const PATIENCE = 120_000;

/** A scripted OpenVPN daemon with `--management-client`: it connects to pksigd and says what the test wants. */
export class FakeDaemon {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;
  readonly #ahead: string[] = [];
  readonly #said: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    socket.setTimeout(PATIENCE, () => {
      socket.destroy(new Error(`fake daemon: nothing more came after:\n${this.#said.join('\n')}`));
    });
  }

  /** Connects to the unix socket at which pksigd listens. */
  static async open(path: string): Promise<FakeDaemon> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new FakeDaemon(socket);
  }

  say(text: string): void {
    this.#said.push(`daemon: ${text.trimEnd()}`);
    this.#socket.write(text);
  }

  /** Waits for a line, whatever other commands pksigd sends before it. */
  async hears(command: string): Promise<void> {
    const known = this.#ahead.indexOf(command);
    if (known >= 0) {
      this.#ahead.splice(known, 1);
      return;
    }
    for (let line = await this.#next(); line !== command; line = await this.#next()) this.#ahead.push(line);
  }

  /** Has this line come already, beside what was waited for? */
  hasHeard(command: string): boolean {
    return this.#ahead.includes(command);
  }

  /** Waits for a `pk-sig` (or `rsa-sig`) block: its base64 lines. */
  async hearsBlock(header: string): Promise<string[]> {
    await this.hears(header);
    const lines: string[] = [];
    for (let line = await this.#next(); line !== 'END'; line = await this.#next()) lines.push(line);
    return lines;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #next(): Promise<string> {
    const { value, done } = (await this.#lines.next()) as IteratorResult<string, undefined>;
    if (done === true) throw new Error(`fake daemon: pksigd closed after:\n${this.#said.join('\n')}`);
    this.#said.push(`pksigd: ${value}`);
    return value;
  }
}
