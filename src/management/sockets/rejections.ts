import type { AgentError, AgentErrorCode } from '../../errors.ts';

/** Told of peers that were turned away: the last one's error and address, and how many there were since the last call. */
export type OnRejected = (error: AgentError, peer: string, count: number) => void;

/** Milliseconds in which those that are turned away for one reason are told together, but for the first. */
const WINDOW = 10_000;

interface Waiting {
  readonly timer: NodeJS.Timeout;
  last?: { readonly error: AgentError; readonly peer: string } | undefined;
  count: number;
}

/** Thousands of refused connections must not become thousands of lines: tells the first at once, then sums up. */
export class Rejections {
  readonly #onRejected: OnRejected;
  readonly #waiting = new Map<AgentErrorCode, Waiting>();

  constructor(onRejected: OnRejected) {
    this.#onRejected = onRejected;
  }

  add(error: AgentError, peer: string): void {
    const waiting = this.#waiting.get(error.code);
    if (waiting === undefined) {
      this.#wait(error.code);
      this.#onRejected(error, peer, 1);
    } else {
      waiting.last = { error, peer };
      waiting.count += 1;
    }
  }

  /** Tells what was not told yet. */
  flush(): void {
    for (const { timer, last, count } of this.#waiting.values()) {
      clearTimeout(timer);
      if (last !== undefined) this.#onRejected(last.error, last.peer, count);
    }
    this.#waiting.clear();
  }

  #wait(code: AgentErrorCode): void {
    const timer = setTimeout(() => {
      const { last, count = 0 } = this.#waiting.get(code) ?? {};
      this.#waiting.delete(code);
      if (last === undefined) return;
      this.#wait(code);
      this.#onRejected(last.error, last.peer, count);
    }, WINDOW);
    timer.unref();
    this.#waiting.set(code, { timer, count: 0 });
  }
}
