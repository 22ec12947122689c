import { spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { platform } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { SYSTEM_CLOCK } from '../clock.ts';
import { openPrivate } from './private-file.ts';
import { errnoOf, stateError } from './state-error.ts';

/** How to wait for a lock. */
export interface LockOptions {
  /** This process's id, told to those that wait for its lock. */
  readonly pid: number;
  readonly uid: number | undefined;
  /** Told once, when the wait is worth a word; `holder` is a process's id. */
  readonly onWaiting?: ((holder: number | undefined) => void) | undefined;
}

export interface FileLock {
  /** Another process or login had it first. */
  readonly waited: boolean;
  release(): Promise<void>;
}

/** Milliseconds of waiting before a word is said. */
const NOTICE = 1_000;
/** Milliseconds after which the holder is stuck: its calls have deadlines, and a person at a keypad has two minutes. */
const PATIENCE = 180_000;
const POLL = 100;
/** Of BSD's open(2): Node has no name for it. */
const O_EXLOCK = 0x20;

async function holderOf(file: FileHandle): Promise<number | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
  const [pid] = /^\d+/.exec(buffer.toString('latin1', 0, bytesRead)) ?? [];
  return pid === undefined ? undefined : Number(pid);
}

/**
 * flock(2), for which Node has no call: util-linux's command makes it on our open file, and the lock is the file's, not the
 * command's: it lasts until we close it or die. Node's files close on exec, so that no module host inherits it.
 * @param wait false: fails at once if another has it
 */
async function flock({ fd }: FileHandle, path: string, wait: boolean, signal?: AbortSignal): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const args = ['-x', ...(wait ? [] : ['-n']), '3'];
    const child = spawn('flock', args, { stdio: ['ignore', 'ignore', 'ignore', fd], signal, killSignal: 'SIGKILL' });
    child.on('error', (error) => {
      if (signal?.aborted === true) resolve(false);
      else if (errnoOf(error) !== 'ENOENT')
        reject(stateError("can't run flock", error, 'is the machine out of processes?'));
      else reject(stateError(`can't lock ${path}: there is no flock`, undefined, 'install util-linux'));
    });
    child.on('exit', (code) => {
      // util-linux and busybox: 1 where another has it
      if (code === 0 || (code === 1 && !wait) || signal?.aborted === true) resolve(code === 0);
      else reject(stateError(`can't lock ${path}: flock ended with status ${code ?? 'none'}`));
    });
  });
}

/** A file with an exclusive lock, which the kernel releases when its holder dies; undefined if another has it. */
async function openLocked(path: string, uid: number | undefined): Promise<FileHandle | undefined> {
  try {
    return await openPrivate(path, 'lock', uid, O_EXLOCK);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (errnoOf(cause) === 'EAGAIN') return undefined;
    throw error;
  }
}

function tooLong(path: string, holder: number | undefined): Error {
  const who = holder === undefined ? 'another process' : `process ${holder}`;
  return stateError(`${who} has held ${path} for ${PATIENCE / 1000} s`, undefined, 'end it: it is stuck');
}

async function holderAt(path: string, uid: number | undefined): Promise<number | undefined> {
  const file = await openPrivate(path, 'update', uid).catch(() => undefined);
  try {
    return file && (await holderOf(file));
  } finally {
    await file?.close();
  }
}

async function lockByOpening(path: string, { uid, onWaiting }: LockOptions): Promise<[FileHandle, boolean]> {
  const started = SYSTEM_CLOCK.now();
  for (let said = false, first = true; ; first = false) {
    const file = await openLocked(path, uid);
    if (file) return [file, !first];
    const waited = SYSTEM_CLOCK.now() - started;
    if (!said && waited > NOTICE) onWaiting?.(await holderAt(path, uid));
    said ||= waited > NOTICE;
    if (waited > PATIENCE) throw tooLong(path, await holderAt(path, uid));
    await sleep(POLL);
  }
}

async function lockByCommand(path: string, { uid, onWaiting }: LockOptions): Promise<[FileHandle, boolean]> {
  const file = await openPrivate(path, 'lock', uid);
  if (!file) throw stateError(`can't open ${path}`);
  try {
    if (await flock(file, path, false)) return [file, false];
    const notice = setTimeout(() => {
      void holderOf(file).then(onWaiting, () => onWaiting?.(undefined));
    }, NOTICE);
    const isLocked = await flock(file, path, true, AbortSignal.timeout(PATIENCE)).finally(() => {
      clearTimeout(notice);
    });
    if (!isLocked) throw tooLong(path, await holderOf(file));
    return [file, true];
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function lockedNow(path: string, uid: number | undefined): Promise<FileHandle | undefined> {
  if (platform() !== 'linux') return await openLocked(path, uid);
  const file = await openPrivate(path, 'lock', uid);
  if (!file) throw stateError(`can't open ${path}`);
  try {
    if (await flock(file, path, false)) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/** Tells those that wait who has it; on a full disk it goes without. */
async function signLock(file: FileHandle, pid: number): Promise<void> {
  await file
    .truncate(0)
    .then(() => file.write(`${pid}\n`, 0))
    .catch(() => undefined);
}

/**
 * Takes a lock that the kernel releases when this process dies. The file stays: it says nothing.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function lockFile(path: string, options: LockOptions): Promise<FileLock> {
  const [file, waited] = await (platform() === 'linux' ? lockByCommand : lockByOpening)(path, options);
  await signLock(file, options.pid);
  return { waited, release: () => file.close() };
}

/**
 * The same, if nobody has it.
 * @returns else the process that has it, as far as that is known
 * @throws AgentError ERR_STATE_DIRECTORY
 */
export async function tryLockFile(
  path: string,
  { pid, uid }: Pick<LockOptions, 'pid' | 'uid'>,
): Promise<FileLock | { readonly holder: number | undefined }> {
  const file = await lockedNow(path, uid);
  if (!file) return { holder: await holderAt(path, uid) };
  await signLock(file, pid);
  return { waited: false, release: () => file.close() };
}
