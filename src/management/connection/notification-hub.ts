import { AgentError } from '../../errors.ts';
import { within, withResolvers } from '../../promises.ts';
import type { AssembledNotification } from '../notifications/assembler.ts';
import type { Notification, NotificationOf, NotificationType } from '../notifications/types.ts';
import { heldNotification } from '../wire/held-bytes.ts';
import type { CommandOptions } from './command-queue.ts';

/**
 * Called with each notification, and with the lines that it came in: `lines` as text, `bytes` with one character a byte
 * (latin1), for those who pass them on unchanged.
 */
export type NotificationListener<T extends Notification = Notification> = (
  notification: T,
  lines: readonly string[],
  bytes: readonly string[],
) => void;

/**
 * Hands notifications to listeners and to streams. Keeps what comes before the first of them; a stream keeps what its
 * reader hasn't taken yet.
 */
export class NotificationHub {
  readonly #listeners = new Map<NotificationType | '*', Set<NotificationListener>>();
  readonly #streams = new Set<NotificationStream>();
  readonly #atEnd = new Set<(error: Error | undefined) => void>();
  readonly #changed: () => void;
  #backlog: AssembledNotification[] | undefined = [];
  /** Bytes that the backlog takes. */
  #backlogHeld = 0;
  #draining = false;
  #ended: { readonly error: Error | undefined } | undefined;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Notifications that the slowest reader has yet to take. */
  get queued(): number {
    let most = this.#backlog?.length ?? 0;
    for (const stream of this.#streams) most = Math.max(most, stream.size);
    return most;
  }

  /** The most bytes of notifications that one reader has yet to take. */
  get held(): number {
    let most = this.#backlogHeld;
    for (const stream of this.#streams) most = Math.max(most, stream.held);
    return most;
  }

  /** Whether the notifications that came so far were handed out. */
  get isHeard(): boolean {
    return this.#backlog === undefined;
  }

  push(assembled: AssembledNotification): void {
    if (this.#backlog === undefined) {
      this.#deliver(assembled);
    } else {
      this.#backlog.push(assembled);
      this.#backlogHeld += heldNotification(assembled.lines, assembled.bytes);
    }
  }

  /** Nothing more comes. Streams end once they are read, with the error if there is one. */
  end(error: Error | undefined): void {
    this.#ended = { error };
    // a backlog that is about to be delivered goes first
    if (this.#draining) return;
    for (const stream of this.#streams) stream.end(error);
    for (const call of this.#atEnd) call(error);
    this.#atEnd.clear();
  }

  /** Calls once nothing more comes, behind the last notification. Returns how to call that off. */
  atEnd(call: (error: Error | undefined) => void): () => void {
    if (this.#ended !== undefined && !this.#draining) call(this.#ended.error);
    else this.#atEnd.add(call);
    return () => {
      this.#atEnd.delete(call);
    };
  }

  /** Returns how to stop listening. */
  on<T extends NotificationType>(type: T | '*', listener: NotificationListener<NotificationOf<T>>): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    // listeners are kept by the one type that they get
    const any = listener as NotificationListener;
    listeners.add(any);
    this.#drainSoon();
    return () => {
      listeners.delete(any);
    };
  }

  /**
   * The next notification of a type that comes from now on.
   *
   * @param closed the error for a connection that has ended
   * @throws AgentError ERR_ABORTED, ERR_MANAGEMENT_TIMEOUT, and what `closed` gives
   */
  async next<T extends NotificationType>(
    type: T,
    { signal, timeout = 0 }: CommandOptions,
    closed: () => AgentError,
  ): Promise<NotificationOf<T>> {
    using limit = within(timeout, signal);
    const { promise, resolve, reject } = withResolvers<NotificationOf<T>>();
    const giveUp = (): void => {
      if (limit.isLate)
        reject(new AgentError('ERR_MANAGEMENT_TIMEOUT', `no ${type} came from OpenVPN within ${timeout} ms`));
      else reject(new AgentError('ERR_ABORTED', `waiting for ${type} was given up`, { cause: signal?.reason }));
    };
    if (limit.signal.aborted) giveUp();
    limit.signal.addEventListener('abort', giveUp, { once: true });
    const undoings = [
      this.on(type, resolve),
      this.atEnd(() => {
        reject(closed());
      }),
    ];
    try {
      return await promise;
    } finally {
      for (const undo of undoings) undo();
    }
  }

  /** A stream of what comes from now on; the first consumer gets the backlog too. */
  stream(): NotificationStream {
    const stream = new NotificationStream(this.#changed, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    if (this.#ended !== undefined && this.#backlog === undefined) stream.end(this.#ended.error);
    this.#drainSoon();
    return stream;
  }

  /** In a microtask, so that all who start to listen in the same tick get the backlog. */
  #drainSoon(): void {
    if (this.#backlog === undefined || this.#draining) return;
    this.#draining = true;
    queueMicrotask(() => {
      const backlog = this.#backlog ?? [];
      this.#backlog = undefined;
      this.#backlogHeld = 0;
      this.#draining = false;
      for (const assembled of backlog) this.#deliver(assembled);
      if (this.#ended !== undefined) this.end(this.#ended.error);
      this.#changed();
    });
  }

  #deliver({ notification, lines, bytes }: AssembledNotification): void {
    for (const stream of this.#streams) stream.push(notification, lines);
    for (const key of [notification.type, '*'] as const) {
      for (const listener of this.#listeners.get(key) ?? []) {
        try {
          listener(notification, lines, bytes);
        } catch (error) {
          // the listener's fault, not the connection's: it surfaces as an uncaught exception
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    }
  }
}

/** One reader's notifications, in order. Ends (or throws) when the connection does, after what came before. */
export class NotificationStream implements AsyncIterableIterator<Notification> {
  #queue: { readonly notification: Notification; readonly held: number }[] = [];
  #head = 0;
  #held = 0;
  #readers: { resolve: (result: IteratorResult<Notification>) => void; reject: (error: Error) => void }[] = [];
  #ended: { error: Error | undefined } | undefined;
  readonly #changed: () => void;
  readonly #detach: () => void;

  constructor(changed: () => void, detach: () => void) {
    this.#changed = changed;
    this.#detach = detach;
  }

  /** Notifications that weren't read yet. */
  get size(): number {
    return this.#queue.length - this.#head;
  }

  /** Bytes that they take. */
  get held(): number {
    return this.#held;
  }

  push(notification: Notification, lines: readonly string[]): void {
    if (this.#ended !== undefined) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: notification });
    } else {
      const held = heldNotification(lines);
      this.#queue.push({ notification, held });
      this.#held += held;
    }
  }

  end(error: Error | undefined): void {
    this.#ended ??= { error };
    const readers = this.#readers;
    this.#readers = [];
    for (const [index, reader] of readers.entries()) {
      if (error !== undefined && index === 0) reader.reject(error);
      else reader.resolve({ done: true, value: undefined });
    }
    if (readers.length > 0) this.#ended = { error: undefined };
  }

  next(): Promise<IteratorResult<Notification>> {
    const next = this.#queue[this.#head];
    if (next !== undefined) {
      this.#head += 1;
      this.#held -= next.held;
      if (this.#head > 512 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      this.#changed();
      return Promise.resolve({ done: false, value: next.notification });
    }
    if (this.#ended !== undefined) {
      const { error } = this.#ended;
      this.#ended = { error: undefined };
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  /** Stops the stream; what wasn't read is dropped. */
  return(): Promise<IteratorResult<Notification>> {
    this.#detach();
    this.#queue = [];
    this.#head = 0;
    this.#held = 0;
    this.end(undefined);
    this.#changed();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
