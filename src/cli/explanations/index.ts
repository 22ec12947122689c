import type { AgentErrorCode } from '../../errors.ts';
import { TROUBLE_TEXTS } from '../../telemetry/trouble-lines.ts';
import { exitCode } from '../exit-codes.ts';
import { hintFor } from '../hints.ts';
import { AGENT } from './agent.ts';
import { EXITS } from './exits.ts';
import type { Cause, Explanation, OpenVpnLine } from './explanation.ts';
import { KEYS } from './keys.ts';
import { OPENVPN_HANDSHAKE } from './openvpn-handshake.ts';
import { OPENVPN_START } from './openvpn-start.ts';
import { REQUESTS } from './requests.ts';
import { RETURN_VALUES, TOKENS } from './tokens.ts';
import { TROUBLES } from './troubles.ts';

// The one table of what can go wrong, its causes and cures: `pksigd explain` and docs/TROUBLESHOOTING.md show it. The build makes
// a file of its own of it, which nothing reads but the command.

/** Every code that an error can have. */
export const CODES: Readonly<Record<AgentErrorCode, Explanation>> = { ...AGENT, ...KEYS, ...TOKENS, ...REQUESTS };

/** Lines of OpenVPN that people look for. */
export const OPENVPN_LINES: readonly OpenVpnLine[] = [...OPENVPN_START, ...OPENVPN_HANDSHAKE];

/** What an entry of the table is about. */
export interface Entry extends Explanation {
  /** As the reader calls it: a code, an exit code, a line. */
  readonly name: string;
  readonly kind: 'code' | 'return value' | 'trouble' | 'line of OpenVPN' | 'exit code';
  /** The line as the log has it. */
  readonly text?: string;
  /** The process's, for a code. */
  readonly exit?: number;
}

/** All of the table, in the order to show it. */
export const ENTRIES: readonly Entry[] = [
  ...Object.entries(CODES).map(
    ([name, explanation]): Entry => ({ ...explanation, name, kind: 'code', exit: exitCode(name as AgentErrorCode) }),
  ),
  ...Object.entries(RETURN_VALUES).map(
    ([name, explanation]): Entry => ({ ...explanation, name, kind: 'return value' }),
  ),
  ...Object.entries(TROUBLES).map(([name, causes]): Entry => {
    const { text, hint } = TROUBLE_TEXTS[name as keyof typeof TROUBLES];
    const what = `${sentence(text)}${hint === undefined ? '' : ` ${sentence(hint)}`}`;
    return { what, causes, name, kind: 'trouble', text };
  }),
  ...OPENVPN_LINES.map((line): Entry => ({ ...line, name: line.text, kind: 'line of OpenVPN' })),
  ...Object.entries(EXITS).map(([name, explanation]): Entry => ({ ...explanation, name, kind: 'exit code' })),
];

/** Text as a sentence: a capital first, unless it begins with a name, and a full stop. */
function sentence(text: string): string {
  const begun =
    /^[a-z]+ /.test(text) && !/^(pksigd|chmod) /.test(text) ? `${text.charAt(0).toUpperCase()}${text.slice(1)}` : text;
  return /[.?!]$/.test(begun) ? begun : `${begun}.`;
}

/** What to do about a cause. */
export function cureOf(cause: Cause): string {
  return 'cure' in cause ? cause.cure : sentence(hintFor(cause.reason, 'USER'));
}

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/^err[_-]/, '')
    .replaceAll('-', '_');

/** Does a line of a log have this text in it, whose `%s` and `%d` are anything? */
function stands(text: string, line: string): boolean {
  const literal = text.toLowerCase().split(/%[sd]/);
  let from = 0;
  for (const part of literal) {
    const at = line.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}

/** Characters: a shorter part of a line fits too much. */
const LEAST_PART = 8;

/**
 * What the table has about a question.
 * @param question a code (with or without `ERR_`, in any case), an exit code, a line of a log or a part of one
 * @returns the entries, the closest first; none if nothing is known
 */
export function explain(question: string): Entry[] {
  const asked = question.trim();
  const named = ENTRIES.filter(({ name, kind }) => kind !== 'line of OpenVPN' && plain(name) === plain(asked));
  if (named.length > 0) return named;
  const codes = new Set(asked.toUpperCase().match(/\b(?:ERR|CKR)_[A-Z0-9_]+/g) ?? []);
  const inLine = ENTRIES.filter(({ name }) => codes.has(name));
  const line = asked.toLowerCase();
  const lines = ENTRIES.filter(({ text }) => {
    if (text === undefined) return false;
    return stands(text, line) || (line.length >= LEAST_PART && text.toLowerCase().includes(line));
  });
  return [...inLine, ...lines.toSorted((one, other) => (other.text?.length ?? 0) - (one.text?.length ?? 0))];
}
