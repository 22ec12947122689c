// What the verifier finds, and how it says so.
import type { KeyObject } from 'node:crypto';
import type { ContinueReason, Head } from './entry.ts';
import type { LineFault } from './line.ts';

/** Where, and what. */
export interface Finding {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

export interface Verdict {
  /** What was changed, dropped, inserted, moved or cut off. Empty: the log is whole, as far as it can be known. */
  readonly faults: readonly Finding[];
  /** What is no fault, and worth knowing. */
  readonly notes: readonly Finding[];
  readonly entries: number;
  /** Of the first and the last entry. */
  readonly first: number | undefined;
  readonly last: Head | undefined;
  readonly checkpoints: number;
  /** Of the last line whose signature was found good: it proves all before it. */
  readonly covered: number | undefined;
  /** The last entry says that the agent stopped in good order. */
  readonly isEnded: boolean;
}

export interface VerifierOptions {
  /** Who may have signed. Without any: whoever the log itself names, which proves nothing against who can write it. */
  readonly keys?: readonly KeyObject[] | undefined;
  /** Entries that the state directory knows of: where a log that ends earlier was cut off. */
  readonly heads?: readonly Head[] | undefined;
  /** Where entries behind the last one of these files stand, if those are to be a part of the log only. */
  readonly restAt?: string | undefined;
}

export const FAULTS: Readonly<Record<LineFault, string>> = {
  'no-entry': 'this line is no entry',
  changed: 'this line was changed: its hash does not fit it',
  unknown: 'this line is not an entry of this format',
};

export const entriesText = (from: number, to: number): string =>
  from === to ? `entry ${from} is` : `entries ${from} to ${to} are`;

export const ALARM_TEXTS: Readonly<Record<ContinueReason, string>> = {
  rotated: '',
  moved: '',
  truncated: '',
  switched: '',
  deleted: 'were in a file that was removed while the agent wrote it',
  missing: 'were in no file that the agent found when it started',
  replaced: 'were not in the file that stood in its place',
};
