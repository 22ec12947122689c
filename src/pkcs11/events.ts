/** What happens to a token while the agent runs: for the log, and for whoever must act on it. `token` is its label. */
export type TokenEvent =
  /** One rung of the recovery ladder is about to be tried. */
  | { readonly type: 'recovering'; readonly token: string; readonly step: string; readonly error: string }
  /** The token went away, or can't be used any more. */
  | { readonly type: 'lost'; readonly token: string; readonly error: string }
  | { readonly type: 'found'; readonly token: string }
  | { readonly type: 'pin-count-low'; readonly token: string }
  /** Another login with this token's PIN is under way, here or in another process (`holder`, if it is known). */
  | { readonly type: 'pin-wait'; readonly token: string; readonly holder: number | undefined }
  /** What the token said of a PIN could not be written down. */
  | { readonly type: 'pin-record-failed'; readonly token: string; readonly error: string }
  /** The token has a keypad of its own: somebody must type there. */
  | { readonly type: 'pin-pad'; readonly token: string };

export type TokenEventListener = (event: TokenEvent) => void;
