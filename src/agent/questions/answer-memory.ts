import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';

/**
 * How many one-time answers may be refused in a row: the first one may have been over a moment too early. Servers lock
 * accounts after few.
 */
const MOST_REFUSALS = 2;
/** Milliseconds: a login and its refusal lie closer together, and a one-time answer is worth nothing any more. */
const LOGIN_TIME = 600_000;
/** Refused answers that are remembered. */
const MOST_REMEMBERED = 64;

/** An answer, as the memory knows it. */
export interface AnswerPrint {
  /** The print of username and password. Undefined if none goes with it: a response to a server's challenge. */
  readonly login?: string | undefined;
  /** The print of a challenge's response. */
  readonly response?: string | undefined;
}

/** One that was sent, and when. */
export interface SentAnswer extends AnswerPrint {
  readonly at: number;
}

/**
 * Which answers a daemon's server has refused: those are not sent again by themselves, and after two one-time answers in a
 * row none is. It knows no secret, only prints that mean nothing outside this process.
 */
export class AnswerMemory {
  readonly #clock: Clock;
  readonly #key = randomBytes(32);
  /** Until when each refused one is remembered. */
  readonly #refused = new Map<string, number>();
  /** One-time answers that were refused in a row, the last one when, and with which login. */
  #refusals = 0;
  #refusedAt = 0;
  #login: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A print of these parts, in which two are the same only if all parts are. */
  print(parts: readonly (string | Uint8Array)[]): string {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) {
      const bytes = Buffer.from(part as Uint8Array);
      hmac.update(`${bytes.length}:`).update(bytes);
      bytes.fill(0);
    }
    return hmac.digest('base64');
  }

  /** Whether an answer must not be sent: it was refused, or too many one-time answers with its login were. */
  isRefused({ login, response }: AnswerPrint): boolean {
    const now = this.#clock.now();
    const isKnown = (print: string | undefined): boolean =>
      print !== undefined && (this.#refused.get(print) ?? 0) > now;
    if (isKnown(login) || isKnown(response)) return true;
    return this.#refusals >= MOST_REFUSALS && (login === undefined || login === this.#login);
  }

  sent({ login }: AnswerPrint): void {
    if (login === undefined || login === this.#login) return;
    this.#login = login;
    this.#refusals = 0;
  }

  /** An answer was refused. */
  refuse({ login, response, at }: SentAnswer): void {
    const now = this.#clock.now();
    if (response === undefined) {
      if (login !== undefined) this.#remember(login, Infinity);
      return;
    }
    this.#remember(response, now + LOGIN_TIME);
    // long after the answer it is of a later login, for which the daemon used that again
    const isLate = now - at > LOGIN_TIME || now - this.#refusedAt > LOGIN_TIME;
    this.#refusals = isLate ? 1 : this.#refusals + 1;
    this.#refusedAt = now;
  }

  /** The server has let the daemon in. */
  accept(): void {
    this.#refusals = 0;
  }

  /** A person says that it may be tried again. */
  forget(): void {
    this.#refused.clear();
    this.#refusals = 0;
  }

  #remember(print: string, until: number): void {
    this.#refused.set(print, until);
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > MOST_REMEMBERED && oldest !== undefined) this.#refused.delete(oldest);
  }
}
