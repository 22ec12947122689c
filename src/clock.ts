import { hrtime } from 'node:process';

/** Time, handed in so that tests can let it pass. */
export interface Clock {
  /** Milliseconds since some moment; they only ever grow. */
  now(): number;
  /**
   * Calls once after so many milliseconds.
   * @param keepAlive `keep alive`: the process does not end before
   * @returns how to call that off
   */
  after(milliseconds: number, call: () => void, keepAlive?: 'keep alive'): () => void;
}

/** Milliseconds, the longest that a timer of Node's takes: it makes one of 1 ms of what is longer. */
const LONGEST = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  // not performance.now(): Node loads all that measures for it
  now: () => {
    const [seconds, nanoseconds] = hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
  after: (milliseconds, call, keepAlive) => {
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      timer = left > LONGEST ? setTimeout(wait, LONGEST, left - LONGEST) : setTimeout(call, left);
      if (keepAlive === undefined) timer.unref();
    };
    wait(milliseconds);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Resolves after so many milliseconds, or at the signal; the process lives that long. */
export async function pause(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const end = (): void => {
      callOff();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const callOff = clock.after(milliseconds, end, 'keep alive');
    signal?.addEventListener('abort', end, { once: true });
  });
}
