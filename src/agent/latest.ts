import { AgentError } from '../errors.ts';

/** A reason of its own: a signal would else make one with a stack, each time. */
const GIVEN_UP = new AgentError('ERR_ABORTED', 'given up');

/** Work of one kind, of which one at most is wanted: what comes next takes the place of what is under way. */
export class Latest {
  #current: AbortController | undefined;

  /** Gives up what is under way. @returns what the work that comes now is given up by */
  renew(): AbortController {
    this.stop();
    this.#current = new AbortController();
    return this.#current;
  }

  /** That work is done: it can't be given up any more. */
  finish(work: AbortController): void {
    if (this.#current === work) this.#current = undefined;
  }

  /** Gives up what is under way. */
  stop(): void {
    this.#current?.abort(GIVEN_UP);
    this.#current = undefined;
  }
}
