import type * as v from 'valibot';

/** A checker of the schema library, for values of one type. */
export type Schema<Output = unknown> = v.GenericSchema<unknown, Output>;

/** How a relative path counts from the folder of the file that it stands in: what of the value is a path. */
export type PathKind =
  | 'path'
  /** A KEY or CERT, of which those without a scheme are paths. */
  | 'key'
  /** A source of a secret, of which those without a scheme, and `file:`, are paths. */
  | 'source'
  /** The same, of a password. */
  | 'login'
  /** ADDRESS PORT|unix [PASSWORD-FILE]. */
  | 'words'
  /** OpenVPN's words, none of which is a path. */
  | 'plain words';

/** What is told of a setting: in errors, and in docs/CONFIGURATION.md, which is made of this file. */
export interface About {
  /** What values it takes, as in `'deadline' takes …`. */
  readonly takes: string;
  readonly text: string;
  /** The option of `pksigd run` that says the same. */
  readonly option?: string;
  readonly path?: PathKind;
  /** Where the default is no value of its own: what holds then. */
  readonly without?: string;
}
