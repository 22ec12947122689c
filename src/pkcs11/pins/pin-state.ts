import { CKF } from '../constants.ts';
import type { TokenInfo } from '../host/protocol.ts';

/** Whether a token may show its private keys only to those who logged in. */
export const needsLogin = ({ flags }: TokenInfo): boolean => (flags & CKF.LOGIN_REQUIRED) !== 0;

/** Has it a keypad of its own, where somebody must type the PIN? */
export function hasPad({ flags }: TokenInfo): boolean {
  return (flags & CKF.PROTECTED_AUTHENTICATION_PATH) !== 0;
}
