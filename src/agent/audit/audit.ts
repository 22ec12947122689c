import { basename, dirname, join, resolve } from 'node:path';
import type { Entry } from '../../audit/entry.ts';
import type { Clock } from '../../clock.ts';
import type { AuditSettings } from '../../config/settings.ts';
import { type FileLock, tryLockFile } from '../../disk/file-lock.ts';
import { safeFolder, safeStateFolder } from '../../disk/safe-folder.ts';
import { AgentError, errorText } from '../../errors.ts';
import { auditError } from './audit-error.ts';
import { AuditLog, type WriteOptions, type Written } from './audit-log.ts';
import type { AuditEvent } from './events.ts';
import { HeadRecord, readRecords } from './head-record.ts';
import { LogFiles } from './log-files.ts';
import type { Known } from './place.ts';
import { type Asking, type EntryWriter, RequestRecord } from './request-record.ts';
import { signingKey } from './signing-key.ts';

/** What keeping a log takes of the process. */
export interface AuditSurroundings {
  readonly clock: Clock;
  readonly emit: (event: AuditEvent) => void;
  readonly pid: number;
  readonly uid: number | undefined;
  readonly release: string;
}

/** A log that this process has to itself. */
interface OpenLog {
  readonly log: AuditLog;
  readonly lock: FileLock;
}

/** Where a log lies, without links. @throws AgentError ERR_AUDIT_FILE */
export async function logPath(file: string, uid: number | undefined): Promise<string> {
  const given = resolve(file);
  const options = { uid, create: false, name: 'the folder of the audit log', fail: auditError };
  const folder = await safeFolder(dirname(given), options);
  if (folder === undefined)
    throw auditError(`there is no folder ${dirname(given)} for the audit log`, undefined, 'make it');
  return join(folder, basename(given));
}

/** Without the hint, which is about the state directory. */
function messageOf(error: unknown): string {
  return error instanceof AgentError ? error.message : errorText(error);
}

/** The kernel lets go of it when this process ends, however that comes about. @throws AgentError ERR_AUDIT_* */
async function lockLog(path: string, { pid, uid }: AuditSurroundings): Promise<FileLock> {
  const place = join(dirname(path), `.${basename(path)}.lock`);
  const taken = await tryLockFile(place, { pid, uid }).catch((error: unknown) => {
    throw new AgentError('ERR_AUDIT_FILE', `can't lock the audit log: ${messageOf(error)}`, { cause: error });
  });
  if ('release' in taken) return taken;
  const who = taken.holder === undefined ? 'another process' : `process ${taken.holder}`;
  throw new AgentError('ERR_AUDIT_IN_USE', `${who} writes the audit log ${path}`, { hint: 'give each agent its own' });
}

async function openLog(
  settings: AuditSettings,
  stateDirectory: string,
  around: AuditSurroundings,
  present: Known | undefined,
): Promise<OpenLog> {
  const { clock, emit, pid, uid, release } = around;
  const path = await logPath(settings.file, uid);
  const folder = (await safeStateFolder(stateDirectory, uid, true)) ?? stateDirectory;
  const lock = await lockLog(path, around);
  let record: HeadRecord | undefined;
  try {
    const key = await signingKey(folder, uid);
    record = await HeadRecord.open(folder, path, uid);
    const rotation = (): { size: number | undefined; age: number | undefined } => {
      const { rotateSize: size, rotateAge: age } = log.settings;
      return { size, age };
    };
    const own = record.found;
    const others = (await readRecords(folder, uid)).filter(({ file }) => file !== path);
    const files = await LogFiles.open({
      ...{ path, uid, key, before: { own, others, present }, rotation, now: () => clock.now(), emit },
      start: { type: 'start', release, pid, user: uid ?? null },
      onLeft: () => log.remember(true),
    });
    const log = new AuditLog(settings, { path, files, record, clock, emit });
    await log.begin();
    return { log, lock };
  } catch (error) {
    await record?.close();
    await lock.release();
    throw error;
  }
}

async function closeLog({ log, lock }: OpenLog, isEnded = false): Promise<void> {
  await log.close(isEnded);
  await lock.release();
}

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
      this.#open = await openLog(settings, this.#stateDirectory, this.#around, undefined);
    }
    this.#settings = settings;
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

  write(make: () => Entry, options?: WriteOptions): Written {
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
        await present?.log.remember(true);
        next = await openLog(settings, stateDirectory, this.#around, present?.log.known);
      }
      this.#open = next;
      this.#settings = settings;
      this.#stateDirectory = stateDirectory;
    } catch (error) {
      this.#keep(error);
      return;
    }
    if (present) await closeLog(present, this.#open?.log.known.log === present.log.known.log);
  }

  /** The same file with another state directory, where another key lies: there is an end, and a start with that key. */
  async #changeState(settings: AuditSettings, stateDirectory: string): Promise<void> {
    const present = this.#open;
    const { uid } = this.#around;
    try {
      const folder = (await safeStateFolder(stateDirectory, uid, true)) ?? stateDirectory;
      await signingKey(folder, uid);
    } catch (error) {
      this.#keep(error);
      return;
    }
    if (present) await closeLog(present);
    try {
      this.#open = await openLog(settings, stateDirectory, this.#around, present?.log.known);
      this.#settings = settings;
      this.#stateDirectory = stateDirectory;
    } catch (error) {
      this.#keep(error);
      const old = this.#settings && this.#stateDirectory;
      if (old === undefined || !this.#settings) return;
      // one that is closed writes nothing, and says so: better no signature than one without its entry
      this.#open = await openLog(this.#settings, old, this.#around, undefined).catch(() => present);
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
    if (present) await closeLog(present);
  }
}
