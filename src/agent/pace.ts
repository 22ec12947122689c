import type { Clock } from '../clock.ts';

/** Requests without a signature that a tunnel may make one after the other, before it is slowed down. */
const BURST = 500;
/** And so many a second from then on. */
const RATE = 1;
/** Milliseconds that a request waits at most: less than a daemon has patience for. */
const LONGEST = 5_000;

/**
 * How fast a tunnel may ask for what it does not get. Each such request is a line of the audit log: whoever asks as fast as it
 * is answered would fill the disk, and end all tunnels by that.
 */
export class Pace {
  readonly #clock: Clock;
  #left = BURST;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** A request got no signature. */
  count(): void {
    this.#refill();
    this.#left -= 1;
  }

  /** Milliseconds that the next request is to wait; 0 for whoever asks for nothing strange. */
  get delay(): number {
    this.#refill();
    return this.#left >= 0 ? 0 : Math.min((-this.#left / RATE) * 1000, LONGEST);
  }

  #refill(): void {
    const now = this.#clock.now();
    this.#left = Math.min(BURST, this.#left + ((now - this.#since) / 1000) * RATE);
    this.#since = now;
  }
}
