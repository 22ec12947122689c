import { createHash, createPublicKey, type Hash, type KeyObject } from 'node:crypto';
import { type Head, NO_HEAD, type RecoveredEntry } from './entry.ts';
import { isSignedBy, type LineFault, MAX_LINE, parseLine, type WrittenEntry } from './line.ts';

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
  /** Of the last checkpoint with a good signature. */
  readonly covered: number | undefined;
  /** The last entry says that the agent stopped in good order. */
  readonly isEnded: boolean;
}

export interface VerifierOptions {
  /** Who may have signed. Without any: whoever the log itself names, which proves nothing against who can write it. */
  readonly keys?: readonly KeyObject[] | undefined;
  /** What the state directory remembers as the last entry: where a log that ends earlier was cut off. */
  readonly head?: Head | undefined;
}

/** Findings that are kept; a file that is no log at all would have one a line. */
const MOST_FINDINGS = 1000;
const NEWLINE = 0x0a;

const FAULTS: Readonly<Record<LineFault, string>> = {
  'no-entry': 'this line is no entry',
  changed: 'this line was changed: its hash does not fit it',
  unknown: 'this line is not an entry of this format',
};

const entriesText = (from: number, to: number): string =>
  from === to ? `entry ${from} is` : `entries ${from} to ${to} are`;

function isNext({ seq, prev }: WrittenEntry, head: Head): boolean {
  return seq === head.seq + 1 && prev === head.hash;
}

/** What stands between entries and is none: left by an agent that was cut off, or by somebody else. */
class Gap {
  readonly #hash: Hash = createHash('sha256');
  readonly faults: { readonly line: number; readonly fault: LineFault }[] = [];
  bytes = 0;
  lines = 0;

  add(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.bytes += bytes.length;
  }

  /** Whether an entry tells of all of it. */
  isToldBy({ bytes, sha256 }: RecoveredEntry): boolean {
    return bytes === this.bytes && sha256 === this.#hash.copy().digest('hex');
  }
}

/**
 * Reads a log from its first file to its last, and finds what does not stand as it was written. Give each file's bytes in
 * order: {@link beginFile}, {@link push}, …, {@link endFile}; then {@link finish}.
 */
export class Verifier {
  readonly #trusted: readonly KeyObject[];
  readonly #known: Head | undefined;
  readonly #named: KeyObject[] = [];
  readonly #faults: Finding[] = [];
  readonly #notes: Finding[] = [];
  #file = '';
  #line = 0;
  /** No entry of this file was read yet. */
  #isFresh = true;
  #rest: Buffer[] = [];
  #restLength = 0;
  #gap: Gap | undefined;
  /** What the next entry is to follow. */
  #last: Head | undefined;
  /** The entry that was read last, wherever it belongs. */
  #before: Head | undefined;
  #first: number | undefined;
  #entries = 0;
  #checkpoints = 0;
  #covered: number | undefined;
  #isEnded = false;
  /** The entry that the state directory remembers was read, or another one in its place. */
  #isKnownSeen = false;

  constructor({ keys = [], head }: VerifierOptions = {}) {
    this.#trusted = keys;
    this.#known = head;
  }

  beginFile(name: string): void {
    this.#file = name;
    this.#line = 0;
    this.#isFresh = true;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#rest.push(chunk.subarray(start, end));
      this.#takeLine(true);
      start = end + 1;
    }
    this.#rest.push(chunk.subarray(start));
    this.#restLength += chunk.length - start;
    // a copy, of which the reader may fill the original anew
    this.#rest = [Buffer.concat(this.#rest)];
    if (this.#restLength > MAX_LINE) this.#takeTooLong();
  }

  endFile(): void {
    const isWhole = this.#restLength === 0;
    if (!isWhole) this.#takeLine(false);
    const gap = this.#gap;
    this.#gap = undefined;
    if (gap) this.#tellGap(gap);
    if (gap && !isWhole) this.#fault('the file ends inside a line: cut off, or an agent was while it wrote');
    else if (!isWhole) this.#fault('the last line lacks its end');
    if (this.#line === 0) this.#fault('the file is empty: what stood in it was cut off, or copied elsewhere', 1);
  }

  /** What is to be said of the whole. */
  finish(): Verdict {
    const known = this.#known;
    const last = this.#last ?? NO_HEAD;
    if (known && known.seq > last.seq) {
      this.#fault(`${entriesText(last.seq + 1, known.seq)} missing at the end: the state directory knows of them`);
    } else if (known && known.seq > 0 && !this.#isKnownSeen && (this.#first ?? 0) <= known.seq) {
      this.#fault(`entry ${known.seq} is not there: the state directory knows of it`);
    }
    return {
      ...{ faults: this.#faults, notes: this.#notes, entries: this.#entries, first: this.#first, last: this.#last },
      ...{ checkpoints: this.#checkpoints, covered: this.#covered, isEnded: this.#isEnded },
    };
  }

  /** A line without an end in sight is none of ours: it is not kept. */
  #takeTooLong(): void {
    const gap = (this.#gap ??= new Gap());
    if (gap.faults.at(-1)?.line !== this.#line + 1) gap.faults.push({ line: this.#line + 1, fault: 'no-entry' });
    gap.add(Buffer.concat(this.#rest));
    this.#rest = [];
    this.#restLength = 0;
  }

  #takeLine(hasEnd: boolean): void {
    const line = this.#rest.length === 1 && this.#rest[0] ? this.#rest[0] : Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restLength = 0;
    this.#line += 1;
    const isRestOfLong = this.#gap?.faults.at(-1)?.line === this.#line;
    const entry = isRestOfLong ? 'no-entry' : parseLine(line);
    if (typeof entry !== 'string') {
      this.#takeEntry(entry, line);
      return;
    }
    const gap = (this.#gap ??= new Gap());
    gap.lines += 1;
    if (!isRestOfLong && gap.faults.length < MOST_FINDINGS) gap.faults.push({ line: this.#line, fault: entry });
    gap.add(line);
    if (hasEnd) gap.add(Buffer.of(NEWLINE));
  }

  #takeEntry(entry: WrittenEntry, line: Buffer): void {
    const gap = this.#gap;
    this.#gap = undefined;
    const isTold = entry.type === 'recovered' && this.#checkRecovered(entry, gap);
    if (gap && !isTold) this.#tellGap(gap);
    this.#checkPlace(entry, isTold, isTold ? 0 : (gap?.lines ?? 0));
    const { seq, hash } = entry;
    const isMoved = this.#last !== undefined && seq <= this.#last.seq && !(this.#before && isNext(entry, this.#before));
    if (!isMoved) this.#last = { seq, hash };
    this.#before = { seq, hash };
    this.#first ??= seq;
    this.#entries += 1;
    this.#isFresh = false;
    this.#isEnded = entry.type === 'checkpoint' && entry.reason === 'end';
    if (seq === this.#known?.seq) {
      this.#isKnownSeen = true;
      if (hash !== this.#known.hash) this.#fault(`entry ${seq} is not the one that the state directory knows of`);
    }
    this.#read(entry, line);
  }

  /** Whether what stands before it is what it tells of. */
  #checkRecovered({ bytes, missing, ...told }: RecoveredEntry, gap: Gap | undefined): boolean {
    if (missing) {
      const from = (this.#last ?? NO_HEAD).seq + 1;
      const what =
        missing.seq >= from ? `${entriesText(from, missing.seq)} missing` : `entry ${missing.seq} was replaced`;
      this.#fault(`${what} before this line: the agent knew of them when it started here`);
    }
    if (gap ? gap.isToldBy({ bytes, missing, ...told }) : bytes === 0) {
      if (gap) this.#note(`an agent was cut off while it wrote the ${bytes} bytes before this line`);
      return true;
    }
    this.#fault(`${bytes} bytes that this line tells of are not those before it`);
    return false;
  }

  #tellGap({ faults }: Gap): void {
    for (const { line, fault } of faults) this.#fault(FAULTS[fault], line);
  }

  /** Whether an entry stands where it must. @param isTold it tells of what stands before it. @param bad lines before it that have been told of */
  #checkPlace(entry: WrittenEntry, isTold: boolean, bad: number): void {
    const { type, seq, prev } = entry;
    const last = this.#last;
    const isBeginning = seq === 1 && prev === NO_HEAD.hash;
    // an agent that was cut off in its first line has left what must be told of first
    const isHead = type === 'continue' || isTold || (isBeginning && type === 'start');
    if (!last) {
      if (isHead && !isBeginning) this.#note(`begins with entry ${seq}: those before stand in another file`);
      else if (!isHead) this.#fault(`the log begins with entry ${seq}: those before were cut off, or copied elsewhere`);
      return;
    }
    if (isNext(entry, last)) {
      if (this.#isFresh && !isHead) this.#note('the file was truncated by another program: nothing is missing here');
      return;
    }
    // what follows a line that was put in does not need to be told of, one by one
    if (this.#before && isNext(entry, this.#before)) return;
    const due = last.seq + 1;
    if (seq > due && seq - due <= bad) return; // those lines were these entries
    if (seq > due) this.#fault(`${entriesText(due, seq - 1)} missing before this line`);
    else if (seq < due) this.#fault(`entry ${seq} stands behind entry ${last.seq}: moved, inserted or doubled`);
    else this.#fault(`entry ${last.seq} was replaced: this line follows another one`);
  }

  #read(entry: WrittenEntry, line: Buffer): void {
    switch (entry.type) {
      case 'start':
      case 'continue':
        this.#addKey(entry.publicKey);
        return;
      case 'lost': {
        const { entries, signatures, code, since } = entry;
        const left = signatures > 0 ? `, and ${signatures} signatures left without one` : '';
        this.#note(`${entries} entries could not be written since ${since} (${code ?? 'unknown'})${left}`);
        return;
      }
      case 'checkpoint':
        this.#checkpoint(entry.seq, line);
        return;
      default:
    }
  }

  #addKey(base64: string): void {
    try {
      const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });
      if (key.asymmetricKeyType !== 'ed25519') throw new TypeError(key.asymmetricKeyType);
      if (!this.#named.some((each) => each.equals(key))) this.#named.push(key);
    } catch {
      this.#fault('this line names no Ed25519 key');
    }
  }

  #checkpoint(seq: number, line: Buffer): void {
    this.#checkpoints += 1;
    const isTrusted = this.#trusted.length > 0;
    const keys = isTrusted ? this.#trusted : this.#named;
    if (keys.length === 0) {
      this.#note('this checkpoint was not checked: no key is known');
    } else if (isSignedBy(line, keys)) {
      this.#covered = seq;
    } else {
      this.#fault(`this checkpoint is not signed by the ${isTrusted ? 'given key' : 'key that the log names'}`);
    }
  }

  #fault(text: string, line: number = this.#line): void {
    if (this.#faults.length < MOST_FINDINGS) this.#faults.push({ file: this.#file, line, text });
  }

  #note(text: string): void {
    if (this.#notes.length < MOST_FINDINGS) this.#notes.push({ file: this.#file, line: this.#line, text });
  }
}
