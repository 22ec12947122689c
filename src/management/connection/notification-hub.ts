import { AgentError } from '../../errors.ts';
import { within, withResolvers } from '../../promises.ts';
import type { AssembledNotification } from '../notifications/assembler.ts';
import type { Notification, NotificationOf, NotificationType } from '../notifications/types.ts';
import { heldNotification } from '../wire/held-bytes.ts';
import type { CommandOptions } from './command-queue.ts';
import { NotificationStream, NotificationTaker, type Reader, type TakeNotification } from './notification-readers.ts';

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
 * Hands notifications to listeners and to readers. Keeps what comes before the first of them; a reader keeps what it hasn't
 * taken yet. There is one for each of thousands of connections: what few of them need is made when it is needed.
 */
export class NotificationHub {
  #listeners: Map<NotificationType | '*', Set<NotificationListener>> | undefined;
  #readers: readonly Reader[] = [];
  #atEnd: readonly ((error: Error | undefined) => void)[] = [];
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
    for (const reader of this.#readers) most = Math.max(most, reader.size);
    return most;
  }

  /** The most bytes of notifications that one reader has yet to take. */
  get held(): number {
    let most = this.#backlogHeld;
    for (const reader of this.#readers) most = Math.max(most, reader.held);
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

  /** Nothing more comes. Readers end once they have taken all, with the error if there is one. */
  end(error: Error | undefined): void {
    this.#ended = { error };
    // a backlog that is about to be delivered goes first
    if (this.#draining) return;
    for (const reader of this.#readers) reader.end(error);
    for (const call of this.#atEnd) call(error);
    this.#atEnd = [];
  }

  /** Calls once nothing more comes, behind the last notification. Returns how to call that off. */
  atEnd(call: (error: Error | undefined) => void): () => void {
    if (this.#ended !== undefined && !this.#draining) call(this.#ended.error);
    else this.#atEnd = [...this.#atEnd, call];
    return () => {
      this.#atEnd = this.#atEnd.filter((each) => each !== call);
    };
  }

  /** Returns how to stop listening. */
  on<T extends NotificationType>(type: T | '*', listener: NotificationListener<NotificationOf<T>>): () => void {
    this.#listeners ??= new Map();
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
    limit.signal.addEventListener('abort', giveUp);
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
    const stream = new NotificationStream(this.#changed, () => {
      this.#readers = this.#readers.filter((each) => each !== stream);
    });
    this.#read(stream);
    return stream;
  }

  /** Has what comes from now on taken, one after the other; the first consumer gets the backlog too. */
  takeEach(take: TakeNotification): NotificationTaker {
    const taker = new NotificationTaker(this.#changed, take);
    this.#read(taker);
    return taker;
  }

  #read(reader: Reader): void {
    this.#readers = [...this.#readers, reader];
    if (this.#ended !== undefined && this.#backlog === undefined) reader.end(this.#ended.error);
    this.#drainSoon();
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
    for (const reader of this.#readers) reader.push(notification, lines);
    if (this.#listeners === undefined) return;
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
