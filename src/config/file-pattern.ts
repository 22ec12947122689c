import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';

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

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function matching(folder: string, pattern: string, isLast: boolean): Promise<string[]> {
  const found: Dirent[] = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const expression = expressionOf(pattern);
  return found
    .filter((entry) => (isLast ? !entry.isDirectory() : entry.isDirectory() || entry.isSymbolicLink()))
    .map(({ name }) => name)
    .filter((name) => (pattern.startsWith('.') || !name.startsWith('.')) && expression?.test(name));
}

/** Whether it stands for any number of files; a file that is called so is itself. */
export async function isPattern(path: string): Promise<boolean> {
  return WILD.test(path) && !(await isThere(path));
}

/** The files that a pattern fits, absolute and in order; hidden ones only if it says so, as in a shell. */
export async function filesOf(pattern: string): Promise<string[]> {
  let found: string[] = [sep];
  const names = resolve(pattern).split(sep).slice(1);
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    const next = found.map(async (folder) =>
      WILD.test(name) ? (await matching(folder, name, isLast)).map((each) => join(folder, each)) : [join(folder, name)],
    );
    found = (await Promise.all(next)).flat();
  }
  const there = await Promise.all(found.map(isThere));
  return found.filter((_, index) => there[index] === true).sort();
}
