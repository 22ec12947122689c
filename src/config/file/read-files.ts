import { isUtf8 } from 'node:buffer';
import type { Stats } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { checkWay, type Trusted, trustedUsers } from '../../disk/safe-folder.ts';
import { AgentError, errorText } from '../../errors.ts';
import { ownUser } from '../../own-user.ts';
import { mayCome, readFileLimited } from '../../read-file-limited.ts';
import type { Fault, Place } from './fault.ts';
import { decoded } from './text.ts';
import { mergeTrees, parseTree, type Table } from './toml-tree.ts';

/** Tens of thousands of tunnels. */
const MAX_BYTES = 8 * 1024 * 1024;
const OTHERS_WRITE = 0o002;
const WHAT = 'the configuration';

function configError(what: string, cause?: unknown, hint?: string): AgentError {
  const reason = cause === undefined ? '' : `: ${errorText(cause)}`;
  return new AgentError('ERR_CONFIG', `${what}${reason}${hint === undefined ? '' : `: ${hint}`}`, { cause });
}

function startOf(file: string): Place {
  return { file, line: 1, column: 1 };
}

/** Throws unless only this user, root and groups can have written it: it names commands that we run. */
function checkOwner(path: string, { mode, uid }: Stats, isTrusted: Trusted): void {
  if (!isTrusted(uid)) throw new Error(`${path} belongs to another user (uid ${uid}): chown it`);
  if ((mode & OTHERS_WRITE) !== 0) throw new Error(`everybody can write ${path}: chmod o-w it`);
}

/** Reads the files of a configuration, which only this user, root and groups may be able to change. */
class FileReader {
  readonly #uid = ownUser().uid;
  readonly #faults: Fault[];

  constructor(faults: Fault[]) {
    this.#faults = faults;
  }

  /** The files of the folder beside a configuration file that add to it: FILE.d, as systemd's drop-ins. */
  async dropIns(path: string): Promise<string[]> {
    const folder = `${path}.d`;
    const found = await this.#try(folder, async () => {
      if (!(await this.#checkWay(folder))) return [];
      return await readdir(folder, { encoding: 'buffer' }).catch((error: unknown) => {
        throw configError(`can't read the folder ${folder}`, error);
      });
    });
    const names: string[] = [];
    for (const bytes of found ?? []) {
      const name = bytes.toString();
      if (!name.endsWith('.toml') || name.startsWith('.')) continue;
      if (isUtf8(bytes)) names.push(name);
      else this.#fault(folder, `the name of the file ${JSON.stringify(name)} is not UTF-8`);
    }
    return names.sort().map((name) => join(folder, name));
  }

  /** Of a drop-in. One that leads to /dev/null is empty, which is how systemd's are masked. */
  async dropInTree(path: string): Promise<Table | undefined> {
    return await this.#try(path, async () => {
      if ((await realpath(path).catch(() => path)) === devNull) return undefined;
      return await this.tree(path);
    });
  }

  /** What a file says; its faults are kept. @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND if it can't be read */
  async tree(path: string): Promise<Table | undefined> {
    const text = decoded(await this.#bytes(path), path, this.#faults);
    return text === undefined ? undefined : parseTree(text, path, this.#faults);
  }

  async #bytes(path: string): Promise<Buffer> {
    try {
      await this.#checkWay(path);
      const isTrusted = await trustedUsers(this.#uid);
      return await readFileLimited(path, {
        what: WHAT,
        code: 'ERR_CONFIG',
        maxBytes: MAX_BYTES,
        inspect: (stats) => {
          checkOwner(path, stats, isTrusted);
        },
      });
    } catch (error) {
      if (!mayCome(error)) throw error;
      throw new AgentError('ERR_CONFIG_NOT_FOUND', errorText(error), { cause: error.cause });
    }
  }

  async #checkWay(path: string): Promise<boolean> {
    return await checkWay(path, { uid: this.#uid, name: WHAT, fail: configError });
  }

  /** Keeps what keeps a file from being read as a fault of it: the others' are told with it. */
  async #try<Value>(path: string, read: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.#fault(path, error.message, error.code === 'ERR_CONFIG_NOT_FOUND');
      return undefined;
    }
  }

  #fault(path: string, message: string, isToCome = false): void {
    this.#faults.push({ place: startOf(path), message, mayCome: isToCome });
  }
}

/** What a configuration file and its drop-ins say together. */
export interface ReadFiles {
  readonly tree: Table;
  readonly files: readonly string[];
  /** Of them, the first that says nothing: an editor may be about to write it. */
  readonly silent: string | undefined;
}

/**
 * Reads a configuration file, then those of its drop-in folder in the order of their names: what a later one says goes
 * before what an earlier one said. Syntax errors go to `faults`, and drop-ins that can't be read.
 * @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND if the file itself can't be read
 */
export async function readFiles(path: string, faults: Fault[]): Promise<ReadFiles> {
  const reader = new FileReader(faults);
  const root: Table = { kind: 'table', place: startOf(path), entries: new Map() };
  let silent: string | undefined;
  const add = (file: string, tree: Table | undefined): void => {
    if (tree?.entries.size === 0) silent ??= file;
    if (tree) mergeTrees(root, tree);
  };
  add(path, await reader.tree(path));
  const dropIns = await reader.dropIns(path);
  for (const file of dropIns) add(file, await reader.dropInTree(file));
  return { tree: root, files: [path, ...dropIns], silent };
}
