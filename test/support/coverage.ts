import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

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
  readonly #places: readonly string[];
  readonly #seen = new Set<string>();
  /** How often blocks ran between the last two looks: work that is counted, on however busy a machine. */
  steps = 0;

  /** @param places parts of the paths of the files that count */
  constructor(...places: readonly string[]) {
    this.#places = places;
    // of code that was optimized V8 counts nothing, and says that it never ran
    for (const compiler of ['opt', 'maglev']) setFlagsFromString(`--no-${compiler}`);
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  get size(): number {
    return this.#seen.size;
  }

  /** Did a block run since the last look, or one of a function be left out, for the first time? */
  look(): boolean {
    const before = this.#seen.size;
    this.steps = 0;
    this.#session.post('Profiler.takePreciseCoverage', (_, taken: Taken) => {
      for (const { url, functions } of taken.result) {
        if (!this.#places.some((place) => url.includes(place))) continue;
        for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges)) {
          this.#seen.add(`${url} ${startOffset} ${endOffset} ${count > 0}`);
          this.steps += count;
        }
      }
    });
    return this.#seen.size > before;
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}
