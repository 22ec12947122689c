import { readdir, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { AgentError, errorText, isAbsence } from '../errors.ts';
import { mayCome } from '../read-file-limited.ts';

/** Of a path: no name is as long, and no expression may be of any length. */
const MAX_LENGTH = 4096;
const WILD = /[*?[]/;

/** A name's pattern as a shell has it: `*`, `?`, `[a-z]`, `[!a-z]`. Undefined if no name fits: `[z-a]`, or far too long. */
function expressionOf(pattern: string): RegExp | undefined {
  if (pattern.length > MAX_LENGTH) return undefined;
  let source = '';
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern.charAt(at);
    const end = character === '[' ? pattern.indexOf(']', at + 2) : -1;
    if (end > 0) {
      const set = pattern.slice(at + 1, end);
      source += `[${set.replace(/[\\^[]/g, '\\$&').replace(/^!/, '^')}]`;
      at = end;
    } else if (character === '*') source += '[^]*';
    else if (character === '?') source += '[^]';
    else source += character.replace(/[\\^$.+()[\]{}|/-]/, '\\$&');
  }
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return undefined;
  }
}

/** What can't be looked at now is not gone: the tunnels of a pattern end with its files. */
function unseen(path: string, cause: unknown): AgentError {
  const error = new AgentError('ERR_CONFIG', `can't look at ${path}: ${errorText(cause)}`, { cause });
  return mayCome(error) ? new AgentError('ERR_CONFIG_NOT_FOUND', error.message, { cause }) : error;
}

/** What a look answers; undefined for what is not there. @param passed codes of what is passed over as well */
async function look<Seen>(
  path: string,
  see: () => Promise<Seen>,
  passed: readonly string[],
): Promise<Seen | undefined> {
  try {
    return await see();
  } catch (error) {
    if (isAbsence(error) || passed.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw unseen(path, error);
  }
}

/** Whether it stands for any number of files; a file that is called so is itself. */
export async function isPattern(path: string): Promise<boolean> {
  // a pattern may be longer than any name
  return WILD.test(path) && !(await look(path, () => stat(path), ['ENAMETOOLONG']));
}

async function matching(
  folder: string,
  pattern: string,
  isLast: boolean,
  passed: readonly string[],
): Promise<string[]> {
  const found = (await look(folder, () => readdir(folder, { withFileTypes: true }), passed)) ?? [];
  const expression = expressionOf(pattern);
  return found
    .filter((entry) => (isLast ? !entry.isDirectory() : entry.isDirectory() || entry.isSymbolicLink()))
    .map(({ name }) => name)
    .filter((name) => (pattern.startsWith('.') || !name.startsWith('.')) && expression?.test(name));
}

/**
 * The files that a pattern fits, absolute and in order; hidden ones only if it says so, as in a shell.
 * @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND if that can't be told
 */
export async function filesOf(pattern: string): Promise<string[]> {
  let found: string[] = [sep];
  /** Of folders that a pattern fits some are closed to this user, and lie behind links in a circle: nobody named those. */
  let passed: readonly string[] = [];
  const names = resolve(pattern).split(sep).slice(1);
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    const isWild = WILD.test(name);
    const next = found.map(async (folder) =>
      isWild ? (await matching(folder, name, isLast, passed)).map((each) => join(folder, each)) : [join(folder, name)],
    );
    found = (await Promise.all(next)).flat();
    if (isWild) passed = isLast ? [...passed, 'ELOOP'] : ['EACCES', 'ELOOP'];
  }
  const there = await Promise.all(found.map((path) => look(path, () => stat(path), passed)));
  return found.filter((_, index) => there[index] !== undefined).sort();
}
