import type { Stats } from 'node:fs';

type Pretence = Partial<Pick<Stats, 'uid' | 'gid' | 'ino' | 'dev'>>;

/** What the status of these paths says instead of what is so: only root could make it so. */
export const PRETENDED: Map<string, Pretence> = new Map<string, Pretence>();

/** A call of `node:fs/promises` that gives a status, which is pretended at those paths. */
export function pretending(call: (path: string) => Promise<Stats>): (path: string) => Promise<Stats> {
  return async (path) => Object.assign(await call(path), PRETENDED.get(path));
}
