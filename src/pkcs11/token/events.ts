import type { PinEvent } from '../pins/events.ts';

/** What happens to a token while the agent runs: for the log, and for whoever must act on it. `token` is its label. */
export type TokenEvent =
  /** One rung of the recovery ladder is about to be tried. */
  | { readonly type: 'recovering'; readonly token: string; readonly step: string; readonly error: string }
  /** The token went away, or can't be used any more. */
  | { readonly type: 'lost'; readonly token: string; readonly error: string }
  | { readonly type: 'found'; readonly token: string }
  | PinEvent;

export type TokenEventListener = (event: TokenEvent) => void;
