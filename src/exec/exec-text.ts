// Keys behind a program that anybody can write (docs/EXEC.md): the program is told what to sign on its standard input, and says
// the signature on its standard output. For keys/.
import { isAbsolute, resolve } from 'node:path';
import { AgentError } from '../errors.ts';

/** What an `exec:` text names. */
export interface ExecText {
  /** The program's path, as it was given. */
  readonly program: string;
  /** Its arguments, which say which key: whoever sees the list of processes sees them. */
  readonly words: readonly string[];
}

const SCHEME = 'exec:';

export function isExecText(text: string): boolean {
  return text.startsWith(SCHEME);
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    throw new AgentError('ERR_USAGE', `in an exec: key % stands before two hexadecimal digits: '${word}'`, {
      hint: 'write %25 for a percent sign, %20 for a blank in a path or argument',
    });
  }
}

/** What would part words, or end them, in an argument list. */
function encoded(word: string): string {
  return word.replace(/[%\s\p{Cc}\p{Cf}\p{Z}]/gu, (character) => encodeURIComponent(character));
}

/**
 * Reads `exec:PROGRAM WORD…`: words are parted by blanks, and percent-encoded as in `pkcs11:` URIs.
 * @throws AgentError ERR_USAGE
 */
export function parseExecText(text: string): ExecText {
  const [program, ...words] = text.slice(SCHEME.length).split(' ').filter(Boolean).map(decoded);
  const given = [program ?? '', ...words];
  if (given.some((word) => word.includes('\0'))) {
    throw new AgentError('ERR_USAGE', 'an exec: key with a NUL character in it');
  }
  if (program?.includes('/') !== true) {
    throw new AgentError('ERR_USAGE', `'${text}' is not exec:PROGRAM with the path of a program`, {
      hint: 'write exec:/path/to/program; no program is looked for in $PATH',
    });
  }
  return { program, words };
}

/** The inverse of {@link parseExecText}. */
export function formatExecText({ program, words }: ExecText): string {
  return `${SCHEME}${[program, ...words].map(encoded).join(' ')}`;
}

/** The same key, with the path of its program counted from a folder. @throws AgentError ERR_USAGE */
export function execTextFrom(text: string, folder: string): string {
  const { program, words } = parseExecText(text);
  return isAbsolute(program) ? text : formatExecText({ program: resolve(folder, program), words });
}
