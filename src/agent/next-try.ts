import type { Clock } from '../clock.ts';
import type { ManagementAddress } from '../management/index.ts';
import { isLocal, type PathWatch, type WatchPath } from '../management/internal.ts';
import type { AgentRounds, RetryRounds } from './retry-rounds.ts';
import type { Complaint } from './trouble.ts';

/** Of one tunnel: where its daemon is, and what tells of its start. */
export interface NextTryOptions {
  readonly address: ManagementAddress;
  readonly watchPath: WatchPath;
  readonly rounds: AgentRounds;
  readonly clock: Clock;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
}

/** Milliseconds from a try to the next; each further pause is twice as long. */
const FIRST_RETRY = 100;
/** After a change, where nobody listens: between a daemon's bind and its listen nothing more changes. */
const FIRST_RETRY_AFTER_CHANGE = 1;
const LAST_RETRY = 5_000;
/** Where a person must help first, there is no hurry; a wrong password takes the daemon's only seat for a moment. */
const LAST_RETRY_OF_MISTAKES = 15_000;
/** Where the daemon's start is told of: in case that it wasn't. */
const LAST_RETRY_OF_WATCHED = 30_000;
/** So many tries in a row, then one in so many milliseconds: whoever changes things can do so for ever. */
const TRIES_AT_ONCE = 12;
const TRY_AFTER = 250;

/** How long to wait: so many milliseconds, then for one's turn. */
interface Pause {
  readonly milliseconds: number;
  readonly rounds?: RetryRounds | undefined;
}

/** When to try again to connect to one daemon: at once if it has started, as far as something tells of that. */
export class NextTry implements Disposable {
  readonly #options: NextTryOptions;
  #watch: { readonly path: PathWatch; readonly since: number } | undefined;
  #delay = FIRST_RETRY;
  /** Something changed since the last try began; and that one was made for such a reason. */
  #isChanged = false;
  #wasWoken = false;
  /** How many tries there may be in a row, as of when. */
  #triesLeft = TRIES_AT_ONCE;
  #countedAt: number;
  #wake: () => void = () => undefined;

  constructor(options: NextTryOptions) {
    this.#options = options;
    this.#countedAt = options.clock.now();
  }

  /** A try begins now. */
  begin(): void {
    this.#untilAllowed();
    this.#triesLeft = Math.max(0, this.#triesLeft - 1);
    this.#wasWoken = this.#isChanged;
    this.#isChanged = false;
  }

  /**
   * Waits until it is worth trying again, or for the signal. The process lives that long.
   * @param complaint what became of the last try; undefined if the connection lasted
   */
  async wait(complaint: Complaint | undefined): Promise<void> {
    const { clock, signal } = this.#options;
    if (complaint === undefined) {
      this.#delay = FIRST_RETRY;
      return;
    }
    const { milliseconds, rounds } = this.#pauseAfter(complaint);
    this.#look(complaint);
    await new Promise<void>((resolve) => {
      const stops: (() => void)[] = [];
      const end = (): void => {
        for (const stop of stops) stop();
        this.#wake = () => undefined;
        signal.removeEventListener('abort', end);
        resolve();
      };
      const turn = (): void => {
        if (rounds) stops.push(rounds.join(end));
        else end();
      };
      this.#wake = () => {
        this.#wake = () => undefined;
        const wait = this.#untilAllowed();
        if (wait > 0) stops.push(clock.after(wait, end, 'keep alive'));
        else end();
      };
      signal.addEventListener('abort', end, { once: true });
      if (milliseconds > 0) stops.push(clock.after(milliseconds, turn, 'keep alive'));
      else turn();
      if (signal.aborted) end();
      else if (this.#isChanged) this.#wake();
    });
  }

  /** The connection lasts: nothing is watched until it ends. */
  rest(): void {
    this.#watch?.path[Symbol.dispose]();
    this.#watch = undefined;
  }

  [Symbol.dispose](): void {
    this.rest();
  }

  #pauseAfter({ level, trouble, isRefused = false }: Complaint): Pause {
    const { address, rounds } = this.#options;
    if (this.#wasWoken) this.#delay = isRefused ? FIRST_RETRY_AFTER_CHANGE : FIRST_RETRY;
    if (level === 'error') return { milliseconds: this.#widened(LAST_RETRY_OF_MISTAKES) };
    if (trouble !== 'unreachable' || !isLocal(address)) return { milliseconds: this.#widened(LAST_RETRY) };
    if (this.#watch?.path.isWhole !== true) return { milliseconds: 0, rounds: rounds.polls };
    const milliseconds = this.#widened(LAST_RETRY_OF_WATCHED);
    return { milliseconds, rounds: milliseconds < FIRST_RETRY ? undefined : rounds.looks };
  }

  #widened(most: number): number {
    const milliseconds = Math.min(this.#delay, most);
    this.#delay = 2 * milliseconds;
    return Math.max(milliseconds, this.#untilAllowed());
  }

  /** Watches the way to the socket as it is now. */
  #look({ level, trouble }: Complaint): void {
    const { address, watchPath, clock } = this.#options;
    if (address.kind === 'tcp') return;
    const now = clock.now();
    // what could not be watched may be watched by now
    if (this.#watch && !this.#watch.path.isWhole && now - this.#watch.since >= LAST_RETRY_OF_WATCHED) this.rest();
    this.#watch ??= {
      path: watchPath(address.path, () => {
        this.#hear();
      }),
      since: now,
    };
    const { path } = this.#watch;
    void path.renew().then((isNews) => {
      // a daemon that is there need not be asked again only for that
      if (isNews && level === 'warn' && trouble === 'unreachable' && path === this.#watch?.path) this.#hear();
    });
  }

  #hear(): void {
    this.#isChanged = true;
    this.#wake();
  }

  /** @returns milliseconds */
  #untilAllowed(): number {
    const now = this.#options.clock.now();
    this.#triesLeft = Math.min(TRIES_AT_ONCE, this.#triesLeft + (now - this.#countedAt) / TRY_AFTER);
    this.#countedAt = now;
    return Math.max(0, (1 - this.#triesLeft) * TRY_AFTER);
  }
}
