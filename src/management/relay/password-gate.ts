import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { Secret } from '../../secret.ts';

/** Before the second guess after a wrong one is answered; it doubles with each. Milliseconds, as all below. */
const FIRST_DELAY = 250;
const LONGEST_DELAY = 8_000;
/** After so long without a wrong password one of them is forgotten. */
const FORGET_AFTER = 10_000;

/**
 * Compares passwords for all clients of one relay. Each wrong one makes all further answers later, right or wrong ones,
 * whichever connection they come from: on one machine all guessers have the same address.
 */
export class PasswordGate {
  /** Of the password, which is not kept itself. */
  readonly #digest: Buffer;
  readonly #clock: Clock;
  #wrong = 0;
  #last = 0;

  constructor(password: Secret, clock: Clock) {
    this.#digest = digestOf(password.bytes);
    this.#clock = clock;
  }

  /** Whether a guess is right, and in how many milliseconds the client may learn that. */
  check(guess: Uint8Array): { readonly right: boolean; readonly delay: number } {
    const now = this.#clock.now();
    const forgotten = Math.floor((now - this.#last) / FORGET_AFTER);
    if (forgotten > 0) {
      this.#wrong = Math.max(0, this.#wrong - forgotten);
      this.#last = now;
    }
    const delay = this.#wrong === 0 ? 0 : Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (this.#wrong - 1));
    // in a time that tells nothing of either
    const right = timingSafeEqual(digestOf(guess), this.#digest);
    if (!right) {
      this.#wrong = Math.min(this.#wrong + 1, 32);
      this.#last = now;
    }
    return { right, delay };
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
