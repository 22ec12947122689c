// In place of Node's globals, for all of the bundle that the simulation runs.
import { setMaxListeners } from 'node:events';
import { kernel } from '../kernel.ts';

class Timer {
  readonly #milliseconds: number;
  readonly #call: () => void;
  readonly #owner = kernel().process;
  readonly #isRepeated: boolean;
  #callOff: () => void = () => undefined;

  constructor(milliseconds: number, call: () => void, isRepeated = false) {
    this.#milliseconds = milliseconds;
    this.#call = call;
    this.#isRepeated = isRepeated;
    this.#start();
  }

  #start(): void {
    this.#owner.hold('timer', this);
    this.#callOff = kernel().after(
      this.#milliseconds,
      () => {
        if (this.#isRepeated) this.#start();
        else this.#owner.release('timer', this);
        this.#call();
      },
      this.#owner,
    );
  }

  clear(): void {
    this.#callOff();
    this.#owner.release('timer', this);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  refresh(): this {
    this.clear();
    this.#start();
    return this;
  }
}

type Callback = (...args: unknown[]) => void;

export const setTimeout = (call: Callback, milliseconds = 0, ...args: unknown[]): Timer =>
  new Timer(milliseconds, () => {
    call(...args);
  });
export const setInterval = (call: Callback, milliseconds = 0, ...args: unknown[]): Timer =>
  new Timer(
    milliseconds,
    () => {
      call(...args);
    },
    true,
  );
/** Behind what is ready by now, a moment later. */
export const setImmediate = (call: Callback, ...args: unknown[]): Timer =>
  new Timer(0.001, () => {
    call(...args);
  });
export function clearTimeout(timer: Timer | undefined): void {
  timer?.clear();
}
export function clearInterval(timer: Timer | undefined): void {
  timer?.clear();
}
export function clearImmediate(timer: Timer | undefined): void {
  timer?.clear();
}

const RealDate: DateConstructor = globalThis.Date;
/** Tells the wall clock of the world; a moment that is named is what it is. */
export class Date extends RealDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(kernel().wall);
    else super(...(args as [number]));
  }

  static override now(): number {
    return kernel().wall;
  }
}

export const performance: { readonly now: () => number } = { now: (): number => kernel().now };

export function abortTimeout(milliseconds: number): AbortSignal {
  const stop = new AbortController();
  // as Node's, whose timer nobody can call off, and which keeps nothing alive
  kernel().after(
    milliseconds,
    () => {
      stop.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
    },
    kernel().process,
  );
  return stop.signal;
}

/** Node keeps its own for ever where nothing is aborted: an agent that is killed would never be let go of. */
export function abortAny(signals: readonly AbortSignal[]): AbortSignal {
  const stop = new AbortController();
  setMaxListeners(0, ...signals);
  for (const signal of signals) {
    const onAbort = (): void => {
      stop.abort(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  }
  return stop.signal;
}

/** Resident memory of the simulated host: never enough to be replaced. */
export const hostMemory = (): number => 60 * 1024 * 1024;
