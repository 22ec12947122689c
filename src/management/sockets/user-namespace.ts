import { readFileSync } from 'node:fs';
import { isNeverTold, untold } from './untold.ts';

let overflowUser: { readonly id: number | undefined } | undefined;

/**
 * Whether a user ID says nothing: in a user namespace all users of the outside share one.
 *
 * @throws AgentError ERR_MANAGEMENT_PEER if that can't be told at the moment
 */
export function isUnmapped(user: number): boolean {
  overflowUser ??= { id: readOverflowUser() };
  return user === overflowUser.id;
}

/** @returns undefined where every user has a number: outside of user namespaces, and on systems without them */
function readOverflowUser(): number | undefined {
  try {
    // one range from 0 on, of all numbers (user_namespaces(7))
    if (/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))) return undefined;
    return Number(readFileSync('/proc/sys/kernel/overflowuid', 'utf8'));
  } catch (error) {
    // not for good: all who share that number would pass for a user who has it
    if (!isNeverTold(error)) throw untold('which users this process knows', error);
    return undefined;
  }
}
