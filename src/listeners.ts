/** Listeners to one kind of event that has nothing to tell but that it happened. */
export class Listeners {
  readonly #all = new Set<() => void>();

  /** Calls at each event from now on; the same function given twice is called twice. @returns its undoing */
  add(listener: () => void): () => void {
    const own = (): void => {
      listener();
    };
    this.#all.add(own);
    return () => {
      this.#all.delete(own);
    };
  }

  /** Resolves at the next event. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      const undo = this.add(() => {
        undo();
        resolve();
      });
    });
  }

  /** Calls all listeners. */
  tell(): void {
    // one that is added meanwhile hears of the next event
    for (const listener of [...this.#all]) listener();
  }

  /** No listener hears of anything any more. */
  clear(): void {
    this.#all.clear();
  }
}
