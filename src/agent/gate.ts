import type { AgentError } from '../errors.ts';

/** Told why a request ends that was let in. */
type CallOff = (why: AgentError) => void;

/** What requests pass, and stay behind until they are answered: closing it ends those too. */
export class Gate {
  readonly #within = new Set<CallOff>();
  #closed: AgentError | undefined;

  /** Lets a request in. @returns lets it out again @throws AgentError why it is closed */
  readonly enter = (callOff: CallOff): (() => void) => {
    this.check();
    this.#within.add(callOff);
    return () => {
      this.#within.delete(callOff);
    };
  };

  /** @throws AgentError why it is closed */
  check(): void {
    if (this.#closed) throw this.#closed;
  }

  /** Lets nobody in from now on, and ends what is within. */
  close(why: AgentError): void {
    this.#closed = why;
    for (const callOff of this.#within) callOff(why);
  }

  open(): void {
    this.#closed = undefined;
  }
}
