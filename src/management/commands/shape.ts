import { atoi } from '../wire/fields.ts';

/** Lines of a block that belong to it, even where they begin as notifications do: so many as there are behind a line `header`. */
export interface Rows {
  readonly header: string;
  readonly form: RegExp;
}

/** How the daemon answers one command. Any of them can be one `ERROR:` line instead. */
export type ReplyPart =
  /** One line `SUCCESS: …`. */
  | { readonly kind: 'line' }
  /** Lines up to `END`, `rows` among them. */
  | { readonly kind: 'block'; readonly rows?: Rows }
  /** That many lines and nothing behind them (`test N`). */
  | { readonly kind: 'lines'; readonly count: number }
  /** Lines of any kind, `SUCCESS:` and `ERROR:` among them, up to the one that says `COMMAND command succeeded` or `failed`. */
  | { readonly kind: 'verdict'; readonly command: string }
  /** A line in the form of a notification. */
  | { readonly kind: 'notification'; readonly word: string };

/**
 * The whole answer to one command: its parts in order; `log on all` has two, a line and a block. No parts at all for
 * commands that get no answer; `closes` for those by which the connection ends.
 */
export interface ReplyShape {
  readonly parts: readonly ReplyPart[];
  readonly closes?: true;
}

/** The shape of the answer to a command's words (its own name first), by the daemon's management version. */
export type ShapeOf = (words: readonly string[], managementVersion: number) => ReplyShape;

export const LINE: ReplyShape = { parts: [{ kind: 'line' }] };
export const BLOCK: ReplyShape = { parts: [{ kind: 'block' }] };
export const NONE: ReplyShape = { parts: [] };
export const CLOSES: ReplyShape = { parts: [], closes: true };

/**
 * Format 1 of a server's `status` has a client's common name where a line begins, and that may be `>HOLD:x` as well: whoever
 * has a certificate, or chooses a username, would else say what the daemon says. No notification looks like such a row.
 */
export const STATUS: ReplyShape = {
  parts: [
    {
      kind: 'block',
      rows: {
        header: 'Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since',
        form: /^.*,[^,\s]+,\d+,\d+,[^,]+$/s,
      },
    },
  ],
};

/** A line in the form of that notification. */
export const notificationShape = (word: string): ReplyShape => ({ parts: [{ kind: 'notification', word }] });

/** Lines on each client come first (push_util.c). */
export const PUSH_UPDATE: ReplyShape = { parts: [{ kind: 'verdict', command: 'push-update' }] };

/**
 * `on` and `off` get a line; `all` and numbers a block; two words get both (man_history in manage.c). What else is a number to
 * the daemon (`-4294967291` is 5) differs from build to build; what is none gets an error, which a block can be too.
 */
export const historyShape: ShapeOf = (words) => {
  const parts = words
    .slice(1, 3)
    .map((word): ReplyPart => (word === 'on' || word === 'off' ? { kind: 'line' } : { kind: 'block' }));
  return parts.length === 0 ? LINE : { parts };
};

/** Without a word the state of now is shown. */
export const stateShape: ShapeOf = (words, managementVersion) =>
  words.length < 2 ? BLOCK : historyShape(words, managementVersion);

export const testShape: ShapeOf = ([, word]) => {
  if (word === undefined) return LINE;
  const count = atoi(word);
  return count > 0 ? { parts: [{ kind: 'lines', count }] } : NONE;
};

/**
 * Up to 2.4 the number is ignored and the version block printed; 2.5 and 2.6 say nothing; 2.7 says nothing up to 3 and
 * acknowledges from 4 on (set_client_version in manage.c).
 */
export const versionShape: ShapeOf = ([, wanted], managementVersion) => {
  if (wanted === undefined || managementVersion <= 1) return BLOCK;
  return managementVersion >= 6 && atoi(wanted) > 3 ? LINE : NONE;
};
