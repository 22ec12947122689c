import type { Entry } from '../../audit/entry.ts';
import type { AuditSettings } from '../../config/settings.ts';
import { errorText } from '../../errors.ts';
import type { WriteOptions, Written } from './audit-log.ts';
import type { AuditSurroundings, OpenLog } from './open-log.ts';
import { type Asking, type EntryWriter, RequestRecord } from './request-record.ts';

/** The agent's audit log, if it keeps one: which one that is may change while it runs. */
export class Audit implements EntryWriter {
  readonly #around: AuditSurroundings;
  #settings: AuditSettings | undefined;
  /** The state directory of what is open. */
  #stateDirectory: string | undefined;
  #open: OpenLog | undefined;
  /** Another log is about to take its place: what is to be written waits for it. */
  #changing: Promise<void> | undefined;

  constructor(around: AuditSurroundings) {
    this.#around = around;
  }

  /**
   * Opens the first one, if there is to be one.
   * @throws AgentError ERR_AUDIT_FILE, ERR_AUDIT_IN_USE, ERR_STATE_DIRECTORY
   */
  async open(settings: AuditSettings | undefined, stateDirectory: () => string): Promise<void> {
    if (settings) {
      this.#stateDirectory = stateDirectory();
      this.#open = await this.#openLog(settings, this.#stateDirectory);
    }
    this.#settings = settings;
  }

  /** What it takes is loaded when there is to be one: a start without it need not wait for that. */
  async #openLog(settings: AuditSettings, stateDirectory: string, present?: OpenLog): Promise<OpenLog> {
    const { openLog } = await import('./open-log.ts');
    return await openLog(settings, stateDirectory, this.#around, present?.log.known);
  }

  /** There is one. */
  get isKept(): boolean {
    return this.#open !== undefined;
  }

  get isFailing(): boolean {
    return this.#open?.log.isFailing === true;
  }

  /** What is to be written of a request; undefined if nothing is. */
  record(asking: Asking): RequestRecord | undefined {
    return this.#open || this.#changing ? new RequestRecord(asking, this) : undefined;
  }

  write(make: (log: string) => Entry, options?: WriteOptions): Written {
    if (!this.#changing) return this.#open?.log.write(make, options) ?? { done: Promise.resolve() };
    let written: Written | undefined;
    const done = this.#changing.then(() => {
      written = this.write(make, options);
      return written.done;
    });
    done.catch(() => undefined);
    return {
      get seq() {
        return written?.seq;
      },
      get log() {
        return written?.log;
      },
      done,
    };
  }

  /** Takes other settings. A log that can't be used is told of, and all stays as it is. Never throws. */
  async apply(settings: AuditSettings | undefined, stateDirectory: () => string): Promise<void> {
    let place: string | undefined;
    try {
      place = settings && stateDirectory();
    } catch (error) {
      this.#keep(error);
      return;
    }
    const isSameFile = this.#settings?.file === settings?.file;
    if (isSameFile && place === this.#stateDirectory) {
      if (this.#open && settings) this.#open.log.settings = settings;
      this.#settings = settings;
      return;
    }
    const change =
      isSameFile && settings && place !== undefined
        ? this.#changeState(settings, place)
        : this.#change(settings, place);
    this.#changing = change.finally(() => {
      this.#changing = undefined;
    });
    await this.#changing;
  }

  async #change(settings: AuditSettings | undefined, stateDirectory: string | undefined): Promise<void> {
    const present = this.#open;
    try {
      let next: OpenLog | undefined;
      if (settings && stateDirectory !== undefined) {
        // a log that is new goes on from there; if it can't be used, this one goes on
        await present?.log.checkpoint('rotate');
        await present?.log.pause();
        next = await this.#openLog(settings, stateDirectory, present);
      }
      this.#open = next;
      this.#settings = settings;
      this.#stateDirectory = stateDirectory;
    } catch (error) {
      present?.log.resume();
      this.#keep(error);
      return;
    }
    await present?.close(this.#open?.log.known.log === present.log.known.log);
  }

  /** The same file with another state directory, where another key lies: there is an end, and a start with that key. */
  async #changeState(settings: AuditSettings, stateDirectory: string): Promise<void> {
    const present = this.#open;
    try {
      const { prepareState } = await import('./open-log.ts');
      await prepareState(stateDirectory, this.#around.uid);
    } catch (error) {
      this.#keep(error);
      return;
    }
    await present?.close();
    try {
      this.#open = await this.#openLog(settings, stateDirectory, present);
      this.#settings = settings;
      this.#stateDirectory = stateDirectory;
    } catch (error) {
      this.#keep(error);
      const old = this.#settings && this.#stateDirectory;
      if (old === undefined || !this.#settings) return;
      // one that is closed writes nothing, and says so: better no signature than one without its entry
      this.#open = await this.#openLog(this.#settings, old).catch(() => present);
    }
  }

  /** What is there stays. */
  #keep(error: unknown): void {
    this.#around.emit({ type: 'audit-kept', file: this.#settings?.file, error: errorText(error) });
  }

  /** Writes that this is the end. Never throws. */
  async close(): Promise<void> {
    await this.#changing;
    const present = this.#open;
    this.#open = undefined;
    await present?.close();
  }
}
