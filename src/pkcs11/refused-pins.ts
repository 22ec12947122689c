import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, errorCode, errorText } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { TokenInfo } from './protocol.ts';

interface RefusalRecord {
  readonly salt: string;
  readonly hash: string;
  readonly refusedAt: string;
}

/** Refused PINs that are remembered for a token; each costs a hash at login. */
const MAX_RECORDS = 8;
const LOCK_POLL = 50;
/** Milliseconds after which a lock whose owner can't be told is taken for left over. */
const LOCK_STALE = 60_000;

async function slowHash(pin: Secret, salt: Buffer): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    scrypt(pin.bytes, salt, 32, (error, hash) => {
      if (error) reject(error);
      else resolve(hash);
    });
  });
}

/** The file name for a token: what identifies it, and nothing that can't be in a name. */
function tokenName({ manufacturer, model, serial, label }: TokenInfo): string {
  return createHash('sha256')
    .update(JSON.stringify([manufacturer, model, serial, label]))
    .digest('hex')
    .slice(0, 24);
}

/**
 * The memory of PINs that tokens refused, over restarts: an agent under `Restart=always`, or ten agents that start
 * together, must use up one try, not all three. Kept as salted scrypt hashes, a file a token; a PIN of few digits can be
 * found from it by trying, so the folder is closed to others.
 */
export class RefusedPins {
  readonly #folder: string;
  readonly #pid: number;

  /** @param pid this process's, for its locks */
  constructor(folder: string, pid: number) {
    this.#folder = folder;
    this.#pid = pid;
  }

  /**
   * Makes one login attempt, unless this PIN was refused by this token before. Attempts on one token follow each other,
   * so that whoever waits learns from the first.
   * @throws AgentError ERR_PIN_INCORRECT without an attempt; what `login` throws
   */
  async guard(token: TokenInfo, pin: Secret, login: () => Promise<void>): Promise<void> {
    const path = this.#pathOf(token);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const unlock = await this.#lock(`${path}.lock`);
    try {
      const records = await this.check(token, pin);
      await this.#attempt(path, pin, records, login);
    } finally {
      await unlock();
    }
  }

  /**
   * The PINs that the token refused, without an attempt.
   * @throws AgentError ERR_PIN_INCORRECT if this one is among them
   */
  async check(token: TokenInfo, pin: Secret): Promise<readonly RefusalRecord[]> {
    const path = this.#pathOf(token);
    const records = await readRecords(path);
    for (const record of records) {
      if (!(await isSame(record, pin))) continue;
      throw new AgentError(
        'ERR_PIN_INCORRECT',
        `token '${token.label}' refused this PIN before (${record.refusedAt})`,
        {
          hint: `it is not tried again; correct the PIN at its source, or remove ${path}`,
        },
      );
    }
    return records;
  }

  #pathOf(token: TokenInfo): string {
    return join(this.#folder, `refused-pin-${tokenName(token)}.json`);
  }

  async #attempt(
    path: string,
    pin: Secret,
    records: readonly RefusalRecord[],
    login: () => Promise<void>,
  ): Promise<void> {
    try {
      await login();
    } catch (error) {
      if (errorCode(error) === 'ERR_PIN_INCORRECT') {
        const salt = randomBytes(16);
        const hash = await slowHash(pin, salt);
        const refusedAt = new Date().toISOString();
        const record = { salt: salt.toString('hex'), hash: hash.toString('hex'), refusedAt };
        // whole or not at all
        await writeFile(`${path}.new`, JSON.stringify([...records, record].slice(-MAX_RECORDS)), { mode: 0o600 });
        await rename(`${path}.new`, path);
      }
      throw error;
    }
  }

  async #lock(path: string): Promise<() => Promise<void>> {
    for (;;) {
      try {
        await writeFile(path, `${this.#pid}\n`, { flag: 'wx', mode: 0o600 });
        return async () => {
          await rm(path, { force: true });
        };
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
          throw new AgentError('ERR_CONFIG', `can't keep the memory of refused PINs: ${errorText(error)}`, {
            cause: error,
            hint: 'give a folder that can be written with --state-directory',
          });
        }
      }
      if (await isLeftOver(path)) await rm(path, { force: true });
      else await sleep(LOCK_POLL);
    }
  }
}

async function readRecords(path: string): Promise<RefusalRecord[]> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as RefusalRecord[];
  } catch {
    return []; // none yet, or damaged
  }
}

async function isSame({ salt, hash }: RefusalRecord, pin: Secret): Promise<boolean> {
  const known = Buffer.from(hash, 'hex');
  const given = await slowHash(pin, Buffer.from(salt, 'hex'));
  return known.length === given.length && timingSafeEqual(known, given);
}

/** Its owner was killed: on Linux /proc tells, elsewhere its age. */
async function isLeftOver(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    if (Date.now() - mtimeMs > LOCK_STALE) return true;
    const pid = text.trim();
    if (pid === '') return false; // just made
    const hasProc = await exists('/proc/self');
    return hasProc && !(await exists(`/proc/${pid}`));
  } catch {
    return false; // gone in the meantime
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
