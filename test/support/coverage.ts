import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

/** A part of a file: from a character to before another one. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** Code that ran for the first time: of which function, and which parts of it. */
export type Reached = ReadonlyMap<string, readonly Span[]>;

interface Taken {
  readonly result: readonly {
    readonly url: string;
    /** The first range of a function is the whole of it; one within another has its own count. */
    readonly functions: readonly {
      readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
    }[];
  }[];
}

interface Run {
  readonly url: string;
  readonly name: string;
  readonly whole: Span;
  /** What did not run of it since the last look. */
  readonly leftOut: readonly Span[];
}

/**
 * Of this process, once begun: a function that was compiled while nothing counted is told of as a whole, so it is never ended.
 */
let session: Session | undefined;

function counting(): Session {
  if (session) return session;
  // of code that was optimized V8 counts nothing, and says that it never ran
  for (const compiler of ['opt', 'maglev']) setFlagsFromString(`--no-${compiler}`);
  session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return session;
}

/**
 * Which code of some files has run, as V8 counts it. V8 names a block only where it ran more or less often than what is around it,
 * so what is kept is the code that never ran.
 */
export class Coverage {
  readonly #session = counting();
  readonly #places: readonly string[];
  /** By function: what of it never ran. */
  readonly #never = new Map<string, { readonly url: string; readonly whole: Span; left: readonly Span[] }>();
  /** How often blocks ran between the last two looks: work that is counted, on however busy a machine. */
  steps = 0;

  /** @param places parts of the paths of the files that count */
  constructor(...places: readonly string[]) {
    this.#places = places;
    this.#take();
  }

  /** How much of the files' functions has run: percent of their characters. */
  get percent(): number {
    const functions = [...this.#never.values()];
    // a function within another is part of both
    const length = (spansOf: (each: (typeof functions)[number]) => readonly Span[]): number =>
      [...new Set(functions.map(({ url }) => url))]
        .map((url) => lengthOf(functions.filter((each) => each.url === url).flatMap(spansOf)))
        .reduce((sum, each) => sum + each, 0);
    const all = length(({ whole }) => [whole]);
    return all === 0 ? 0 : 100 - (100 * length(({ left }) => left)) / all;
  }

  /** Did code run since the last look for the first time? */
  look(): boolean {
    return this.fresh().size > 0;
  }

  /** The code of which that is so. */
  fresh(): Reached {
    const fresh = new Map<string, readonly Span[]>();
    for (const { url, name, whole, leftOut } of this.#take()) {
      const known = this.#never.get(name) ?? { url, whole, left: [whole] };
      this.#never.set(name, known);
      const spans = without(known.left, leftOut);
      if (spans.length === 0) continue;
      known.left = without(known.left, spans);
      fresh.set(name, spans);
    }
    return fresh;
  }

  /** What of some code has not run since the last look. */
  missed(code: Reached): Reached {
    const ran = new Map([...this.#take()].map(({ name, leftOut }) => [name, leftOut]));
    const missed = [...code].map(([name, spans]) => {
      const leftOut = ran.get(name);
      return [name, leftOut ? without(spans, without(spans, leftOut)) : spans] as const;
    });
    return new Map(missed.filter(([, spans]) => spans.length > 0));
  }

  #take(): readonly Run[] {
    const runs: Run[] = [];
    this.steps = 0;
    this.#session.post('Profiler.takePreciseCoverage', (_, taken: Taken) => {
      for (const { url, functions } of taken.result) {
        if (!this.#places.some((place) => url.includes(place))) continue;
        for (const { ranges } of functions) {
          const spans = ranges.map(({ startOffset: start, endOffset: end, count }) => ({ start, end, count }));
          const [whole] = spans;
          // what runs when the file is loaded has run before
          if (whole === undefined || whole.start === 0) continue;
          for (const { count } of spans) this.steps += count;
          // of ranges within each other the innermost, which comes later, is right
          let leftOut: Span[] = [];
          for (const span of spans) leftOut = [...without(leftOut, [span]), ...(span.count === 0 ? [span] : [])];
          runs.push({ url, name: `${url} ${whole.start} ${whole.end}`, whole, leftOut });
        }
      }
    });
    return runs;
  }
}

/** The parts of some spans that are in none of others. */
function without(spans: readonly Span[], others: readonly Span[]): Span[] {
  let rest = [...spans];
  for (const other of others) {
    rest = rest.flatMap(({ start, end }) =>
      [
        { start, end: Math.min(end, other.start) },
        { start: Math.max(start, other.end), end },
      ].filter((part) => part.start < part.end),
    );
  }
  return rest;
}

/** Of spans that may overlap. */
function lengthOf(spans: readonly Span[]): number {
  let [length, last] = [0, 0];
  for (const { start, end } of spans.toSorted((one, other) => one.start - other.start)) {
    length += Math.max(0, end - Math.max(start, last));
    last = Math.max(last, end);
  }
  return length;
}
