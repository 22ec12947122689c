import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Notification } from '../notifications/types.ts';
import { heldNotification } from '../wire/held-bytes.ts';

/** Who takes notifications in order, and keeps those that it has not taken yet. */
export interface Reader {
  /** Notifications that weren't taken yet. */
  readonly size: number;
  /** Bytes that they take. */
  readonly held: number;
  push(notification: Notification, lines: readonly string[]): void;
  /** Nothing more comes. */
  end(error: Error | undefined): void;
}

/** Notifications that wait for one reader. */
class NotificationQueue {
  #all: { readonly notification: Notification; readonly held: number }[] = [];
  #head = 0;
  #held = 0;

  /** Notifications that weren't taken yet. */
  get size(): number {
    return this.#all.length - this.#head;
  }

  /** Bytes that they take. */
  get held(): number {
    return this.#held;
  }

  protected keep(notification: Notification, lines: readonly string[]): void {
    const held = heldNotification(lines);
    // an array that grows from nothing makes room for many at once
    if (this.#all.length === 0) this.#all = [{ notification, held }];
    else this.#all.push({ notification, held });
    this.#held += held;
  }

  protected shift(): Notification | undefined {
    const next = this.#all[this.#head];
    if (next === undefined) return undefined;
    this.#head += 1;
    this.#held -= next.held;
    if (this.size === 0) this.drop();
    else if (this.#head > 512 && this.#head * 2 > this.#all.length) {
      this.#all = this.#all.slice(this.#head);
      this.#head = 0;
    }
    return next.notification;
  }

  protected drop(): void {
    this.#all = [];
    this.#head = 0;
    this.#held = 0;
  }
}

/** Takes a notification; the next one waits until that is settled. */
export type TakeNotification = (notification: Notification) => Promise<void>;

/** Notifications that are taken in one turn of the event loop: then other connections have theirs. */
const TAKEN_IN_A_TURN = 64;

/** Has one notification after the other taken. Nothing waits, and next to nothing is held, while there is none. */
export class NotificationTaker extends NotificationQueue implements Reader {
  readonly #changed: () => void;
  readonly #take: TakeNotification;
  #isTaking = false;
  #isOver = false;
  #onOver: (() => void) | undefined;

  constructor(changed: () => void, take: TakeNotification) {
    super();
    this.#changed = changed;
    this.#take = take;
  }

  push(notification: Notification, lines: readonly string[]): void {
    this.keep(notification, lines);
    if (this.#isTaking) return;
    this.#isTaking = true;
    // all that came with it is known by then
    queueMicrotask(() => void this.#takeAll());
  }

  end(): void {
    this.#isOver = true;
    if (!this.#isTaking) this.#onOver?.();
  }

  /** Resolves when the connection has ended and all is taken. */
  async over(): Promise<void> {
    if (this.#isOver && !this.#isTaking) return;
    await new Promise<void>((resolve) => {
      this.#onOver = resolve;
    });
  }

  async #takeAll(): Promise<void> {
    let taken = 0;
    for (let next = this.shift(); next !== undefined; next = this.shift()) {
      this.#changed();
      try {
        await this.#take(next);
      } catch {
        // what goes wrong with one concerns no other
      }
      taken += 1;
      if (taken % TAKEN_IN_A_TURN === 0) await nextTurn();
    }
    this.#isTaking = false;
    if (this.#isOver) this.#onOver?.();
  }
}

/** One reader's notifications, in order. Ends (or throws) when the connection does, after what came before. */
export class NotificationStream extends NotificationQueue implements Reader, AsyncIterableIterator<Notification> {
  #readers: { resolve: (result: IteratorResult<Notification>) => void; reject: (error: Error) => void }[] = [];
  #ended: { error: Error | undefined } | undefined;
  readonly #changed: () => void;
  readonly #detach: () => void;

  constructor(changed: () => void, detach: () => void) {
    super();
    this.#changed = changed;
    this.#detach = detach;
  }

  push(notification: Notification, lines: readonly string[]): void {
    if (this.#ended !== undefined) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: notification });
    } else {
      this.keep(notification, lines);
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
    const next = this.shift();
    if (next !== undefined) {
      this.#changed();
      return Promise.resolve({ done: false, value: next });
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
    this.drop();
    this.end(undefined);
    this.#changed();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
