import { join } from 'node:path';
import { ownUser } from '../../own-user.ts';
import { lockFile } from '../../disk/file-lock.ts';
import { PinMemory, type PinTrial, type RecordAccess, type RecordStore } from './pin-memory.ts';
import { formatRecords, parseRecords, type PinRecord } from './pin-record.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { readRecord, writeRecord } from './record-file.ts';
import { recordFileName, tokenName } from './token-name.ts';
import { Turns } from './turns.ts';
import { safeStateFolder } from '../../disk/safe-folder.ts';

/** A file a token, in a folder that no other user can change. */
class FileStore implements RecordStore {
  readonly #folder: () => string;
  readonly #pid: number;
  readonly #uid: number | undefined;

  constructor(folder: () => string, pid: number, uid: number | undefined) {
    this.#folder = folder;
    this.#pid = pid;
    this.#uid = uid;
  }

  cureOf(token: TokenInfo): string {
    return `remove ${join(this.#folder(), recordFileName(token))}`;
  }

  async peek(token: TokenInfo): Promise<PinRecord[]> {
    const folder = await safeStateFolder(this.#folder(), this.#uid, false);
    return folder === undefined ? [] : await this.#read(join(folder, recordFileName(token)));
  }

  async exclusively<Result>(
    token: TokenInfo,
    onWaiting: PinTrial['onWaiting'],
    work: (access: RecordAccess) => Promise<Result>,
  ): Promise<Result> {
    const folder = (await safeStateFolder(this.#folder(), this.#uid, true)) ?? this.#folder();
    const path = join(folder, recordFileName(token));
    const lock = await lockFile(`${path}.lock`, { pid: this.#pid, uid: this.#uid, onWaiting });
    try {
      return await work({
        waited: lock.waited,
        load: () => this.#read(path),
        save: (records) => writeRecord(path, formatRecords(records), this.#uid),
      });
    } finally {
      await lock.release();
    }
  }

  async #read(path: string): Promise<PinRecord[]> {
    const text = await readRecord(path, this.#uid);
    return text === undefined ? [] : parseRecords(text, path);
  }
}

/**
 * The memory of refused PINs over restarts, of all processes that share its folder: salted scrypt hashes, a file a token. A
 * PIN of few digits can be found from them by trying, so the folder is closed to others.
 */
export class RefusedPins extends PinMemory {
  /**
   * @param folder made when it is needed; where it is worked out by a function, that is called then
   * @param pid this process's, which its locks tell to those that wait
   * @param uid this process's effective user
   */
  constructor(folder: string | (() => string), pid: number, uid: number | undefined = ownUser().uid) {
    super(new FileStore(typeof folder === 'string' ? () => folder : folder, pid, uid));
  }
}

/** Records that end with the process. */
class ProcessStore implements RecordStore {
  readonly #records = new Map<string, readonly PinRecord[]>();
  readonly #turns = new Turns();

  cureOf(): string {
    return 'start anew';
  }

  peek(token: TokenInfo): Promise<readonly PinRecord[]> {
    return Promise.resolve(this.#records.get(tokenName(token)) ?? []);
  }

  async exclusively<Result>(
    token: TokenInfo,
    _onWaiting: PinTrial['onWaiting'],
    work: (access: RecordAccess) => Promise<Result>,
  ): Promise<Result> {
    const name = tokenName(token);
    return await this.#turns.take(name, (waited) =>
      work({
        waited,
        load: () => this.peek(token),
        save: (records) => {
          this.#records.set(name, records);
          return Promise.resolve();
        },
      }),
    );
  }
}

/** The same rules without a folder, for as long as this process lives. */
export function processMemory(): PinMemory {
  return new PinMemory(new ProcessStore());
}
