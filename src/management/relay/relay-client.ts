import type { Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import { endWithin } from '../sockets/end-within.ts';
import { type ClientLine, CommandLines } from './line-reader.ts';
import type { PasswordGate } from './password-gate.ts';
import { Subscriptions } from './subscriptions.ts';

/**
 * Characters of a client's lines that may wait for their turn, before no more is read of it. What wasn't read when it
 * breaks its connection off is lost: enough for a client that writes all its commands at once and leaves.
 */
const MAX_WAITING = 64 * 1024;
/** A client that has taken nothing of a reply for so long, in milliseconds, is gone. */
const STALLED = 60_000;
/** As the daemon (MANAGEMENT_N_PASSWORD_RETRIES in manage.h). */
const PASSWORD_TRIES = 3;
/** How long a client may take, in milliseconds, to give the password. */
const LOGIN_GRACE = 30_000;
/** How long a client may take, in milliseconds, to read what was written before its connection ends. */
const LAST_READ = 1_000;

/** A client's relay, as far as the client needs it. */
export interface RelayClientOptions {
  readonly name: string;
  /** Undefined if no password is needed. */
  readonly gate: PasswordGate | undefined;
  readonly clock: Clock;
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
  /** It gave a password, and wasn't told yet whether that is right. */
  awaitsAnswer = false;
  /** Settles when its connection is closed. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #options: RelayClientOptions;
  readonly #input = new CommandLines();
  #lines: ClientLine[] = [];
  /** Characters in those. */
  #waiting = 0;
  #reader: ((line: ClientLine | undefined) => void) | undefined;
  #onLeaving: (() => void) | undefined;
  /** It sends nothing more; what it sent is still carried out. */
  #inputEnded = false;
  /** We ended the connection. */
  #discarded = false;
  /** Bytes of replies that it hasn't taken yet. */
  #replyBytes = 0;

  /** `socket` was accepted with `allowHalfOpen`. */
  constructor(socket: Socket, options: RelayClientOptions) {
    this.name = options.name;
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      // what it wrote before it left is still carried out, as by the daemon itself
      socket.once('close', () => {
        this.#endWatch();
        this.#endInput();
        resolve();
      });
    });
    // what broke it doesn't matter: it closes
    socket.on('error', () => undefined);
    socket.on('end', () => {
      this.#endInput();
    });
    socket.on('data', (chunk) => {
      this.#input.push(chunk, (line) => {
        const reader = this.#reader;
        this.#reader = undefined;
        if (reader === undefined) this.#keep(line);
        else reader(line);
      });
      if (this.#waiting > MAX_WAITING) socket.pause();
    });
  }

  /** We ended its connection. */
  get wasDiscarded(): boolean {
    return this.#discarded;
  }

  get gone(): boolean {
    return this.#socket.destroyed;
  }

  /** It sends nothing more; what it sent may still be to be carried out. */
  get inputEnded(): boolean {
    return this.#inputEnded;
  }

  /** Its connection is closed, or it has ended its side, and nothing that it sent is left to be carried out. */
  get hasLeft(): boolean {
    return this.gone || (this.#inputEnded && this.#lines.length === 0);
  }

  /** Settles when it {@link hasLeft}. */
  async left(): Promise<void> {
    if (this.hasLeft) return;
    const leaving = new Promise<void>((resolve) => {
      this.#onLeaving = resolve;
    });
    await Promise.race([leaving, this.closed]);
  }

  /** The next line; undefined when there are no more. */
  next(): Promise<ClientLine | undefined> {
    const line = this.#lines.shift();
    if (line !== undefined) this.#waiting -= costOf(line);
    if (this.#waiting < MAX_WAITING / 2) this.#socket.resume();
    if (line !== undefined || this.#inputEnded) return Promise.resolve(line);
    return new Promise((resolve) => {
      this.#reader = resolve;
    });
  }

  /** Asks for the password as a daemon does: only the prompt again after a wrong one, and the end after the third. */
  async authenticate(): Promise<boolean> {
    const { gate, clock } = this.#options;
    if (gate === undefined) return true;
    const stopWaiting = clock.after(LOGIN_GRACE, () => {
      this.#drop(`it gave no password within ${LOGIN_GRACE / 1000} s`);
    });
    try {
      for (let tries = 0; tries < PASSWORD_TRIES; tries += 1) {
        this.#socket.write('ENTER PASSWORD:');
        const line = await this.next();
        if (line === undefined) return false;
        if (await this.#isRight(line, gate)) {
          this.#socket.write('SUCCESS: password is correct\r\n');
          return true;
        }
        if (this.#discarded) return false;
      }
      return false;
    } finally {
      stopWaiting();
    }
  }

  /** The answer comes late where many guessed wrong. */
  async #isRight(line: ClientLine, gate: PasswordGate): Promise<boolean> {
    const { right, delay } = gate.check(Buffer.from(line.text, 'latin1'));
    if (delay > 0) {
      this.awaitsAnswer = true;
      let callOff: () => void = () => undefined;
      const waited = new Promise<void>((resolve) => {
        callOff = this.#options.clock.after(delay, resolve);
      });
      await Promise.race([waited, this.closed]);
      callOff();
      this.awaitsAnswer = false;
    }
    return right && !line.tooLong && !this.#discarded;
  }

  /** Whatever comes unasked: never waits, and ends the connection of a client that doesn't read. */
  notify(text: string): void {
    // behind our end a write would break the connection, and what waits to go out would be lost
    if (this.gone || this.#discarded) return;
    this.#socket.write(text, 'latin1');
    const waiting = this.#socket.writableLength - this.#replyBytes;
    if (waiting > this.#options.maxBuffered) this.#drop(`${waiting} bytes wait for it`);
  }

  /** A reply, in one piece: nothing can come between its lines. Its next command waits until this is taken. */
  reply(lines: readonly string[]): void {
    if (this.gone || this.#discarded || lines.length === 0) return;
    const bytes = Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1');
    this.#replyBytes += bytes.length;
    this.#socket.write(bytes, () => {
      this.#replyBytes -= bytes.length;
      if (this.#replyBytes > 0) return;
      this.#endWatch();
      this.#taken?.();
    });
    this.#endWatch();
    this.#watch();
  }

  #endWatch: () => void = () => undefined;

  /** Not by the socket's own timeout: that begins anew with whatever a client writes that reads nothing, and with what it is told. */
  #watch(): void {
    const before = progressOf(this.#socket);
    this.#endWatch = this.#options.clock.after(STALLED, () => {
      if (progressOf(this.#socket) === before) this.#drop('it takes nothing of a reply');
      else this.#watch();
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
    endWithin(this.#socket, LAST_READ);
    this.#discard();
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#discard();
    this.#socket.destroy();
  }

  /** Nothing more of it is carried out. */
  #discard(): void {
    this.#discarded = true;
    this.#lines = [];
    this.#waiting = 0;
    this.#endInput();
  }

  #keep(line: ClientLine): void {
    if (this.#discarded) return;
    this.#lines.push(line);
    this.#waiting += costOf(line);
  }

  #endInput(): void {
    this.#inputEnded = true;
    if (this.#lines.length === 0) this.#onLeaving?.();
    this.#reader?.(undefined);
    this.#reader = undefined;
  }

  #drop(reason: string): void {
    if (this.gone) return;
    this.destroy();
    this.#options.onDropped(this, reason);
  }
}

/** Another text when the other end has taken something. Node tells of a write when all of it is taken; its handle, what is left of it. */
function progressOf(socket: Socket): string {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return `${socket.bytesWritten - socket.writableLength} ${handle?.writeQueueSize ?? 0}`;
}

/** An empty line costs memory too. */
function costOf(line: ClientLine): number {
  return line.text.length + 64;
}
