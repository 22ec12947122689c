import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../secret.ts';
import { DAMAGED } from './record-file.ts';
import { stateError } from '../../disk/state-error.ts';

/** What the PIN is used for: C_Login as CKU_USER, or as CKU_CONTEXT_SPECIFIC, for which some cards have a PIN of its own. */
export type PinUse = 'session' | 'signature';

/** One PIN that a token refused, or never said what it makes of it. The times are ISO 8601. */
export interface PinRecord {
  /** hex; the hash is scrypt's. Without both it is a login with a PIN that is not told: it may have been any. */
  readonly salt?: string;
  readonly hash?: string;
  readonly refusedAt?: string;
  /** Logins without an outcome. */
  readonly attemptedAt?: readonly string[];
  /** Without it `session`. */
  readonly use?: PinUse;
  /** The token has accepted another PIN since, so that these logins don't count as tries any more. */
  readonly isPast?: boolean;
}

/** PINs that are remembered for a token. */
const MAX_RECORDS = 8;
const HASH_LENGTH = 32;

async function slowHash(pin: Secret, salt: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    scrypt(pin.bytes, Buffer.from(salt, 'hex'), HASH_LENGTH, (error, hash) => {
      if (error) reject(error);
      else resolve(hash.toString('hex'));
    });
  });
}

/** A PIN's hash, which is made only where it is wanted, and once for each salt. */
export class HashedPin {
  readonly #pin: Secret;
  readonly #hashes = new Map<string, Promise<string>>();

  constructor(pin: Secret) {
    this.#pin = pin;
  }

  /** The records of this PIN among others, and those of a PIN that is not told. */
  async among(records: readonly PinRecord[]): Promise<Set<PinRecord>> {
    const mine = new Set<PinRecord>();
    for (const record of records) {
      const { salt, hash } = record;
      const isMine =
        salt === undefined ||
        hash === undefined ||
        timingSafeEqual(Buffer.from(hash, 'hex'), Buffer.from(await this.#hash(salt), 'hex'));
      if (isMine) mine.add(record);
    }
    return mine;
  }

  /** For a record beside others. Records of one file share a salt where they can: each salt costs a hash. */
  async beside(records: readonly PinRecord[]): Promise<Required<Pick<PinRecord, 'salt' | 'hash'>>> {
    const known = records.findLast((record) => record.salt !== undefined);
    const salt = known?.salt ?? randomBytes(16).toString('hex');
    return { salt, hash: await this.#hash(salt) };
  }

  async #hash(salt: string): Promise<string> {
    const hash = this.#hashes.get(salt) ?? slowHash(this.#pin, salt);
    this.#hashes.set(salt, hash);
    try {
      return await hash;
    } catch (error) {
      // for want of memory: the next one may be made
      this.#hashes.delete(salt);
      throw error;
    }
  }
}

const isHex = (value: unknown, bytes: number): value is string =>
  typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value);
const isTime = (value: unknown): value is string => typeof value === 'string' && /^[-0-9T:.Z]{1,40}$/.test(value);

function isRecord(value: unknown): value is PinRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { salt, hash, refusedAt, attemptedAt, use, isPast } = value as Record<string, unknown>;
  const isUntold = salt === undefined && hash === undefined && refusedAt === undefined;
  return (
    (isUntold || (isHex(salt, 16) && isHex(hash, HASH_LENGTH))) &&
    (use === undefined || use === 'session' || use === 'signature') &&
    (isPast === undefined || typeof isPast === 'boolean') &&
    (isTime(refusedAt) || (refusedAt === undefined && attemptedAt !== undefined)) &&
    (attemptedAt === undefined || (Array.isArray(attemptedAt) && attemptedAt.length > 0 && attemptedAt.every(isTime)))
  );
}

/**
 * A file's records.
 * @throws AgentError ERR_STATE_DIRECTORY if it is damaged, since it may hide a refusal
 */
export function parseRecords(text: string, path: string): PinRecord[] {
  let records: unknown;
  try {
    records = JSON.parse(text);
  } catch {
    // said below
  }
  if (Array.isArray(records) && records.every(isRecord)) return records;
  throw stateError(`the record of refused PINs ${path} is damaged`, undefined, DAMAGED);
}

/** The latest records as a file's text; undefined if there are none. */
export function formatRecords(records: readonly PinRecord[]): string | undefined {
  return records.length === 0 ? undefined : `${JSON.stringify(records.slice(-MAX_RECORDS))}\n`;
}
