import { Session } from 'node:inspector';

interface Taken {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
    }[];
  }[];
}

/** Which blocks of some files have run, as V8 counts them. */
export class Coverage {
  readonly #session = new Session();
  readonly #folder: string;
  readonly #seen = new Set<string>();

  /** @param folder part of the paths of the files that count */
  constructor(folder: string) {
    this.#folder = folder;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  get size(): number {
    return this.#seen.size;
  }

  /** Did a block run since the last call, or one of a function be left out, for the first time? */
  hasNew(): boolean {
    const before = this.#seen.size;
    this.#session.post('Profiler.takePreciseCoverage', (_, taken: Taken) => {
      for (const { url, functions } of taken.result) {
        if (!url.includes(this.#folder)) continue;
        for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges))
          this.#seen.add(`${url} ${startOffset} ${endOffset} ${count > 0}`);
      }
    });
    return this.#seen.size > before;
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}
