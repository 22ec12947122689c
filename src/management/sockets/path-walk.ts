import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { dirname, isAbsolute, join, parse, resolve, sep } from 'node:path';

/** What is told on the way to a path. */
export interface PathVisitor {
  /** A name is about to be looked up in a folder. No link is on the way to the folder, by this path. */
  readonly lookUp?: (folder: string, name: string) => void;
  /** A folder or a link that the way goes through. */
  readonly pass?: (path: string, stats: Stats) => void;
}

/** As the kernel's limit (ELOOP). */
const MAX_LINKS = 40;

/**
 * Walks to `path` as the kernel does, link by link.
 *
 * @returns the status of what is there; undefined if there is nothing, or a folder
 * @throws what lstat throws, but for a last component that isn't there; and what the visitor throws
 */
export async function walkPath(path: string, { lookUp, pass }: PathVisitor): Promise<Stats | undefined> {
  // not resolve(path): it takes `link/..` for nothing at all
  const whole = isAbsolute(path) ? path : `${resolve('.')}${sep}${path}`;
  let at = parse(whole).root;
  const rest = whole.slice(at.length).split(sep);
  let links = 0;
  pass?.(at, await lstat(at));
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    lookUp?.(at, name);
    const stats = await lstat(next).catch((error: unknown) => {
      if (rest.length === 0 && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    });
    if (stats === undefined) return undefined;
    if (stats.isSymbolicLink()) {
      pass?.(next, stats);
      links += 1;
      if (links > MAX_LINKS) throw Object.assign(new Error(`too many links on the way to ${path}`), { code: 'ELOOP' });
      const target = await readlink(next);
      if (target.startsWith(sep)) at = sep;
      rest.unshift(...target.split(sep));
    } else if (stats.isDirectory()) {
      pass?.(next, stats);
      at = next;
    } else {
      return stats;
    }
  }
  return undefined;
}
