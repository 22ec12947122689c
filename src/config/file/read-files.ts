import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError, errorText } from '../../errors.ts';
import { mayCome, readFileLimited } from '../../read-file-limited.ts';
import type { Fault } from './fault.ts';
import { mergeTrees, parseTree, type Table } from './toml-tree.ts';

/** Tens of thousands of tunnels. */
const MAX_BYTES = 64 * 1024 * 1024;
const OTHERS_WRITE = 0o002;

/** The files of the folder beside a configuration file that add to it: FILE.d, as systemd's drop-ins. */
async function dropIns(path: string): Promise<string[]> {
  const folder = `${path}.d`;
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => name.endsWith('.toml') && !name.startsWith('.'))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new AgentError('ERR_CONFIG', `can't read the folder ${folder}: ${errorText(error)}`, { cause: error });
  }
}

function decoded(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new AgentError('ERR_CONFIG', `${path} is not UTF-8`, { cause: error });
  }
}

async function readText(path: string): Promise<string> {
  const bytes = await readFileLimited(path, {
    what: 'the configuration',
    code: 'ERR_CONFIG',
    maxBytes: MAX_BYTES,
    inspect: ({ mode }) => {
      // it names commands that we run
      if ((mode & OTHERS_WRITE) !== 0) throw new Error(`everybody can write ${path}: chmod o-w it`);
    },
  }).catch((error: unknown) => {
    if (!mayCome(error)) throw error;
    throw new AgentError('ERR_CONFIG_NOT_FOUND', errorText(error), { cause: error.cause });
  });
  return decoded(bytes, path);
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
 * before what an earlier one said. Syntax errors go to `faults`.
 * @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND
 */
export async function readFiles(path: string, faults: Fault[]): Promise<ReadFiles> {
  const files = [path, ...(await dropIns(path))];
  const root: Table = { kind: 'table', place: { file: path, line: 1, column: 1 }, entries: new Map() };
  let silent: string | undefined;
  for (const file of files) {
    const tree = parseTree(await readText(file), file, faults);
    if (tree?.entries.size === 0) silent ??= file;
    if (tree) mergeTrees(root, tree);
  }
  return { tree: root, files, silent };
}
