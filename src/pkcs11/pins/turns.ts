/** Has what goes by one name be done one after the other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** @param work is told whether another had its turn before */
  async take<Result>(name: string, work: (waited: boolean) => Promise<Result>): Promise<Result> {
    const before = this.#last.get(name);
    const turn = (before ?? Promise.resolve()).then(() => work(before !== undefined));
    const settled = turn.catch(() => undefined);
    this.#last.set(name, settled);
    try {
      return await turn;
    } finally {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    }
  }
}
