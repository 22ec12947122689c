import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { AgentError } from './errors.ts';

/** A promise and what settles it. */
export interface Resolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (error: Error) => void;
}

/** `Promise.withResolvers`, which Node 20 does not have. */
export function withResolvers<T = void>(): Resolvers<T> {
  let resolve!: Resolvers<T>['resolve'];
  let reject!: Resolvers<T>['reject'];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** A signal that aborts in time. Dispose of it (`using`) as soon as nothing waits for it any more. */
export interface Limit extends Disposable {
  readonly signal: AbortSignal;
  /** The time was over before the caller's own signal aborted. */
  readonly isLate: boolean;
}

/**
 * One signal for a limit of time and for the caller's own signal, which may live much longer. The process does not end
 * before its time.
 *
 * @param milliseconds 0 sets no limit
 */
export function within(milliseconds: number, signal?: AbortSignal, clock: Clock = SYSTEM_CLOCK): Limit {
  const limit = new AbortController();
  let isLate = false;
  const giveUp = (): void => {
    limit.abort(signal?.reason);
  };
  if (signal?.aborted === true) giveUp();
  signal?.addEventListener('abort', giveUp, { once: true });
  const expire = (): void => {
    isLate = !limit.signal.aborted;
    limit.abort();
  };
  const callOff = milliseconds > 0 ? clock.after(milliseconds, expire, 'keep alive') : undefined;
  return {
    signal: limit.signal,
    get isLate() {
      return isLate;
    },
    // AbortSignal.any has no such undoing
    [Symbol.dispose]: () => {
      callOff?.();
      signal?.removeEventListener('abort', giveUp);
    },
  };
}

/**
 * Waits for `work`, but no longer than until the signal aborts. `work` itself goes on: its owner has to stop it.
 *
 * @throws AgentError ERR_ABORTED
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(new AgentError('ERR_ABORTED', 'given up', { cause: signal.reason }));
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Whether it has aborted by now: TypeScript takes `aborted` for settled once it was looked at. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
