import type { Reason } from '../../errors.ts';

/** Why something happened, and what to do about it. */
export type Cause =
  | {
      /** A sentence. */
      readonly why: string;
      /** One or more sentences. */
      readonly cure: string;
    }
  /** The cure is what the error itself says for this reason (`hints.ts`). */
  | { readonly why: string; readonly reason: Reason };

/** What a code, or a line of a log, means. */
export interface Explanation {
  /** What has happened: one or more sentences. */
  readonly what: string;
  /** The likeliest first. */
  readonly causes: readonly Cause[];
}

/** A line of OpenVPN, or of the TLS library inside it. */
export interface OpenVpnLine extends Explanation {
  /** What stands in the line, whatever is around it. */
  readonly text: string;
  /** In whose log. */
  readonly log: 'client' | 'server';
  /** Releases that write it, where the current ones do not. */
  readonly only?: string;
}

/** The cure that finds most of what is wrong with an .ovpn. */
export const CHECK =
  "Ask 'pksigd check --openvpn-config FILE …', which says what is wrong and prints the lines for the .ovpn.";
