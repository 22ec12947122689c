import type { Head, RecoveredEntry } from './entry.ts';
import type { Gap } from './gap.ts';
import type { WrittenEntry } from './line.ts';

/** How far a log was read when a signed line came: entries behind it count only when another one does. */
export interface Sealed {
  readonly last: Head;
  readonly entries: number;
  readonly first: number | undefined;
  readonly faults: number;
  readonly notes: number;
}

/** A signed line that the next one does not follow, and what stands between it and what is read now. */
interface Break {
  readonly sealed: Sealed;
  readonly gap: Gap;
}

/** More an agent does not find behind the last line that it takes for its own. */
const MOST_BEHIND = 16 * 1024 * 1024;
const MOST_BREAKS = 8;

export function isNext({ seq, prev }: WrittenEntry, head: Head): boolean {
  return seq === head.seq + 1 && prev === head.hash;
}

/** Where the chain broke in a file: a power cut may lose what was written before, and keep what came behind. */
export class Breaks {
  #all: Break[] = [];

  /** @param gap what stands behind the signed line so far */
  push(sealed: Sealed, gap: Gap): void {
    this.#all = [...this.#all, { sealed, gap }].slice(-MOST_BREAKS);
  }

  /** What is read next. */
  add(line: Buffer, hasEnd: boolean): void {
    // as good as always, and for each line
    if (this.#all.length === 0) return;
    for (const { gap } of this.#all) gap.add(line, hasEnd);
    this.#all = this.#all.filter(({ gap }) => gap.bytes <= MOST_BEHIND);
  }

  /** The break before which an entry goes on, if it tells of all that follows there. */
  toldBy(entry: WrittenEntry & RecoveredEntry): Break | undefined {
    return this.#all.findLast(({ sealed, gap }) => isNext(entry, sealed.last) && gap.isToldBy(entry));
  }

  clear(): void {
    this.#all = [];
  }
}
