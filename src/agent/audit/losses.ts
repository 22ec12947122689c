import type { LostEntry } from '../../audit/entry.ts';
import { errnoOf } from '../../disk/state-error.ts';
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
  readonly #since = new Date();
  error: unknown;
  #entries = 0;
  #signatures = 0;
  #told: Counts = { entries: 0, signatures: 0 };

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

  /** The entry that tells of them. */
  item(): LossItem | undefined {
    if (!this.areUntold) return undefined;
    const entries = this.#entries - this.#told.entries;
    const signatures = this.#signatures - this.#told.signatures;
    const entry: LostEntry = {
      ...{ type: 'lost', entries, signatures, code: errnoOf(this.error) ?? null },
      since: this.#since.toISOString(),
    };
    return { make: () => entry, counts: { entries, signatures } };
  }

  /** That entry is in the file. */
  told({ counts: { entries, signatures } }: LossItem): void {
    this.#told = { entries: this.#told.entries + entries, signatures: this.#told.signatures + signatures };
  }
}
