import { type CheckpointEntry, type Entry, type Head, NO_HEAD } from '../../audit/entry.ts';
import type { Clock } from '../../clock.ts';
import type { AuditSettings } from '../../config/settings.ts';
import { AgentError, errorText } from '../../errors.ts';
import { withResolvers } from '../../promises.ts';
import type { AuditEvent } from './events.ts';
import type { HeadRecord } from './head-record.ts';
import type { Item, LogFiles } from './log-files.ts';
import { Losses } from './losses.ts';
import type { Known } from './place.ts';

/** Milliseconds after which entries that no checkpoint covers get one. */
const CHECKPOINT_AFTER = 60_000;
/** Milliseconds after which what nobody waits for is synced. */
const SYNC_AFTER = 1_000;
/** Milliseconds within which what the state directory knows is on the disk, too. */
const RECORD_AFTER = 1_000;
/** Milliseconds between two words on a log that can't be written. */
const COMPLAINT_INTERVAL = 60_000;
/** Entries that may wait: more do only where the disk hangs. */
const MOST_WAITING = 10_000;

/** What writing a log takes. */
export interface LogOptions {
  readonly path: string;
  readonly files: LogFiles;
  readonly record: Pick<HeadRecord, 'write' | 'sync' | 'close' | 'found'>;
  readonly clock: Clock;
  readonly emit: (event: AuditEvent) => void;
}

export interface WriteOptions {
  /** Settles when it is on the disk; else when the system has it. */
  readonly isDurable?: boolean;
  /** A signature waits for it: it settles when it is on the disk, if the settings ask for that. */
  readonly isSignature?: boolean;
}

/** An entry that is to be written. */
export interface Written {
  /** Its place: known when the next entry is made, or it can't be written. */
  readonly seq?: number | undefined;
  /** The log that its place is in: another one may be written by the time of the next entry. */
  readonly log?: string | undefined;
  /** @throws AgentError ERR_AUDIT_WRITE, unless it is to go on then. Nobody needs to wait for it. */
  readonly done: Promise<void>;
}

/** An entry that is to be written, and who waits for that. */
interface Waiting extends Item, Required<WriteOptions> {
  readonly resolve: () => void;
  readonly reject: (error: AgentError) => void;
}

type Task = 'sync' | 'record' | 'checkpoint';

/**
 * Writes an audit log: one after the other, each turn all that waits by then, with one sync for all. What can't be written is
 * counted, and an entry tells of it as soon as there is room.
 */
export class AuditLog {
  readonly #options: LogOptions;
  #settings: AuditSettings;
  #waiting: Waiting[] = [];
  #isSyncDue = false;
  #working: Promise<void> | undefined;
  /** While the log can't be written, and until an entry tells of what that cost. */
  #losses: Losses | undefined;
  /** Since the log was opened. */
  #lost = { entries: 0, signatures: 0 };
  #isTellDue = false;
  #complainedAt: number | undefined;
  /** What the state directory knows, and whether it does for sure. */
  #recorded = '';
  #isRecordUnsynced = false;
  #recording: Promise<void> = Promise.resolve();
  #toldCheckpoint: Head;
  readonly #timers = new Map<Task, () => void>();
  #isClosed = false;

  constructor(settings: AuditSettings, options: LogOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#toldCheckpoint = options.files.checkpoint;
    const lost = options.record.found?.lost;
    if (lost) this.#losses = new Losses(lost);
  }

  get path(): string {
    return this.#options.path;
  }

  /** Where it ends: another log may go on from there. */
  get known(): Known {
    return this.#options.files.known;
  }

  /** The last entries could not be written. */
  get isFailing(): boolean {
    return this.#losses !== undefined;
  }

  get settings(): AuditSettings {
    return this.#settings;
  }

  /** For the same file. */
  set settings(settings: AuditSettings) {
    this.#settings = settings;
  }

  /** Writes an entry behind all others. @param makeIn called with the log that it is for when its turn comes */
  write(makeIn: (log: string) => Entry, { isDurable = false, isSignature = false }: WriteOptions = {}): Written {
    const { promise: done, resolve, reject } = withResolvers();
    done.catch(() => undefined);
    const { log } = this.#options.files;
    const make = (): Entry => makeIn(log);
    const waiting: Waiting & Written = { make, log, isDurable, isSignature, done, resolve, reject };
    if (this.#isClosed || this.#waiting.length >= MOST_WAITING) {
      this.#lose([waiting], new Error(this.#isClosed ? 'it is closed' : 'the disk does not answer'))();
      void this.#remember();
      return waiting;
    }
    this.#waiting.push(waiting);
    this.#go();
    return waiting;
  }

  /** Writes that an agent begins. Where that fails, the log is told of as any that can't be written. Never throws. */
  async begin(): Promise<void> {
    const { files, emit, path } = this.#options;
    // whatever stands behind the last entry from now on may be ours
    await this.#remember(true);
    await this.checkpoint('start');
    emit({ type: 'audit-opened', file: path, sequence: files.head.seq });
  }

  /** Signs all that was written so far; it is on the disk then, or told of as failed. */
  async checkpoint(reason: CheckpointEntry['reason']): Promise<void> {
    await this.write(() => ({ type: 'checkpoint', reason }), { isDurable: true }).done.catch(() => undefined);
  }

  /**
   * Another log is to go on from where this one ends: nothing is written any more that nobody asks for, such as that there is room
   * again. Never throws.
   */
  async pause(): Promise<void> {
    await this.#working;
    this.#callOffTimers();
    await this.#remember(true);
  }

  /** It goes on itself. */
  resume(): void {
    this.#askForSync();
  }

  #callOffTimers(): void {
    for (const callOff of this.#timers.values()) callOff();
    this.#timers.clear();
  }

  /** Writes all that waits, and that this is the end unless that was said, and closes the file. Never throws. */
  async close(isEnded = false): Promise<void> {
    const { files, record, emit, path } = this.#options;
    const end = isEnded ? undefined : this.checkpoint('end');
    this.#isClosed = true;
    await end;
    await this.#working;
    this.#callOffTimers();
    await files.sync().catch(() => undefined);
    await this.#remember(true, true);
    await files.close().catch(() => undefined);
    await record.close().catch(() => undefined);
    emit({ type: 'audit-closed', file: path, sequence: files.head.seq });
  }

  /** Once, unless it is to be done already. */
  #later(task: Task, milliseconds: number, work: () => void): void {
    if (this.#timers.has(task) || this.#isClosed) return;
    const callOff = this.#options.clock.after(milliseconds, () => {
      this.#timers.delete(task);
      work();
    });
    this.#timers.set(task, callOff);
  }

  #go(): void {
    this.#working ??= this.#work();
  }

  /** Turn by turn, until nothing is to be done. Never throws. */
  async #work(): Promise<void> {
    while (this.#waiting.length > 0 || this.#isSyncDue || this.#isTellDue) {
      const turn = this.#waiting;
      const isSyncDue = this.#isSyncDue;
      const told = this.#losses?.item();
      this.#waiting = [];
      this.#isSyncDue = false;
      this.#isTellDue = false;
      try {
        await this.#take([...(told ? [told] : []), ...turn], isSyncDue || turn.some(this.#waitsForSync));
        if (told) this.#losses?.told(told);
        for (const { resolve } of turn) resolve();
        this.#works();
      } catch (error) {
        await this.#options.files.settle().catch(() => undefined);
        if (told && this.#isPlaced(told)) this.#losses?.told(told);
        const tell = this.#lose(turn, error);
        await this.#remember();
        tell();
      }
      this.#tellProgress();
    }
    // in the same turn in which nothing was left: what comes now begins anew
    this.#working = undefined;
  }

  async #take(items: readonly Item[], isSyncDue: boolean): Promise<void> {
    const { files } = this.#options;
    if (items.length > 0) await files.append(items);
    if (isSyncDue || files.hasSyncFailed) await this.#sync();
    else this.#syncLater();
    if (files.uncovered > 0) this.#later('checkpoint', CHECKPOINT_AFTER, () => void this.checkpoint('interval'));
  }

  readonly #waitsForSync = ({ isDurable, isSignature }: Waiting): boolean =>
    isDurable || (isSignature && this.#settings.sync === 'each');

  #syncLater(): void {
    if (this.#options.files.isUnsynced) this.#later('sync', SYNC_AFTER, this.#askForSync);
  }

  /** Tells of what was lost, too. */
  readonly #askForSync = (): void => {
    this.#isSyncDue = true;
    this.#go();
  };

  async #sync(): Promise<void> {
    await this.#options.files.sync();
    await this.#remember();
  }

  /**
   * Has the state directory know what is on the disk, and what is lost: so that no signature leaves whose entry could be cut off
   * unnoticed after this process is killed. Never throws.
   * @param isDurable after the machine loses its power, too
   */
  async remember(isDurable: boolean): Promise<void> {
    await this.#remember(isDurable);
  }

  /** One after the other: the last one stays. @param isClosing nothing is written any more */
  async #remember(isDurable = false, isClosing = false): Promise<void> {
    this.#recording = this.#recording.then(() => this.#record(isDurable, isClosing));
    await this.#recording;
  }

  async #record(isDurable: boolean, isClosing: boolean): Promise<void> {
    const { record, files, emit, path } = this.#options;
    const { synced: mark = { ...NO_HEAD, number: 1, end: 0 }, log } = files;
    const isClosed = isClosing && files.isClean && !files.isUnsynced;
    const recorded = { ...mark, log, file: path, isClosed, lost: this.#losses?.untold ?? null };
    const text = JSON.stringify(recorded);
    try {
      if (text !== this.#recorded) {
        await record.write(recorded);
        this.#recorded = text;
        this.#isRecordUnsynced = true;
      }
      if (!this.#isRecordUnsynced) return;
      if (!isDurable) {
        this.#later('record', RECORD_AFTER, () => void this.#remember(true));
        return;
      }
      await record.sync();
      this.#isRecordUnsynced = false;
    } catch (error) {
      this.#recorded = '';
      emit({ type: 'audit-not-recorded', file: path, error: errorText(error) });
    }
  }

  #tellProgress(): void {
    const { files, emit, path } = this.#options;
    const { checkpoint } = files;
    const { entries: lostEntries, signatures: lostSignatures } = this.#lost;
    emit({ type: 'audit-written', sequence: files.head.seq, lostEntries, lostSignatures });
    if (checkpoint.seq <= this.#toldCheckpoint.seq || checkpoint.seq > (files.synced?.seq ?? 0)) return;
    this.#toldCheckpoint = checkpoint;
    emit({ type: 'audit-checkpoint', file: path, sequence: checkpoint.seq, hash: checkpoint.hash });
  }

  #works(): void {
    const losses = this.#losses;
    if (!losses) return;
    this.#isTellDue = losses.areUntold;
    if (this.#isTellDue) return;
    this.#losses = undefined;
    this.#complainedAt = undefined;
    void this.#remember();
    this.#options.emit({ type: 'audit-works', file: this.path, ...losses.all });
  }

  /** What was to be written and is not in the file, or need not be on the disk. @returns tells those that wait */
  #lose(turn: readonly Waiting[], error: unknown): () => void {
    const leaves = this.#settings.onFailure === 'continue';
    const losses = (this.#losses ??= new Losses());
    losses.error = error;
    const isLost = turn.filter((waiting) => !this.#isPlaced(waiting));
    const signatures = leaves ? isLost.filter(({ isSignature }) => isSignature).length : 0;
    losses.add({ entries: isLost.length, signatures });
    const { entries: before, signatures: left } = this.#lost;
    this.#lost = { entries: before + isLost.length, signatures: left + signatures };
    for (const waiting of isLost) waiting.seq = undefined;
    this.#syncLater();
    this.#complain(losses);
    return () => {
      for (const { resolve, reject } of turn) {
        if (leaves) resolve();
        else reject(new AgentError('ERR_AUDIT_WRITE', `the audit log can't be written: ${errorText(error)}`));
      }
    };
  }

  #isPlaced({ seq }: Item): boolean {
    return seq !== undefined && seq <= this.#options.files.head.seq;
  }

  #complain({ all, error }: Losses): void {
    const now = this.#options.clock.now();
    if (this.#complainedAt !== undefined && now - this.#complainedAt < COMPLAINT_INTERVAL) return;
    this.#complainedAt = now;
    const refuses = this.#settings.onFailure === 'refuse';
    this.#options.emit({ type: 'audit-failed', file: this.path, error: errorText(error), ...all, refuses });
  }
}
