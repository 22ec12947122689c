import { createPublicKey, type KeyObject } from 'node:crypto';
import { Breaks, isNext, type Sealed } from './breaks.ts';
import { ALARMS, type ContinueEntry, type Head, NO_HEAD, type RecoveredEntry } from './entry.ts';

import { Gap, type Left } from './gap.ts';
import { isSealed, isSignedBy, MAX_LINE, parseLine, type WrittenEntry } from './line.ts';
import { ALARM_TEXTS, entriesText, FAULTS, type Finding, type Verdict, type VerifierOptions } from './verdict.ts';

/** Findings that are kept; a file that is no log at all would have one a line. */
const MOST_FINDINGS = 1000;
const NEWLINE = 0x0a;

/** A signature that proves what stands before it, and need not be looked at if one behind it does. */
interface Unchecked {
  readonly seq: number;
  readonly bytes: Buffer;
  readonly file: string;
  readonly line: number;
}

/**
 * Reads a log from its first file to its last, and finds what does not stand as it was written. Give each file's bytes in
 * order: {@link beginFile}, {@link push}, …, {@link endFile}; then {@link finish}.
 */
export class Verifier {
  readonly #trusted: readonly KeyObject[];
  readonly #known: ReadonlyMap<number, string>;
  readonly #restAt: string | undefined;
  readonly #named: KeyObject[] = [];
  readonly #faults: Finding[] = [];
  readonly #notes: Finding[] = [];
  #file = '';
  #line = 0;
  /** No entry of this file was read yet. */
  #isFresh = true;
  #rest: Buffer[] = [];
  #restLength = 0;
  /** Since the last signed line of this file. */
  #gap: Gap | undefined;
  /** What ended the file before: an entry behind the one that goes on from it may tell of that. */
  #left: Left | undefined;
  /** The same, of which an entry has told that no signed line follows yet; and the faults that it took away. */
  #told: { readonly left: Left; readonly faults: readonly Finding[] } | undefined;
  /** The entry that was read last goes on from another file. */
  #isFurther = false;
  #sealed: Sealed = { last: NO_HEAD, entries: 0, first: undefined, faults: 0, notes: 0 };
  #unchecked: Unchecked | undefined;
  readonly #breaks = new Breaks();
  /** The last entry of the chain that the last signed line is in; and whether another entry stands behind it. */
  #chain: Head = NO_HEAD;
  #isBroken = false;
  /** What the next entry is to follow. */
  #last: Head | undefined;
  /** The entry that was read last, wherever it belongs. */
  #before: Head | undefined;
  #first: number | undefined;
  #entries = 0;
  #checkpoints = 0;
  #covered: number | undefined;
  #isEnded = false;
  /** The last file ends by a rotation: others follow. */
  #isRotated = false;
  #recoveredAt: number | undefined;
  /** The last of the entries that the state directory knows of that was read, or another one in its place. */
  #knownSeen = 0;

  constructor({ keys = [], heads = [], restAt }: VerifierOptions = {}) {
    this.#trusted = keys;
    this.#known = new Map(heads.map(({ seq, hash }) => [seq, hash]));
    this.#restAt = restAt;
  }

  beginFile(name: string): void {
    this.#file = name;
    this.#line = 0;
    this.#isFresh = true;
    this.#breaks.clear();
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
    const isWhole = this.#restLength === 0 && !this.#isInLong;
    if (!isWhole) this.#takeLine(false);
    const gap = this.#gap;
    const isTorn = gap !== undefined && gap.faults.length > 0;
    if (gap) this.#tellGap(gap);
    if (isTorn && !isWhole) this.#fault('the file ends inside a line: cut off, or an agent was while it wrote');
    else if (!isWhole) this.#fault('the last line lacks its end');
    else if (gap && !isTorn && this.#last && this.#last.seq > this.#sealed.last.seq) {
      const { seq } = this.#sealed.last;
      const what = entriesText(seq + 1, this.#last.seq);
      const which = this.#last.seq === seq + 1 ? 'it' : 'them';
      this.#fault(`${what} not signed: an agent was cut off while it wrote, or somebody else wrote ${which}`);
    }
    const { faults: from } = this.#sealed;
    const [faults, notes] = [this.#faults.length, this.#notes.length];
    this.#left = gap && { gap, from, to: faults };
    this.#sealed = { ...this.#sealed, faults, notes };
    this.#gap = undefined;
    if (this.#line === 0) this.#fault('the file is empty: what stood in it was cut off, or copied elsewhere', 1);
  }

  /** What is to be said of the whole. */
  finish(): Verdict {
    this.#check();
    const last = this.#last ?? NO_HEAD;
    const known = Math.max(0, ...this.#known.keys());
    if (known > last.seq) {
      const what = entriesText(last.seq + 1, known);
      if (this.#restAt !== undefined && this.#isRotated)
        this.#note(`${what} in further files, such as ${this.#restAt}`);
      else this.#fault(`${what} missing at the end: the state directory knows of them`);
    } else if (this.#knownSeen < known && (this.#first ?? 0) <= known) {
      this.#fault(`entry ${known} is not there: the state directory knows of it`);
    }
    return {
      ...{ faults: this.#faults, notes: this.#notes, entries: this.#entries, first: this.#first, last: this.#last },
      ...{ checkpoints: this.#checkpoints, covered: this.#covered, isEnded: this.#isEnded },
    };
  }

  /** What was read last is a part of a line that is too long. */
  get #isInLong(): boolean {
    return this.#gap?.faults.at(-1)?.line === this.#line + 1;
  }

  /** A line without an end in sight is none of ours: it is not kept. */
  #takeTooLong(): void {
    const gap = (this.#gap ??= new Gap());
    if (!this.#isInLong) gap.faults.push({ line: this.#line + 1, fault: 'no-entry' });
    this.#addTo(gap, Buffer.concat(this.#rest));
    this.#rest = [];
    this.#restLength = 0;
  }

  #takeLine(hasEnd: boolean): void {
    const line = this.#rest.length === 1 && this.#rest[0] ? this.#rest[0] : Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restLength = 0;
    const isRestOfLong = this.#isInLong;
    this.#line += 1;
    const entry = isRestOfLong ? 'no-entry' : parseLine(line);
    if (typeof entry !== 'string') {
      this.#takeEntry(entry, line, hasEnd);
      return;
    }
    const gap = (this.#gap ??= new Gap());
    gap.lines += 1;
    if (!isRestOfLong && gap.faults.length < MOST_FINDINGS) gap.faults.push({ line: this.#line, fault: entry });
    this.#addTo(gap, line, hasEnd);
  }

  /** @param gap undefined for a line that is none of one */
  #addTo(gap: Gap | undefined, line: Buffer, hasEnd = false): void {
    gap?.add(line, hasEnd);
    this.#breaks.add(line, hasEnd);
  }

  #takeEntry(entry: WrittenEntry, line: Buffer, hasEnd: boolean): void {
    const isTold = entry.type === 'recovered' && (this.#takeLeft(entry) ?? this.#takeRecovered(entry));
    if (entry.type === 'continue' && this.#left && isNext(entry, this.#sealed.last)) this.#backToSeal();
    const gap = this.#gap;
    if (gap) this.#tellGap(gap);
    this.#checkPlace(entry, isTold, gap?.lines ?? 0);
    if (gap) gap.lines = 0;
    const { seq, hash } = entry;
    const isMoved = this.#last !== undefined && seq <= this.#last.seq && !(this.#before && isNext(entry, this.#before));
    if (!isMoved) this.#last = { seq, hash };
    this.#before = { seq, hash };
    this.#first ??= seq;
    this.#entries += 1;
    this.#isFurther = entry.type === 'continue';
    this.#isFresh = false;
    this.#isEnded = entry.type === 'checkpoint' && entry.reason === 'end';
    this.#isRotated = entry.type === 'checkpoint' && entry.reason === 'rotate';
    const known = this.#known.get(seq);
    if (known !== undefined) {
      this.#knownSeen = Math.max(seq, this.#knownSeen);
      if (hash !== known) this.#fault(`entry ${seq} is not the one that the state directory knows of`);
    }
    this.#read(entry, line);
    this.#takeSeal(entry, line, hasEnd);
  }

  /** What is signed proves all before it. */
  #takeSeal(entry: WrittenEntry, line: Buffer, hasEnd: boolean): void {
    const { seq, hash } = entry;
    if (isNext(entry, this.#chain)) this.#chain = { seq, hash };
    else this.#isBroken = true;
    if (!isSealed(entry) || !hasEnd) {
      this.#addTo((this.#gap ??= new Gap()), line, hasEnd);
      return;
    }
    const gap = this.#isBroken && this.#sealed.first !== undefined ? (this.#gap ?? new Gap()) : undefined;
    this.#addTo(gap, line, hasEnd);
    if (gap) this.#breaks.push(this.#sealed, gap);
    this.#gap = undefined;
    this.#told = undefined;
    this.#chain = { seq, hash };
    this.#isBroken = false;
    if (entry.type !== 'checkpoint')
      this.#unchecked = { seq, bytes: Buffer.from(line), file: this.#file, line: this.#line };
    const [faults, notes] = [this.#faults.length, this.#notes.length];
    const last = { seq, hash };
    this.#sealed = { last, entries: this.#entries, first: this.#first, faults, notes };
  }

  /** Whether what stands behind the last signed line is what this entry tells of: then that counts for nothing. */
  #takeRecovered(entry: WrittenEntry & RecoveredEntry): boolean {
    const { bytes } = entry;
    this.#backToBreak(entry);
    const { last, ...sealed } = this.#sealed;
    const gap = this.#gap;
    const isTold = gap ? gap.isToldBy(entry) : bytes === 0;
    if (!isTold || (sealed.first !== undefined && !isNext(entry, last))) {
      this.#fault(`${bytes} bytes that this line tells of are not those before it`);
      return false;
    }
    // a signed line must follow before it is over
    if (gap) {
      gap.faults = [];
      gap.lines = 0;
    }
    // what told of the file before counts for nothing itself: that is to be told of again
    if (this.#told) this.#faults.splice(this.#told.left.from, 0, ...this.#told.faults);
    this.#left = this.#told?.left ?? this.#left;
    this.#told = undefined;
    this.#faults.length = Math.min(this.#faults.length, sealed.faults);
    this.#notes.length = Math.min(this.#notes.length, sealed.notes);
    this.#backToSeal();
    this.#recoveredAt = entry.seq;
    this.#tellRecovered(entry, 'before this line');
    return true;
  }

  /** Signed lines count for nothing, too, where this entry goes on from before a break and tells of all that follows there. */
  #backToBreak(entry: WrittenEntry & RecoveredEntry): void {
    const found = this.#breaks.toldBy(entry);
    if (!found) return;
    this.#sealed = found.sealed;
    this.#gap = found.gap;
    this.#unchecked = undefined;
    this.#breaks.clear();
  }

  /** What followed the last signed line counts for nothing. */
  #backToSeal(): void {
    const { last, entries, first } = this.#sealed;
    this.#chain = last;
    this.#isBroken = false;
    this.#last = first === undefined ? undefined : last;
    this.#before = this.#last;
    this.#entries = entries;
    this.#first = first;
  }

  /** The same for how the file before ended: it stands behind the entry that goes on from there. @returns undefined if it does not */
  #takeLeft(entry: WrittenEntry & RecoveredEntry): true | undefined {
    const left = this.#left;
    if (!this.#isFurther || !this.#before || !isNext(entry, this.#before)) return undefined;
    const isElsewhere = !left && this.#sealed.first === undefined && (this.#gap?.lines ?? 0) === 0;
    if (!isElsewhere && !left?.gap.isToldBy(entry)) return undefined;
    if (left) this.#told = { left, faults: this.#faults.splice(left.from, left.to - left.from) };
    this.#left = undefined;
    this.#tellRecovered(entry, 'at the end of the file before');
    return true;
  }

  #tellRecovered({ bytes, cause }: RecoveredEntry, where: string): void {
    if (cause === 'foreign')
      this.#fault(`the ${bytes} bytes ${where} are none of the agent's: somebody else wrote them`);
    else this.#note(`an agent was cut off while it wrote the ${bytes} bytes ${where}`);
  }

  /** Looks at the last signature that nothing behind it proves. */
  #check(): void {
    const unchecked = this.#unchecked;
    this.#unchecked = undefined;
    if (!unchecked) return;
    const { seq, bytes, file, line } = unchecked;
    if (this.#isSigned(bytes)) {
      this.#covered = seq;
      return;
    }
    const what = entriesText((this.#covered ?? (this.#first ?? 1) - 1) + 1, seq);
    const whose = this.#trusted.length > 0 ? 'the given key' : 'the key that the log names';
    this.#fault(`${what} not proven: this line is not signed by ${whose}`, line, file);
  }

  #isSigned(bytes: Buffer): boolean {
    return isSignedBy(bytes, this.#trusted.length > 0 ? this.#trusted : this.#named);
  }

  #tellGap(gap: Gap): void {
    for (const { line, fault } of gap.faults) this.#fault(FAULTS[fault], line);
    gap.faults = [];
  }

  /** Whether an entry stands where it must. @param isTold it tells of what stands before it. @param bad lines before it that have been told of */
  #checkPlace(entry: WrittenEntry, isTold: boolean, bad: number): void {
    const { type, seq, prev } = entry;
    const last = this.#last;
    const isBeginning = seq === 1 && prev === NO_HEAD.hash;
    // an agent that was cut off in its first line has left what must be told of first
    const isHead = type === 'continue' || isTold || (isBeginning && type === 'start');
    if (!last || !isNext(entry, last)) this.#check();
    if (this.#isEnded && !['start', 'continue', 'recovered', 'unproven'].includes(type))
      this.#fault('this line follows the end of an agent, and none began');
    if (!last) {
      if (isHead && !isBeginning) {
        if (type !== 'continue' || !ALARMS.has(entry.reason))
          this.#note(`begins with entry ${seq}: those before are not in these files`);
      } else if (!isHead)
        this.#fault(`the log begins with entry ${seq}: those before were cut off, or copied elsewhere`);
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
        this.#check();
        this.#addKey(entry.publicKey);
        return;
      case 'continue':
        this.#check();
        this.#addKey(entry.publicKey);
        this.#readContinue(entry);
        return;
      case 'unproven': {
        this.#check();
        const what = entriesText(entry.from, entry.to);
        this.#note(`${what} not known to the agent that begins here: its key did not sign them`);
        return;
      }
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

  /** Entries before it that the agent missed may be in one of these files all the same. */
  #readContinue({ reason, aside, seq }: WrittenEntry & ContinueEntry): void {
    if (!ALARMS.has(reason)) return;
    const isThere = this.#first !== undefined && this.#first < seq && this.#first !== this.#recoveredAt;
    const place = aside === null ? '' : `, which is called ${aside} now`;
    const text = `${entriesText(1, seq - 1).replace(/ (is|are)$/, '')} ${ALARM_TEXTS[reason]}${place}`;
    if (isThere && reason !== 'replaced') this.#note(`${text}: they are here`);
    else this.#fault(text);
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
    this.#unchecked = undefined;
    if (this.#isSigned(line)) {
      this.#covered = seq;
    } else if (!isTrusted && this.#named.length === 0) {
      this.#note('this checkpoint was not checked: no key is known');
    } else {
      this.#fault(`this checkpoint is not signed by the ${isTrusted ? 'given key' : 'key that the log names'}`);
    }
  }

  #fault(text: string, line: number = this.#line, file: string = this.#file): void {
    if (this.#faults.length < MOST_FINDINGS) this.#faults.push({ file, line, text });
  }

  #note(text: string): void {
    if (this.#notes.length < MOST_FINDINGS) this.#notes.push({ file: this.#file, line: this.#line, text });
  }
}
