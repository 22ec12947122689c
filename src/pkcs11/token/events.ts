import type { AgentErrorCode } from '../../errors.ts';
import type { PinEvent } from '../pins/events.ts';
import type { PinState } from '../pins/pin-state.ts';
import type { RecoveryStep } from './recovery.ts';

/** What happens to a token's session. `token` is the token's label. */
export type SessionEvent =
  /** A recovery step is about to be tried. */
  | { readonly type: 'recovering'; readonly token: string; readonly step: RecoveryStep; readonly error: string }
  /** The token went away, or can't be used any more. */
  | { readonly type: 'lost'; readonly token: string; readonly error: string }
  | { readonly type: 'found'; readonly token: string }
  /** It is there, and can't be logged in to: the PIN, its source, or what remembers PINs. Told once, until it can. */
  | { readonly type: 'login-failed'; readonly token: string; readonly code: AgentErrorCode; readonly error: string }
  /** What the token says of its PIN, and whether it is logged in to, whenever that changes. */
  | {
      readonly type: 'token-state';
      readonly token: string;
      readonly pin: PinState['tries'];
      readonly hasKeypad: boolean;
      readonly isLoggedIn: boolean;
    };

/** What happens to a token while the agent runs: for the log, and for those that must act on it. */
export type TokenEvent = SessionEvent | PinEvent;

/** Whether an event is of the session, which all users of a token share. */
export function isSessionEvent(event: { readonly type: string }): event is SessionEvent {
  return ['recovering', 'lost', 'found', 'login-failed', 'token-state'].includes(event.type);
}
