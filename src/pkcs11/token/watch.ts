import type { Clock } from '../../clock.ts';
import { AgentError } from '../../errors.ts';
import { BRIEF, MAX_HOST_BYTES, pollStep, type Neighbours } from './recovery.ts';
import type { TokenSession } from './session.ts';

/** What the watch needs of a session. */
export type WatchedSession = Pick<
  TokenSession,
  'isInUse' | 'isAway' | 'isResting' | 'absences' | 'open' | 'recover' | 'lose' | 'see'
>;

/**
 * A look may take a token so much of its time at most: requests wait behind it, and a network HSM may take 200 ms for each of
 * its calls.
 */
const SHARE = 1 / 20;
/** Milliseconds between looks at most for that. */
const LONGEST = 60_000;

/** Looks at a token time and again: is it still there, or there again? C_WaitForSlotEvent would block the module host. */
export class TokenWatch {
  readonly #session: WatchedSession;
  readonly #clock: Clock;
  readonly #neighbours: () => Neighbours;
  #interval: number | undefined;
  /** Milliseconds that the last look at a token that is there took. */
  #took = 0;
  #stopTimer: () => void = () => undefined;
  /** Polls since the token went away. */
  #polls = 0;
  /** Which of its absences they count for. */
  #absence = 0;

  /** @param neighbours what other tokens of the module would lose by a recovery step for this one */
  constructor(session: WatchedSession, clock: Clock, neighbours: () => Neighbours) {
    this.#session = session;
    this.#clock = clock;
    this.#neighbours = neighbours;
  }

  /** From now on looks after so many milliseconds, each time; undefined: no more. */
  setInterval(interval: number | undefined): void {
    this.#interval = interval;
    this.#schedule();
  }

  #schedule(): void {
    this.#stopTimer();
    if (this.#interval === undefined) return;
    const least = Math.min(LONGEST, this.#took / SHARE);
    this.#stopTimer = this.#clock.after(Math.max(this.#interval, least), () => {
      void this.look().finally(() => {
        this.#schedule();
      });
    });
  }

  /** One look. Never rejects. */
  async look(): Promise<void> {
    // one that rests would be logged in to
    if (this.#session.isInUse || this.#session.isResting) return;
    const began = this.#clock.now();
    this.#took = 0;
    try {
      if (this.#session.isAway) await this.#poll();
      else {
        await this.#inspect();
        this.#took = this.#clock.now() - began;
      }
    } catch (error) {
      await this.#afterFailure(error);
    }
  }

  /** A session that was lost while the token stays is opened anew without a word. */
  async #afterFailure(error: unknown): Promise<void> {
    const session = this.#session;
    // in use: the request that is under way finds out; at rest: the look was too late
    if (session.isInUse || session.isResting) return;
    // the next poll tells, but of a login: a person would be asked again and again
    if (session.isAway) {
      session.lose(error);
      return;
    }
    await session.recover('reopen the session', error);
    await session.open().catch((reason: unknown) => {
      session.lose(reason);
    });
  }

  /** Is it there again? */
  async #poll(): Promise<void> {
    // counted anew each time that it goes away, also where a request found it in between
    if (this.#absence !== this.#session.absences) this.#polls = 0;
    this.#absence = this.#session.absences;
    this.#polls++;
    await this.#session.recover(pollStep(this.#polls, this.#neighbours()));
    await this.#session.open();
  }

  /** @throws AgentError ERR_TOKEN_ABSENT, ERR_TOKEN_*, ERR_MODULE_* if it is not there, or the session does not live */
  async #inspect(): Promise<void> {
    const { host, session, token } = await this.#session.open();
    const { tokens, rss } = await host.call('tokens', { slot: token.slot }, BRIEF);
    const found = tokens.find(({ serial, slot }) => serial === token.serial && slot === token.slot);
    if (!found) throw new AgentError('ERR_TOKEN_ABSENT', `token '${token.label}' was removed`);
    this.#session.see(found);
    await host.call('sessionInfo', { session }, BRIEF);
    // not in the middle of a login: other tokens have their sessions in it too
    if (rss > MAX_HOST_BYTES && host.pending === 0) await host.stop(`was replaced: it grew to ${rss} bytes`);
  }
}
