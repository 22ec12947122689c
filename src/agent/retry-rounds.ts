import type { Clock } from '../clock.ts';

/**
 * Lets tunnels that wait for their daemons try in turn: the first who came first, so many a round, and no more, however
 * many wait.
 */
export class RetryRounds {
  readonly #clock: Clock;
  readonly #milliseconds: number;
  readonly #tries: number;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #callOff: (() => void) | undefined;

  /**
   * @param milliseconds from a round to the next
   * @param tries how many there may be in one
   */
  constructor(clock: Clock, milliseconds: number, tries: number) {
    this.#clock = clock;
    this.#milliseconds = milliseconds;
    this.#tries = tries;
  }

  /** Calls once, when it is this one's turn. The process lives that long. @returns how to call that off */
  join(call: () => void): () => void {
    const own = (): void => {
      call();
    };
    this.#waiting.add(own);
    this.#callOff ??= this.#nextRound();
    return () => {
      this.#waiting.delete(own);
      if (this.#waiting.size > 0) return;
      this.#callOff?.();
      this.#callOff = undefined;
    };
  }

  #nextRound(): () => void {
    const round = (): void => {
      const turn: (() => void)[] = [];
      for (const call of this.#waiting) if (turn.push(call) === this.#tries) break;
      for (const call of turn) this.#waiting.delete(call);
      this.#callOff = this.#waiting.size > 0 ? this.#nextRound() : undefined;
      for (const call of turn) call();
    };
    return this.#clock.after(this.#milliseconds, round, 'keep alive');
  }
}

/** The rounds that all tunnels of one agent share. */
export interface AgentRounds {
  /** For daemons whose start nothing tells of. */
  readonly polls: RetryRounds;
  /** For those whose sockets are watched: in case that something was not told. */
  readonly looks: RetryRounds;
}

export function agentRounds(clock: Clock): AgentRounds {
  return { polls: new RetryRounds(clock, 250, 50), looks: new RetryRounds(clock, 500, 1) };
}
