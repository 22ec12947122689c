import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { AgentError, errorText, isAbsence } from '../../errors.ts';

/** Where a system that has it doesn't tell this user. */
const DENIED: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM']);

/**
 * Whether a call failed since the system never tells. Any other error passes, and others can cause it: whoever uses up our descriptors
 * (EMFILE) is not to be let in by that.
 */
export function isNeverTold(error: unknown): boolean {
  return isAbsence(error) || DENIED.has((error as NodeJS.ErrnoException).code);
}

/** @param what of which it has to be known before anybody is let in */
export function untold(what: string, cause: unknown): AgentError {
  return new AgentError('ERR_MANAGEMENT_PEER', `${what} can't be told at the moment`, {
    hint: errorText(cause),
    cause,
  });
}

/**
 * Of a unix socket that somebody else made, and others may connect to.
 *
 * @returns undefined if it is not there, or behind a folder that is closed to this user as well
 * @throws AgentError ERR_MANAGEMENT_PEER if that can't be told at the moment
 */
export async function statusOfGiven(path: string): Promise<Stats | undefined> {
  return await stat(path).catch((error: unknown) => {
    if (isNeverTold(error)) return undefined;
    throw untold(`who can connect to ${path}`, error);
  });
}
