import { randomBytes, type KeyObject } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  ALARMS,
  type ContinueReason,
  type Entry,
  type Head,
  type LogNamed,
  NO_HEAD,
  type RecoveredEntry,
} from '../../audit/entry.ts';
import type { WrittenEntry } from '../../audit/line.ts';
import { auditError } from './audit-error.ts';
import type { AuditEvent } from './events.ts';
import type { Last, Mark, Recorded } from './head-record.ts';
import {
  isFree,
  isNoneOfOurs,
  isRotatedName,
  type LogHandle,
  openToRead,
  rotatedName,
  siblingsOf,
} from './log-file.ts';
import {
  beginsAsOurs,
  beginsWithHole,
  type Ending,
  endingBehind,
  endsAt,
  firstEntry,
  follow,
  lastSealed,
  type Trail,
} from './trail.ts';

/** The last entry that an agent knows of a log: in memory while it runs, else in the state directory. */
export interface Known extends Mark {
  readonly log: string;
  /** The path at which that log was written then. */
  readonly file: string;
  /** Nothing stood behind that entry, and no agent wrote. */
  readonly isClosed: boolean;
}

/** What was known of a log before its file is looked at. */
export interface Before {
  /** Of the log that was written at this path. */
  readonly own: Known | undefined;
  /** Of others. */
  readonly others: readonly Known[];
  /** What the file at this path was begun behind, if it need not have an entry. */
  readonly behind?: Known | undefined;
  /** The log that is written until now, elsewhere: an empty file goes on from there. */
  readonly present?: Known | undefined;
  /** How the file before was left, if this process wrote it. */
  readonly left?: { readonly reason: ContinueReason; readonly after: string | null } | undefined;
}

/** What who writes a file of a log knows: of that file, and of the one that the last entry stands in, if that is another. */
export function knownFrom({ elsewhere, ...last }: Omit<Recorded, 'lost'>): Before & { readonly own: Known } {
  if (!elsewhere) return { own: last, others: [] };
  const { log, file, isClosed } = last;
  const own = { ...NO_HEAD, number: 1, end: 0, log, file, isClosed };
  const behind = { ...last, ...elsewhere };
  return { own, others: [behind], behind };
}

/** What the state directory knows, for a log that is to be written at a path. */
export function knownBefore(path: string, records: readonly Recorded[]): Before {
  const known = records.map(knownFrom);
  const { own, behind } = known.find((each) => each.own.file === path) ?? {};
  // what is known of a file by itself comes first: it is newer, where both know of the same entry
  const others = known.flatMap((each) => (each.own === own ? [] : [each.own]));
  return { own, others: [...others, ...known.flatMap((each) => each.others)], behind };
}

export interface PlaceOptions {
  readonly path: string;
  readonly key: KeyObject;
  /** SubjectPublicKeyInfo in base64. */
  readonly publicKey: string;
  readonly open: () => Promise<LogHandle>;
  readonly emit: (event: AuditEvent) => void;
}

/** Where a log goes on. */
export interface Place extends Ending {
  readonly handle: LogHandle;
  readonly log: string;
  readonly number: number;
  readonly head: Head;
  /** Where the head is known to stand; undefined if it is not known to any file. */
  readonly mark: Last | undefined;
  /** The last entry that is known to be on the disk, or to be gone. */
  readonly synced: Last | undefined;
  /** Where the last entry ends in this file. */
  readonly end: number;
  /** When its first entry was made: milliseconds since 1970. */
  readonly began: number;
  /** What must be written before all else. */
  readonly front: readonly Entry[];
}

const WHOLE: Ending = { length: 0, lacksEnd: false, torn: undefined };
const UNKNOWN = { mark: undefined, synced: undefined } as const;

/** The newest that is known of the same log. */
function newest(known: readonly (Known | undefined)[], log: string | undefined): Known | undefined {
  const same = known.filter((each) => each !== undefined && each.log === log);
  return same.reduce((best, each) => ((each?.seq ?? 0) > (best?.seq ?? -1) ? each : best), undefined);
}

/** A trail, and the number of the file that it is in. */
type Numbered = Trail & { readonly number: number };

/** Where the chain goes on in this file, if it has the last entry that is known, or follows it from its first line on. */
async function trailIn(handle: LogHandle, known: Known, key: KeyObject): Promise<Numbered | undefined> {
  const { seq, hash, end, number } = known;
  const head = { seq, hash };
  if (end > 0 && (await endsAt(handle, known, end)))
    return { ...((await follow(handle, head, end, key)) ?? { head, end }), number };
  const trail = await follow(handle, head, 0, key);
  if (trail) return { ...trail, number: seq === 0 ? number : number + 1 };
  // nothing was ever written: whatever stands there counts for nothing
  return seq === 0 ? { head, end: 0, number } : undefined;
}

/** What another file has of the chain, and what stands behind that. */
interface Left {
  readonly trail: Numbered;
  readonly ending: Ending | undefined;
}

/**
 * The same in another file: looked at only if it begins as it must, for there may be many. It is on the disk then: the chain goes
 * on elsewhere.
 * @param from the first entry that it may begin with
 */
async function leftIn(path: string, known: Known, key: KeyObject, from = 1): Promise<Left | undefined> {
  const file = await openToRead(path);
  if (!file) return undefined;
  try {
    const first = await firstEntry(file);
    const isDue = first && first.seq >= from && first.seq <= known.seq + 1;
    // the first file of another log follows no entry either
    const isOther = known.seq === 0 && !(first && 'log' in first && first.log === known.log);
    const trail = isDue && !isOther ? await trailIn(file, known, key) : undefined;
    if (!trail || trail.head.seq === 0) return undefined;
    await file.datasync();
    return { trail, ending: await endingBehind(file, trail.end, true) };
  } finally {
    await file.close();
  }
}

/** What a further file follows. */
interface Found {
  readonly reason: ContinueReason;
  readonly after: string | null;
  readonly left: Left | undefined;
}

function recoveredOf({ torn }: Ending, isClosed: boolean): RecoveredEntry[] {
  return torn ? [{ type: 'recovered', ...torn, cause: isClosed ? 'foreign' : 'cut-off' }] : [];
}

/** Finds where a log goes on. Nothing that it is told is known gives way to what a file says. */
class Placing {
  readonly #options: PlaceOptions;
  readonly #before: Before;

  constructor(options: PlaceOptions, before: Before) {
    this.#options = options;
    this.#before = before;
  }

  async place(handle: LogHandle): Promise<Place> {
    const { own, others, present } = this.#before;
    const { size } = await handle.stat();
    const first = size > 0 ? await firstEntry(handle) : undefined;
    const named = first && 'log' in first ? first.log : undefined;
    const recorded = newest([own, present, ...others], own?.log ?? named);
    const known = recorded && (await this.#last(handle, recorded));
    if (size === 0) return await this.#begin(handle, known ?? present);
    if (!known) return await this.#adopt(handle, first);
    const isElsewhere = known.file !== this.#options.path;
    const trail = await trailIn(handle, known, this.#options.key);
    const ending = trail && (await endingBehind(handle, trail.end));
    if (ending) return this.#goOn(handle, known, trail, ending, first?.time);
    if (isElsewhere && (await this.#isAsLeft(handle, named))) return await this.#setAside(handle, known, 'switched');
    const blank = await this.#endingOfBlank(handle, known);
    return blank ? await this.#beginBehind(handle, known, blank) : await this.#setAside(handle, known, 'replaced');
  }

  /** What another file of the log has behind the last entry that is known: an agent that is killed need not have told of it. */
  async #last(handle: LogHandle, known: Known): Promise<Known> {
    const { path, key } = this.#options;
    // a closed one has no more than is known: it need not be there any more, nor the disk that it was on
    const others = this.#before.others.filter(
      ({ log, file, isClosed }) => !isClosed && log === known.log && file !== known.file && file !== path,
    );
    // most logs have none: their file is read once
    const here = others.length > 0 ? await trailIn(handle, known, key) : undefined;
    if (here && here.head.seq > known.seq) return known;
    let last = known;
    for (const { log, file, isClosed } of others) {
      const { trail } = (await this.#leftAt(file, known, known.seq + 1)) ?? {};
      if (trail && trail.head.seq > last.seq)
        last = { ...trail.head, end: trail.end, number: trail.number, log, file, isClosed };
    }
    return last;
  }

  /** What is known of the file stands there, or what an agent wrote and need not have told of; or nothing is known of it. */
  async #isAsLeft(handle: LogHandle, named: string | undefined): Promise<boolean> {
    const { own, behind } = this.#before;
    if (!own) return true;
    // a copy of the file before is not what was begun behind it, nor is another log's first file
    const left = own.seq > 0 ? own : { ...(behind ?? own), end: 0 };
    const trail = left.seq > 0 || named === own.log ? await trailIn(handle, left, this.#options.key) : undefined;
    return trail !== undefined && trail.head.seq > 0;
  }

  /**
   * How a file ends that was begun, and has no line that counts: an agent was cut off in its first ones, or a power cut lost
   * those, and kept what it wrote behind.
   */
  async #endingOfBlank(handle: LogHandle, known: Known): Promise<Ending | undefined> {
    const { seq } = known;
    const sealed = await lastSealed(handle, this.#options.key);
    const isCut =
      !this.#isClosed(known) && (sealed ? sealed.isOurs && sealed.head.seq > seq : await beginsWithHole(handle));
    const isBlank = isCut || (!sealed && (await beginsAsOurs(handle)));
    return isBlank ? await endingBehind(handle, 0) : undefined;
  }

  async #beginBehind(handle: LogHandle, known: Known, ending: Ending): Promise<Place> {
    const place = await this.#begin(handle, known);
    return { ...place, ...ending, front: [...recoveredOf(ending, this.#isClosed(known)), ...place.front] };
  }

  /** No agent was writing this file. What is known of another says nothing of that. */
  #isClosed(known: Known): boolean {
    return (this.#before.own ?? known).isClosed;
  }

  /** In the same file. */
  #goOn(handle: LogHandle, known: Known, trail: Numbered, ending: Ending, time: string | undefined): Place {
    const { head, end, number } = trail;
    const began = time === undefined ? Date.now() : Date.parse(time);
    const mark = head.seq > 0 ? { ...head, number, end } : undefined;
    const { seq, hash, file, isClosed } = known;
    const last = { seq, hash, number: known.number, end: known.end };
    const isHere = file === this.#options.path;
    const synced = seq > 0 ? { ...last, elsewhere: isHere ? undefined : { file, isClosed } } : undefined;
    const front = recoveredOf(ending, this.#isClosed(known));
    return { ...ending, handle, log: known.log, number, head, mark, synced, end, began, front };
  }

  /** A file of which nothing is known. */
  async #adopt(handle: LogHandle, first: WrittenEntry | undefined): Promise<Place> {
    const { path, key } = this.#options;
    const found = await lastSealed(handle, key);
    const { head, end } = found ?? { head: NO_HEAD, end: 0 };
    const ending = await endingBehind(handle, end);
    if (!ending || (!found && !(await beginsAsOurs(handle))))
      throw auditError(`${path} is not an audit log`, undefined, 'name a file of its own');
    const named = first && 'log' in first ? first : undefined;
    const log = (found && named?.log) ?? newLog();
    const number = named && named.file <= MOST_FILES ? named.file : 1;
    const known = { ...head, end, number, log, file: path, isClosed: false };
    const place = this.#goOn(handle, known, { head, end, number }, ending, first?.time);
    if (!found || found.isOurs) return place;
    return { ...place, front: [...place.front, { type: 'unproven', from: first?.seq ?? 1, to: head.seq }] };
  }

  /** @param aside what the file was called that stood in its place */
  async #begin(handle: LogHandle, known: Known | undefined, aside?: string, reason?: ContinueReason): Promise<Place> {
    const { path, publicKey, emit } = this.#options;
    const empty = { ...WHOLE, handle, end: 0, began: Date.now() };
    const before = known && (await this.#findBefore(known, reason));
    if (!known || !before || (known.seq === 0 && !before.left))
      return { ...empty, log: known?.log ?? newLog(), number: 1, head: NO_HEAD, ...UNKNOWN, front: [] };
    const { seq, hash, log } = known;
    const { trail, ending = WHOLE } = before.left ?? {};
    const { head, end, number: last } = trail ?? { head: { seq, hash }, end: known.end, number: known.number };
    const number = last + 1;
    const about: LogNamed = { log, publicKey, file: number };
    const after = before.reason === 'switched' ? known.file : before.after;
    const entry = { type: 'continue', ...about, reason: before.reason, after, aside: aside ?? null } as const;
    if (ALARMS.has(before.reason))
      emit({ type: 'audit-missing', file: path, until: head.seq, change: before.reason, aside });
    // this file may never get an entry; the one before may have had the same path
    const { file, isClosed } = known;
    const mark = { ...head, number: last, end, elsewhere: { file, isClosed } };
    const front = [entry, ...recoveredOf(ending, isClosed)];
    return { ...empty, log, number, head, mark, synced: mark, front };
  }

  async #findBefore(known: Known, reason?: ContinueReason): Promise<Found> {
    const { path } = this.#options;
    const { left } = this.#before;
    if (reason !== undefined && reason !== 'switched') return { reason, after: null, left: undefined };
    if (left) return { ...left, left: undefined };
    if (known.file === path) return await this.#findSibling(path, known);
    return { reason: 'switched', after: known.file, left: await this.#leftAt(known.file, known) };
  }

  /** What a file of another path has, which may have another name by now, and its folder be gone. */
  async #leftAt(file: string, known: Known, from = 1): Promise<Left | undefined> {
    try {
      const there = await leftIn(file, known, this.#options.key, from);
      return there ?? (await this.#findSibling(file, known, from)).left;
    } catch (error) {
      if (isNoneOfOurs(error)) return undefined;
      throw error;
    }
  }

  /** A file that stood at a path, and has another name by now. */
  async #findSibling(file: string, known: Known, from = 1): Promise<Found> {
    let found: Found = { reason: 'missing', after: null, left: undefined };
    for (const name of await siblingsOf(file)) {
      const there = await leftIn(join(dirname(file), name), known, this.#options.key, from);
      if (!there || there.trail.head.seq <= (found.left?.trail.head.seq ?? 0)) continue;
      found = { reason: isRotatedName(file, name) ? 'rotated' : 'moved', after: name, left: there };
    }
    return found;
  }

  /** What stands in the log's place is not what the agent left there, or no longer where the chain goes on. */
  async #setAside(handle: LogHandle, known: Known, reason: ContinueReason): Promise<Place> {
    const { path, open } = this.#options;
    await handle.close();
    const aside = await freeName(path, (this.#before.own ?? known).number);
    await rename(path, aside);
    const next = await open();
    try {
      if ((await next.stat()).size > 0) throw auditError(`another program writes ${path}`);
      return await this.#begin(next, known, basename(aside), reason);
    } catch (error) {
      await next.close();
      throw error;
    }
  }
}

/** More than any log has: what says so is not ours. */
const MOST_FILES = 999_999_999;

const newLog = (): string => randomBytes(16).toString('hex');

/** A name for a file that is no longer written. */
export async function freeName(path: string, from: number): Promise<string> {
  let number = Math.max(1, from);
  while (!(await isFree(rotatedName(path, number)))) number += 1;
  return rotatedName(path, number);
}

/**
 * Opens a log's file and finds where the log goes on: behind the last entry that is known, if the file has it and as far as this
 * key signed what follows; else in a further file, which says why.
 * @throws AgentError ERR_AUDIT_FILE
 */
export async function placeLog(options: PlaceOptions, before: Before): Promise<Place> {
  const handle = await options.open();
  try {
    return await new Placing(options, before).place(handle);
  } catch (error) {
    await handle.close().catch(() => undefined);
    throw auditError(`can't use the audit log ${options.path}`, error);
  }
}
