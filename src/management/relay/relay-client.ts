import { createHash, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Secret } from '../../secret.ts';
import { type ClientLine, CommandLines } from './command-lines.ts';
import { Subscriptions } from './subscriptions.ts';

/** Lines of a client that may wait for their turn, before no more is read of it. */
const MAX_WAITING_LINES = 64;
/** A client that has taken nothing of a reply for so long, in milliseconds, is gone. */
const STALLED = 60_000;
/** As the daemon (MANAGEMENT_N_PASSWORD_RETRIES in manage.h). */
const PASSWORD_TRIES = 3;
/** How long a client may take, in milliseconds, to read what was written before its connection ends. */
const LAST_READ = 1_000;

/** What a client needs to know of its relay. */
export interface RelayClientOptions {
  readonly name: string;
  readonly password: Secret | undefined;
  /** Bytes of notifications that may wait for a client that doesn't read. */
  readonly maxBuffered: number;
  /** Why a client was thrown out. */
  readonly onDropped: (client: RelayClient, reason: string) => void;
}

/** One client of the relay: its lines in order, what goes to it, and what it asked for. */
export class RelayClient {
  readonly name: string;
  readonly subscriptions: Subscriptions = new Subscriptions();
  /** It was greeted: notifications are for it. */
  greeted = false;
  /** Settles when its connection is closed. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #options: RelayClientOptions;
  readonly #input = new CommandLines();
  readonly #lines: ClientLine[] = [];
  #reader: ((line: ClientLine | undefined) => void) | undefined;
  /** It sends nothing more; what it sent is still carried out. */
  #inputEnded = false;
  /** Bytes of replies that it hasn't taken yet. */
  #replyBytes = 0;

  /** `socket` was accepted with `allowHalfOpen`. */
  constructor(socket: Socket, options: RelayClientOptions) {
    this.name = options.name;
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#lines.length = 0;
        this.#endInput();
        resolve();
      });
    });
    // what broke it doesn't matter: it closes
    socket.on('error', () => undefined);
    socket.on('end', () => {
      this.#endInput();
    });
    socket.on('timeout', () => {
      this.#drop('it takes nothing of a reply');
    });
    socket.on('data', (chunk) => {
      this.#input.push(chunk, (line) => {
        const reader = this.#reader;
        this.#reader = undefined;
        if (reader === undefined) this.#lines.push(line);
        else reader(line);
      });
      if (this.#lines.length > MAX_WAITING_LINES) socket.pause();
    });
  }

  get gone(): boolean {
    return this.#socket.destroyed;
  }

  /** The next line; undefined when there are no more. */
  next(): Promise<ClientLine | undefined> {
    const line = this.#lines.shift();
    if (this.#lines.length < MAX_WAITING_LINES / 2) this.#socket.resume();
    if (line !== undefined || this.#inputEnded) return Promise.resolve(line);
    return new Promise((resolve) => {
      this.#reader = resolve;
    });
  }

  /** Asks for the password as a daemon does: only the prompt again after a wrong one, and the end after the third. */
  async authenticate(): Promise<boolean> {
    const { password } = this.#options;
    if (password === undefined) return true;
    for (let tries = 0; tries < PASSWORD_TRIES; tries += 1) {
      this.#socket.write('ENTER PASSWORD:');
      const line = await this.next();
      if (line === undefined) return false;
      if (!line.tooLong && isEqual(Buffer.from(line.text, 'latin1'), password.bytes)) {
        this.#socket.write('SUCCESS: password is correct\r\n');
        return true;
      }
    }
    return false;
  }

  /** Whatever comes unasked: never waits, and ends the connection of a client that doesn't read. */
  notify(text: string): void {
    if (this.gone) return;
    this.#socket.write(text, 'latin1');
    const waiting = this.#socket.writableLength - this.#replyBytes;
    if (waiting > this.#options.maxBuffered) this.#drop(`${waiting} bytes wait for it`);
  }

  /** A reply, in one piece: nothing can come between its lines. Its next command waits until this is taken. */
  reply(lines: readonly string[]): void {
    if (this.gone || lines.length === 0) return;
    const bytes = Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1');
    this.#replyBytes += bytes.length;
    this.#socket.setTimeout(STALLED);
    this.#socket.write(bytes, () => {
      this.#replyBytes -= bytes.length;
      if (this.#replyBytes > 0) return;
      this.#socket.setTimeout(0);
      this.#taken?.();
    });
  }

  #taken: (() => void) | undefined;

  /** Settles when it has taken its replies, or is gone. */
  async flushed(): Promise<void> {
    if (this.#replyBytes === 0 || this.gone) return;
    const taken = new Promise<void>((resolve) => {
      this.#taken = resolve;
    });
    await Promise.race([taken, this.closed]);
  }

  /** Ends the connection; what was written still goes out. */
  close(): void {
    this.#socket.destroySoon();
    const last = setTimeout(() => {
      this.destroy();
    }, LAST_READ);
    void this.closed.then(() => {
      clearTimeout(last);
    });
    this.#lines.length = 0;
    this.#endInput();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #endInput(): void {
    this.#inputEnded = true;
    this.#reader?.(undefined);
    this.#reader = undefined;
  }

  #drop(reason: string): void {
    if (this.gone) return;
    this.destroy();
    this.#options.onDropped(this, reason);
  }
}

/** In a time that tells nothing of either. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
  return timingSafeEqual(digest(a), digest(b));
}
