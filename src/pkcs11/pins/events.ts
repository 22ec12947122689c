/** What happens to the PIN of a token, whose label is `token`. */
export type PinEvent =
  | { readonly type: 'pin-count-low'; readonly token: string }
  /** Another login with this token's PIN is under way, here or in another process (`holder`, if it is known). */
  | { readonly type: 'pin-wait'; readonly token: string; readonly holder: number | undefined }
  /** What the token said of a PIN could not be written down. */
  | { readonly type: 'pin-record-failed'; readonly token: string; readonly error: string }
  /** The token has a keypad of its own: a person must type there. */
  | { readonly type: 'pin-pad'; readonly token: string };
