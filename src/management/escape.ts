import { AgentError } from '../errors.ts';

/** The longest parameter that the daemon reads, in bytes (OPTION_PARM_SIZE in options.h). */
export const MAX_PARAMETER = 256;

/** The longest line that fits the daemon's buffer of 1,024 bytes with its LF (command_line_new in manage.c). */
export const MAX_LINE = 1023;

/**
 * The longest line behind which more may be sent at once. The daemon reads 256 bytes at a time into the same 1,024
 * byte buffer and empties it when it overflows: 768 bytes of an unfinished line and 256 more are what fits.
 */
export const MAX_PIPELINED_LINE = 768;

/** The most words that the daemon reads in a line (MAX_PARMS in options.h). */
const MAX_WORDS = 16;

/**
 * A word of a command as the daemon reads it (parse_line in options_parse.c): bare where that is safe, else in double
 * quotes with `\` before each double quote and backslash.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for control characters, which the daemon would drop, and for more than
 *   256 bytes, which it would refuse
 */
export function quoteParameter(word: string): string {
  refuseControlCharacters(word, 'a parameter');
  const length = Buffer.byteLength(word);
  if (length > MAX_PARAMETER)
    throw new AgentError(
      'ERR_MANAGEMENT_ARGUMENT',
      `a parameter has ${length} bytes: OpenVPN takes up to ${MAX_PARAMETER}`,
    );
  // ; and # start a comment, but only where a word begins
  if (/^[^\s;#'"\\][^\s'"\\]*$/.test(word)) return word;
  return `"${word.replace(/[\\"]/g, '\\$&')}"`;
}

/** The words of a command as one line, each quoted as it needs to be. */
export function commandLine(words: readonly (string | number)[]): string {
  if (words.length > MAX_WORDS)
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `a command has ${words.length} words: OpenVPN takes ${MAX_WORDS}`);
  return checkLine(words.map((word) => quoteParameter(String(word))).join(' '));
}

/**
 * Returns `line` if it may be sent as one line.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for line ends and other control characters, and for more than 1,023 bytes
 */
export function checkLine(line: string, limit: number = MAX_LINE): string {
  refuseControlCharacters(line, 'a line');
  const length = Buffer.byteLength(line);
  if (length > limit)
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `a line has ${length} bytes: OpenVPN takes up to ${limit} here`);
  return line;
}

/**
 * Returns the lines of a block that ends with END, if each may be sent.
 *
 * @throws AgentError ERR_MANAGEMENT_ARGUMENT for a line `END`, for control characters and for lines over 768 bytes
 */
export function checkBody(lines: readonly string[]): readonly string[] {
  for (const line of lines) {
    if (line === 'END')
      throw new AgentError('ERR_MANAGEMENT_ARGUMENT', 'a block has a line END of its own, which would end it early');
    checkLine(line, MAX_PIPELINED_LINE);
  }
  return lines;
}

/**
 * Reads a line as the daemon does, into its words; undefined where the daemon answers with an error: an open quote, a
 * backslash before anything but a backslash, a double quote or a space, a word over 256 bytes.
 */
export function parseLine(line: string): string[] | undefined {
  const words: string[] = [];
  let word = '';
  let state: 'between' | 'bare' | 'double' | 'single' = 'between';
  let escaped = false;
  for (const character of [...Array.from(line), '']) {
    if (character === '\\' && !escaped && state !== 'single') {
      escaped = true;
      continue;
    }
    const blank = character === '' || /\s/.test(character);
    // a backslash at the very end is nothing between words and leaves a word open
    if (escaped && character === '') return state === 'between' ? words : undefined;
    if (escaped && !/^[\\"\s]$/.test(character)) return undefined;
    const plain = escaped;
    escaped = false;
    if (state === 'between') {
      // an escaped blank between words is skipped like a plain one
      if (blank) continue;
      if (!plain && (character === ';' || character === '#')) return words;
      if (!plain && character === '"') state = 'double';
      else if (!plain && character === "'") state = 'single';
      else {
        state = 'bare';
        word = character;
      }
    } else if (
      (state === 'bare' && blank && !plain) ||
      (state === 'double' && character === '"' && !plain) ||
      (state === 'single' && character === "'")
    ) {
      words.push(word);
      word = '';
      state = 'between';
    } else {
      if (character === '') return undefined;
      word += character;
    }
    if (Buffer.byteLength(word) > MAX_PARAMETER) return undefined;
    if (words.length === MAX_WORDS) return words;
  }
  return words;
}

/** The daemon drops every byte below space and DEL without a word (command_line_add in manage.c). */
function refuseControlCharacters(text: string, what: string): void {
  if (/[\x00-\x1f\x7f]/.test(text))
    throw new AgentError('ERR_MANAGEMENT_ARGUMENT', `${what} holds a line end, NUL or another control character`);
}
