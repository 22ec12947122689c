import { createHash } from 'node:crypto';
import { FakeDaemon, GREETING } from './fake-daemon.ts';

/** A scripted daemon that asks for one signature after the other, and answers what an agent wants to know. */
export class Asker {
  readonly #daemon: FakeDaemon;
  /** SHA-256 of each signature that it got, in hex. */
  readonly signatures: string[] = [];
  #count = 0;

  private constructor(daemon: FakeDaemon) {
    this.#daemon = daemon;
  }

  /** @param place at which the agent listens */
  static async open(place: string): Promise<Asker> {
    const asker = new Asker(await FakeDaemon.open(place));
    asker.#daemon.say(GREETING);
    let rest = '';
    asker.#daemon.socket.on('data', (chunk: Buffer) => {
      const lines = `${rest}${chunk.toString('latin1')}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) asker.#answer(line);
    });
    return asker;
  }

  /** What an agent says to a daemon. */
  #answer(line: string): void {
    const daemon = this.#daemon;
    if (line === 'pid') daemon.say('SUCCESS: pid=4711\r\n');
    if (line.startsWith('state on')) daemon.say('SUCCESS: real-time state notification set to ON\r\nEND\r\n');
    if (line === 'END') daemon.say('SUCCESS: pk-sig command succeeded\r\n');
  }

  /** Asks for a signature of a hash that nobody asked for before. @returns whether there is one */
  async ask(): Promise<boolean> {
    const text = `${String(process.hrtime.bigint())} ${this.#count++}`;
    const digest = createHash('sha256').update(text).digest('base64');
    this.#daemon.say(`>PK_SIGN:${digest},ECDSA\r\n`);
    const block = await this.#daemon.hearsBlock('pk-sig');
    const bytes = Buffer.from(block.join(''), 'base64');
    if (bytes.length > 0) this.signatures.push(createHash('sha256').update(bytes).digest('hex'));
    return bytes.length > 0;
  }

  /** Asks until the agent is gone. */
  async goOn(): Promise<void> {
    try {
      for (;;) await this.ask();
    } catch {
      // it is gone
    }
  }

  close(): void {
    this.#daemon.close();
  }
}
