import { AgentError } from '../errors.ts';

/** So many may work at a time; the others wait for their turn, in order. */
export class Slots {
  readonly #count: number;
  #used = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** Does something in its turn. @throws AgentError ERR_ABORTED if the signal aborts before */
  async use<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#used--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    const givenUp = (): AgentError =>
      new AgentError('ERR_ABORTED', 'given up before its turn', { cause: signal?.reason });
    if (signal?.aborted === true) throw givenUp();
    if (this.#used < this.#count) {
      this.#used++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', giveUp);
        this.#used++;
        resolve();
      };
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(givenUp());
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(go);
    });
  }
}
