import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** A socket's path without links in its folder, which may not be there: one text for one socket. */
export function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return join(realpathSync(dirname(whole)), basename(whole));
  } catch {
    return whole;
  }
}
