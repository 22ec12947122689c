import { createHash, type Hash } from 'node:crypto';
import type { RecoveredEntry } from './entry.ts';
import type { LineFault } from './line.ts';

/** What stands behind the last signed line: left by an agent that was cut off, or by somebody else, unless a signed line follows. */
export class Gap {
  readonly #hash: Hash = createHash('sha256');
  /** Lines that are no entries, and that nothing told of yet. */
  faults: { readonly line: number; readonly fault: LineFault }[] = [];
  bytes = 0;
  lines = 0;

  /** @param hasEnd a newline stands behind it */
  add(line: Buffer, hasEnd: boolean): void {
    this.#hash.update(line);
    if (hasEnd) this.#hash.update('\n');
    this.bytes += line.length + (hasEnd ? 1 : 0);
  }

  /** Whether an entry tells of all of it. */
  isToldBy({ bytes, sha256 }: RecoveredEntry): boolean {
    return bytes === this.bytes && sha256 === this.#hash.copy().digest('hex');
  }
}

/** What no signed line follows in its file, and the faults that were found because of it. */
export interface Left {
  readonly gap: Gap;
  readonly from: number;
  readonly to: number;
}
