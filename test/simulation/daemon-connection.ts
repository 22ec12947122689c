import { DaemonInput } from './daemon-input.ts';
import { kernel } from './kernel.ts';
import type { Peer } from './wire.ts';

/** Guesses at the password. */
const GUESSES = 3;

/** A daemon's connection with its management client. */
export class Connection {
  readonly peer: Peer;
  isIn: boolean;
  /** What it has real-time notifications of, by the command that turns them on. */
  readonly told: Record<string, boolean> = {};
  /** Lines behind `pk-sig`, as far as they have come. */
  block: string[] | undefined;
  readonly #password: string | undefined;
  readonly #input = new DaemonInput();
  #guesses = 0;
  /** It says nothing more. */
  #isCutOff = false;
  /** It hears nothing more. */
  #isClosing = false;
  #stopCounting: () => void = () => undefined;

  constructor(peer: Peer, password: string | undefined) {
    this.peer = peer;
    this.#password = password;
    this.isIn = password === undefined;
    if (!this.isIn) this.send('ENTER PASSWORD:');
  }

  send(text: string): void {
    if (!this.#isCutOff) this.peer.send(text);
  }

  /** What it says last. */
  sendLast(text: string): void {
    this.send(text);
    this.#isCutOff = true;
  }

  hangUp(): void {
    this.#isClosing = true;
    this.peer.close();
  }

  /** It is over, whoever ended it. */
  end(): void {
    this.#isClosing = true;
    this.#stopCounting();
  }

  /** @returns the lines that come with each piece, as long as it is not over */
  *hear(bytes: Buffer): Generator<Generator<string>> {
    for (const lines of this.#input.take(bytes)) {
      if (this.#isClosing) return;
      yield this.#whileOpen(lines);
    }
  }

  *#whileOpen(lines: readonly string[]): Generator<string> {
    for (const line of lines) {
      if (this.#isClosing) return;
      yield line;
    }
  }

  /** @returns whether it is the password */
  takePassword(line: string): boolean {
    if (line === this.#password) {
      this.isIn = true;
      this.send('SUCCESS: password is correct\r\n');
      return true;
    }
    this.#guesses += 1;
    if (this.#guesses === GUESSES) this.hangUp();
    else this.send('ENTER PASSWORD:');
    return false;
  }

  /** Calls every so many milliseconds, 0 for never. */
  countBytes(milliseconds: number, call: () => void): void {
    this.#stopCounting();
    if (milliseconds === 0) return;
    this.#stopCounting = kernel().after(milliseconds, () => {
      call();
      this.countBytes(milliseconds, call);
    });
  }
}
