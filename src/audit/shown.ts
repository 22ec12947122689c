import type { OutcomeEntry, RequestEntry } from './entry.ts';
import { isSealed, MAX_LINE, parseLine, type WrittenEntry } from './line.ts';

const NEWLINE = 0x0a;

const TOO_LONG = Buffer.alloc(0);

/** The lines of a file, without their ends; what is too long for one is an empty line. */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  let isTooLong = false;
  for await (const chunk of chunks) {
    let bytes = Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      yield isTooLong ? TOO_LONG : bytes.subarray(0, end);
      isTooLong = false;
      bytes = bytes.subarray(end + 1);
    }
    isTooLong ||= bytes.length > MAX_LINE;
    rest = isTooLong ? Buffer.alloc(0) : Buffer.from(bytes);
  }
  if (isTooLong) yield TOO_LONG;
  else if (rest.length > 0) yield rest;
}

/** A request of which nothing more is to come: its outcome, or why the key was not asked; or it never ended. */
export type Shown = WrittenEntry & (RequestEntry | OutcomeEntry);

/** What a request came to; undefined if that is not written. */
export function outcomeOf(entry: Shown): 'signed' | 'refused' | 'failed' | 'dropped' | undefined {
  if (entry.type === 'outcome') return entry.outcome;
  return entry.verdict === 'accepted' ? undefined : entry.verdict;
}

export interface ShownFilter {
  readonly tunnel?: string | undefined;
  /** The beginning of a key's fingerprint. */
  readonly key?: string | undefined;
  readonly outcome?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
}

function fits(entry: Shown, { tunnel, key, outcome, since, until }: ShownFilter): boolean {
  const time = Date.parse(entry.time);
  return (
    (tunnel === undefined || entry.tunnel === tunnel) &&
    (key === undefined || entry.key?.startsWith(key.toLowerCase()) === true) &&
    (outcome === undefined || outcomeOf(entry) === outcome) &&
    (since === undefined || time >= since.getTime()) &&
    (until === undefined || time < until.getTime())
  );
}

/** More entries than an agent writes at once. */
const MOST_UNSEALED = 20_000;

/** Goes through a log's lines and gives those that a signed line follows: others count for nothing. */
class SealedEntries {
  #pending: WrittenEntry[] = [];
  /** Of the last signed line. */
  #sealed = '';
  /** Lines that are no entries, or count for none. */
  strange = 0;

  take(line: Buffer): readonly WrittenEntry[] {
    const entry = parseLine(line);
    if (typeof entry === 'string') {
      this.strange += 1;
      return [];
    }
    if (this.#pending.length >= MOST_UNSEALED) this.drop();
    if (entry.type === 'recovered' && entry.prev === this.#sealed) this.drop();
    this.#pending.push(entry);
    if (!isSealed(entry)) return [];
    const sealed = this.#pending;
    this.#pending = [];
    this.#sealed = entry.hash;
    return sealed;
  }

  /** No signed line follows. */
  drop(): void {
    this.strange += this.#pending.length;
    this.#pending = [];
  }
}

/** Goes through a log's lines and gives each request once, when it is known what became of it. */
export class Requests {
  readonly #filter: ShownFilter;
  readonly #entries = new SealedEntries();
  readonly #open = new Map<number, Shown>();

  constructor(filter: ShownFilter) {
    this.#filter = filter;
  }

  /** Lines that count for nothing: they are no entries, or nobody signed them. */
  get strange(): number {
    return this.#entries.strange;
  }

  /** Requests that are over with this line, as they came. */
  take(line: Buffer): Shown[] {
    return this.#entries.take(line).flatMap((entry) => this.#shown(entry) ?? []);
  }

  #shown(entry: WrittenEntry): Shown | undefined {
    if (entry.type !== 'request' && entry.type !== 'outcome') return undefined;
    if (entry.type === 'request' && entry.verdict === 'accepted') {
      this.#open.set(entry.seq, entry);
      return undefined;
    }
    if (entry.type === 'outcome' && entry.of !== null) this.#open.delete(entry.of);
    return fits(entry, this.#filter) ? entry : undefined;
  }

  /** A file ends: what nothing signed follows in it counts for nothing. */
  endFile(): void {
    this.#entries.drop();
  }

  /** Those whose end is not written: under way, or the agent was killed. */
  unfinished(): Shown[] {
    return [...this.#open.values()].filter((entry) => fits(entry, this.#filter));
  }
}
