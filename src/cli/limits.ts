import { readFileSync } from 'node:fs';

/** A limit of this process, as the kernel writes it: a number, or `unlimited`. */
export interface ProcessLimit {
  readonly soft: string;
  readonly hard: string;
}

/**
 * A limit by its name in /proc/self/limits (proc(5)).
 * @returns undefined where the system does not tell
 */
export function processLimit(name: 'Max core file size' | 'Max open files'): ProcessLimit | undefined {
  try {
    const [, soft, hard] =
      new RegExp(`^${name} +(\\S+) +(\\S+) `, 'm').exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === undefined || hard === undefined ? undefined : { soft, hard };
  } catch {
    return undefined;
  }
}
