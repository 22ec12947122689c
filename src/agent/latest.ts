/** Work of one kind, of which one at most is wanted: what comes next takes the place of what is under way. */
export class Latest {
  #controller = new AbortController();

  /** Gives up what is under way, and returns the signal of what comes now. */
  renew(): AbortSignal {
    this.stop();
    this.#controller = new AbortController();
    return this.#controller.signal;
  }

  /** Gives up what is under way. */
  stop(): void {
    this.#controller.abort();
  }
}
