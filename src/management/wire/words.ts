/**
 * Lines, words and their limits as OpenVPN reads and writes them: for all rooms of management, and for config, whose .ovpn
 * files OpenVPN reads by the same rules. Knows no command and no notification.
 *
 * @module
 */
import { AgentError } from '../../errors.ts';

/** The longest parameter that the daemon reads, in bytes (OPTION_PARM_SIZE in options.h). */
export const MAX_PARAMETER = 256;

/** The longest line that fits the daemon's buffer of 1,024 bytes with its LF (command_line_new in manage.c). */
export const MAX_LINE = 1023;

/**
 * The longest line behind which more may be sent at once. The daemon reads 256 bytes at a time into the same 1,024
 * byte buffer and empties it when it overflows: 768 bytes of an unfinished line and 256 more are what fits.
 */
export const MAX_PIPELINED_LINE = 768;

/** The most words that the daemon reads in a line (MAX_PARMS in options.h); what stands behind them is ignored. */
const MAX_WORDS = 16;

/** How the characters of a text become bytes, which is what the daemon counts. */
export type Encoding = 'utf8' | 'latin1';

/** C's blanks (isspace in the locale "C"); JavaScript's `\s` has more, U+00A0 among them, which may be part of a letter. */
const BLANK = /[ \t\n\v\f\r]/;

/**
 * A word as the daemon reads it (parse_line in options_parse.c): bare where that is safe, else in double quotes with `\`
 * before each double quote and backslash.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for control characters, which the daemon would drop, and for more than
 *   256 bytes, which it would refuse
 */
export function quoteParameter(word: string, encoding: Encoding = 'utf8'): string {
  refuseControlCharacters(word, 'a parameter');
  const length = Buffer.byteLength(word, encoding);
  if (length > MAX_PARAMETER)
    throw new AgentError(
      'ERR_MANAGEMENT_ARGUMENT',
      `a parameter has ${length} bytes: OpenVPN takes up to ${MAX_PARAMETER}`,
    );
  return quoteWord(word);
}

/** A word quoted as OpenVPN's parser needs it, for a configuration: nothing is refused. */
export function quoteWord(word: string): string {
  // ; and # start a comment, but only where a word begins
  if (/^[^ \t\n\v\f\r;#'"\\][^ \t\n\v\f\r'"\\]*$/.test(word)) return word;
  return `"${word.replace(/[\\"]/g, '\\$&')}"`;
}

/** The words of a command as one line, each quoted as it needs to be. */
export function commandLine(words: readonly (string | number)[], encoding: Encoding = 'utf8'): string {
  if (words.length > MAX_WORDS)
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `a command has ${words.length} words: OpenVPN takes ${MAX_WORDS}`);
  const line = words.map((word) => quoteParameter(String(word), encoding)).join(' ');
  return checkLine(line, MAX_LINE, encoding);
}

/**
 * Returns `line` if it may be sent as one line.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for line ends and other control characters, and for more than 1,023 bytes
 */
export function checkLine(line: string, limit: number = MAX_LINE, encoding: Encoding = 'utf8'): string {
  refuseControlCharacters(line, 'a line');
  const length = Buffer.byteLength(line, encoding);
  if (length > limit)
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `a line has ${length} bytes: OpenVPN takes up to ${limit} here`);
  return line;
}

/**
 * Returns the lines of a block that ends with END, if each may be sent.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for a line `END`, for control characters and for lines over 768 bytes
 */
export function checkBody(lines: readonly string[], encoding: Encoding = 'utf8'): readonly string[] {
  for (const line of lines) {
    if (line === 'END')
      throw new AgentError('ERR_MANAGEMENT_ARGUMENT', 'a block has a line END of its own, which would end it early');
    checkLine(line, MAX_PIPELINED_LINE, encoding);
  }
  return lines;
}

/** A line that the daemon can't read, and why: OpenVPN's own words for it. */
export interface UnreadableLine {
  readonly fault: string;
  readonly hint?: string;
}

/**
 * Reads a line into its words as OpenVPN does (parse_line in options_parse.c), for commands and for configurations alike:
 * `;` and `#` at a word's start begin a comment; a word ends with its quote, whatever follows; inside bare words quotes
 * are letters; a backslash stands before a backslash, a double quote or a blank only; nothing follows a NUL byte.
 */
export function readWords(line: string, encoding: Encoding = 'utf8'): readonly string[] | UnreadableLine {
  const words: string[] = [];
  let word = '';
  let state: 'between' | 'bare' | 'double' | 'single' = 'between';
  let escaped = false;
  // C's text ends with a NUL, which ends a word like a blank
  for (const character of `${line}\0`) {
    if (character === '\\' && !escaped && state !== 'single') {
      escaped = true;
      continue;
    }
    const isEscaped = escaped;
    escaped = false;
    const isEnd = character === '\0';
    const isBlank = isEnd || BLANK.test(character);
    let out = character;
    if (state === 'between') {
      // an escaped blank is skipped like a plain one, an escaped # is a comment all the same
      if (isBlank) out = '';
      else if (character === ';' || character === '#') break;
      else if (!isEscaped && character === '"') [state, out] = ['double', ''];
      else if (!isEscaped && character === "'") [state, out] = ['single', ''];
      else state = 'bare';
    } else if (endsWord(state, character, isBlank, isEscaped)) {
      words.push(word);
      [state, word, out] = ['between', '', ''];
    }
    if (!isEnd && out !== '') {
      if (isEscaped && out !== '\\' && out !== '"' && !isBlank) return BAD_BACKSLASH;
      word += out;
      // the length in characters is never more than in bytes
      if (word.length > MAX_PARAMETER / 4 && Buffer.byteLength(word, encoding) > MAX_PARAMETER)
        return { fault: `Parameter is too long (${MAX_PARAMETER} chars max)` };
    }
    if (isEnd || words.length === MAX_WORDS) break;
  }
  if (state === 'between') return words;
  return { fault: OPEN_ENDS[state] };
}

const BAD_BACKSLASH: UnreadableLine = { fault: "Bad backslash ('\\') usage", hint: 'write two backslashes for one' };

const OPEN_ENDS = {
  double: 'No closing quotation (")',
  single: "No closing single quotation (')",
  // a backslash at the end of a bare word
  bare: 'Residual parse state (2)',
} as const;

function endsWord(state: 'bare' | 'double' | 'single', character: string, isBlank: boolean, escaped: boolean): boolean {
  if (state === 'single') return character === "'";
  return !escaped && (state === 'bare' ? isBlank : character === '"');
}

/** The words of a command's line; undefined where the daemon answers with an error instead ({@link readWords}). */
export function parseLine(line: string, encoding: Encoding = 'utf8'): string[] | undefined {
  const words = readWords(line, encoding);
  return 'fault' in words ? undefined : [...words];
}

/** The daemon drops every byte below space and DEL without a word (command_line_add in manage.c). */
function refuseControlCharacters(text: string, what: string): void {
  if (/[\x00-\x1f\x7f]/.test(text))
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `${what} holds a line end, NUL or another control character`);
}
