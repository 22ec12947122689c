import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { logPath } from '../agent/audit/open-log.ts';
import { isFree, openLogFile } from '../agent/audit/log-file.ts';
import { presentSigningKey } from '../agent/audit/signing-key.ts';
import { failure, type Report } from '../check/verdict.ts';
import type { AuditSettings, Settings } from '../config/settings.ts';
import { defaultStateDirectory } from '../config/state-directory.ts';
import { tryLockFile } from '../disk/file-lock.ts';
import { safeStateFolder } from '../disk/safe-folder.ts';
import { AgentError } from '../errors.ts';

const WHAT = 'audit';
const uid: number | undefined = process.geteuid?.();

/** @returns whether nobody writes it */
async function checkLock(path: string, report: Report): Promise<boolean> {
  const place = join(dirname(path), `.${basename(path)}.lock`);
  if (await isFree(place)) return true;
  const taken = await tryLockFile(place, { pid: process.pid, uid });
  if ('release' in taken) {
    await taken.release();
    return true;
  }
  const who = taken.holder === undefined ? 'another process' : `process ${taken.holder}`;
  const hint = "if that is 'pksigd run', all is well";
  report({ outcome: 'warn', what: WHAT, detail: `${who} writes ${path}`, hint });
  return false;
}

/** Which state directory the log's key is in, and whether it is there yet. */
async function checkState(folder: string, report: Report): Promise<void> {
  const found = await safeStateFolder(folder, uid, false);
  const key = found === undefined ? undefined : await presentSigningKey(found, uid);
  const detail = key ? `its key is in ${folder}` : `its key will be made in ${folder}, at the first start`;
  report({ outcome: 'ok', what: WHAT, detail });
}

/** Can the audit log be written, and does nobody else write it? Leaves it as it is; `audit verify` looks into it. */
export async function checkAudit(
  { file }: AuditSettings,
  { pins }: Pick<Settings['tokens'], 'pins'>,
  report: Report,
): Promise<void> {
  try {
    const path = await logPath(file, uid);
    if (await isFree(path)) {
      await access(dirname(path), constants.W_OK).catch((cause: unknown) => {
        throw new AgentError('ERR_AUDIT_FILE', `${dirname(path)} can not be written`, { cause });
      });
      report({ outcome: 'ok', what: WHAT, detail: `${path} will be made` });
    } else {
      await (await openLogFile(path, uid)).close();
      if (await checkLock(path, report)) report({ outcome: 'ok', what: WHAT, detail: `${path} can be written` });
    }
    await checkState(pins.stateDirectory ?? defaultStateDirectory(process.env), report);
  } catch (error) {
    report(failure(WHAT, error));
  }
}
