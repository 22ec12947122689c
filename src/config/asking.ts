import type { PinTries } from '../keys/key-options.ts';

/** What a person who is asked for a secret should know beside what it is. */
export interface AskAbout {
  /** What it is wanted for, as in `for tunnel office`. */
  readonly why?: string | undefined;
  /** What was wrong with what was given last. */
  readonly wrong?: string | undefined;
  /** How few tries are left. */
  readonly tries?: string | undefined;
}

/** PKCS#11 tells no number. */
export const TRIES: Readonly<Record<PinTries, string | undefined>> = {
  ok: undefined,
  'count low': 'few tries are left',
  'final try': 'this is the last try',
  locked: undefined,
};

/** Tunnels that are named, of many. */
const MOST_NAMED = 3;

/** @returns undefined for none */
export function forTunnels(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const named = names.length > MOST_NAMED ? names.slice(0, MOST_NAMED - 1) : names;
  const parts = [...named, ...(named.length < names.length ? [`${names.length - named.length} others`] : [])];
  const last = parts.pop() ?? '';
  return `for tunnel${names.length > 1 ? 's' : ''} ${parts.length > 0 ? `${parts.join(', ')} and ` : ''}${last}`;
}

/** Behind what is wanted, on the one line that a terminal has: empty where nothing is to be said. */
export function behindPrompt({ why, wrong, tries }: AskAbout): string {
  const notes = [wrong, tries].filter((note) => note !== undefined && note !== '');
  return `${why === undefined ? '' : ` ${why}`}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`;
}
