import type { LostEntry } from '../../audit/entry.ts';
import { errnoOf } from '../../disk/state-error.ts';
import type { UntoldLosses } from './head-record.ts';
import type { Item } from './log-files.ts';

interface Counts {
  readonly entries: number;
  /** Of those: signatures that left. */
  readonly signatures: number;
}

/** An entry that tells of losses, and how many. */
export interface LossItem extends Item {
  readonly counts: Counts;
}

/** What could not be written since a log worked last. */
export class Losses {
  readonly #since: string;
  readonly #code: string | null;
  error: unknown;
  #entries: number;
  #signatures: number;
  #told: Counts = { entries: 0, signatures: 0 };

  /** @param before what an agent before could not tell of any more */
  constructor(before?: UntoldLosses) {
    this.#since = before?.since ?? new Date().toISOString();
    this.#code = before?.code ?? null;
    this.#entries = before?.entries ?? 0;
    this.#signatures = before?.signatures ?? 0;
  }

  get all(): Counts {
    return { entries: this.#entries, signatures: this.#signatures };
  }

  /** Some that no entry tells of yet. */
  get areUntold(): boolean {
    return this.#entries > this.#told.entries;
  }

  add({ entries, signatures }: Counts): void {
    this.#entries += entries;
    this.#signatures += signatures;
  }

  /** Those of which no entry tells yet. */
  get untold(): UntoldLosses | undefined {
    if (!this.areUntold) return undefined;
    const entries = this.#entries - this.#told.entries;
    const signatures = this.#signatures - this.#told.signatures;
    return { entries, signatures, since: this.#since, code: errnoOf(this.error) ?? this.#code };
  }

  /** The entry that tells of them. */
  item(): LossItem | undefined {
    const { untold } = this;
    if (!untold) return undefined;
    const { entries, signatures, since, code } = untold;
    const entry: LostEntry = { type: 'lost', entries, signatures, code, since };
    return { make: () => entry, counts: { entries, signatures } };
  }

  /** That entry is in the file. */
  told({ counts: { entries, signatures } }: LossItem): void {
    this.#told = { entries: this.#told.entries + entries, signatures: this.#told.signatures + signatures };
  }
}
