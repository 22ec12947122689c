import { basename, dirname, join, resolve } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { AuditSettings } from '../../config/settings.ts';
import { type FileLock, tryLockFile } from '../../disk/file-lock.ts';
import { safeFolder, safeStateFolder } from '../../disk/safe-folder.ts';
import { AgentError, errorText } from '../../errors.ts';
import { auditError } from './audit-error.ts';
import { AuditLog } from './audit-log.ts';
import type { AuditEvent } from './events.ts';
import { HeadRecord, readRecords } from './head-record.ts';
import { LogFiles } from './log-files.ts';
import { type Known, knownBefore } from './place.ts';
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
export interface OpenLog {
  readonly log: AuditLog;
  /**
   * Closes it, and lets go of it. Never throws.
   * @param isEnded that this is its end has been written
   */
  readonly close: (isEnded?: boolean) => Promise<void>;
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

async function stateFolder(stateDirectory: string, uid: number | undefined): Promise<string> {
  return (await safeStateFolder(stateDirectory, uid, true)) ?? stateDirectory;
}

/** Makes the agent's own key there, unless there is one. @throws AgentError ERR_AUDIT_*, ERR_STATE_DIRECTORY */
export async function prepareState(stateDirectory: string, uid: number | undefined): Promise<void> {
  await signingKey(await stateFolder(stateDirectory, uid), uid);
}

/**
 * Opens a log, or makes it, and has it to itself.
 * @param present the log that this process has open, where this one goes on from it
 * @throws AgentError ERR_AUDIT_FILE, ERR_AUDIT_IN_USE, ERR_STATE_DIRECTORY
 */
export async function openLog(
  settings: AuditSettings,
  stateDirectory: string,
  around: AuditSurroundings,
  present: Known | undefined,
): Promise<OpenLog> {
  const { clock, emit, pid, uid, release } = around;
  const path = await logPath(settings.file, uid);
  const folder = await stateFolder(stateDirectory, uid);
  const lock = await lockLog(path, around);
  let record: HeadRecord | undefined;
  let files: LogFiles | undefined;
  try {
    const key = await signingKey(folder, uid);
    record = await HeadRecord.open(folder, path, uid);
    const rotation = (): { size: number | undefined; age: number | undefined } => {
      const { rotateSize: size, rotateAge: age } = log.settings;
      return { size, age };
    };
    const known = knownBefore(path, await readRecords(folder, uid));
    files = await LogFiles.open({
      ...{ path, uid, key, before: { ...known, present }, rotation, now: () => clock.now(), emit },
      start: { type: 'start', release, pid, user: uid ?? null },
      onLeft: () => log.remember(true),
    });
    const log = new AuditLog(settings, { path, files, record, clock, emit });
    await log.begin();
    const close = async (isEnded = false): Promise<void> => {
      await log.close(isEnded);
      await lock.release();
    };
    return { log, close };
  } catch (error) {
    await files?.close();
    await record?.close();
    await lock.release();
    throw error;
  }
}
