import type { CommandOptions } from '../shell-command.ts';
import type { AskAbout } from './asking.ts';

/** A program with a window of its own: GnuPG's pinentry, or one that ssh has for the purpose (ssh(1), SSH_ASKPASS). */
export type Dialog = 'pinentry' | 'askpass';

const PERCENT = 0x25;
const LF = 0x0a;

/** Text in a line of the Assuan protocol (Libassuan's manual, "Client requests"). */
function assuanText(text: string): string {
  return text.replace(/[%\r\n]/g, (character) => encodeURIComponent(character));
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Of the field that is typed into. */
function labelOf(what: string): string {
  if (what.startsWith('PIN ')) return 'PIN';
  return what.includes('passphrase') ? 'Passphrase' : 'Password';
}

/**
 * How to ask by it.
 * @param what what the secret opens, as in `PIN of token 'x'`
 * @returns a line for /bin/sh, and what goes with it: nothing of it is secret
 */
export function dialogCommand(
  dialog: Dialog,
  what: string,
  { why, wrong, tries }: AskAbout = {},
): { readonly command: string; readonly options: Pick<CommandOptions, 'input' | 'words'> } {
  const asks = `pksigd needs the ${what}${why === undefined ? '' : ` ${why}`}`;
  const rest = tries === undefined ? [] : [sentence(tries)];
  if (dialog === 'askpass') {
    const words = [[...(wrong === undefined ? [] : [sentence(wrong)]), asks, ...rest].join('\n')];
    return { command: 'exec "${SSH_ASKPASS:-ssh-askpass}" "$1"', options: { words } };
  }
  const lines = [
    'SETTITLE pksigd',
    `SETDESC ${assuanText([asks, ...rest].join('\n'))}`,
    `SETPROMPT ${labelOf(what)}:`,
    ...(wrong === undefined ? [] : [`SETERROR ${assuanText(sentence(wrong))}`]),
    'GETPIN',
    'BYE',
  ];
  return {
    // one without a window asks on the terminal that GnuPG is told of
    command: `{ [ -z "$GPG_TTY" ] || printf 'OPTION ttyname=%s\\n' "$GPG_TTY"; cat; } | "\${PINENTRY:-pinentry}"`,
    options: { input: `${lines.join('\n')}\n` },
  };
}

/** The bytes of the secret in one line of data, `D …`, percent-encoded where it must be. */
function dataIn(line: Buffer): number[] {
  const bytes: number[] = [];
  for (let at = 2; at < line.length; at++) {
    const byte = line[at] ?? 0;
    bytes.push(byte === PERCENT ? Number.parseInt(line.toString('latin1', at + 1, at + 3), 16) : byte);
    if (byte === PERCENT) at += 2;
  }
  return bytes;
}

/**
 * What was typed, as a line; `output`, which is what pinentry said, is zeroed.
 * @throws Error if nothing was
 */
export function typedIn(output: Buffer): Buffer {
  const typed: number[] = [];
  let isRefused = false;
  try {
    for (let start = 0; start < output.length; ) {
      const found = output.indexOf(LF, start);
      const line = output.subarray(start, found < 0 ? output.length : found);
      start += line.length + 1;
      if (line[0] === 0x44 && line[1] === 0x20) typed.push(...dataIn(line));
      isRefused ||= line.subarray(0, 4).equals(Buffer.from('ERR '));
    }
    if (typed.length > 0) return Buffer.from([...typed, LF]);
    throw new Error(isRefused ? 'the pinentry was cancelled, or found no place to ask' : 'nothing was typed');
  } finally {
    output.fill(0);
    typed.fill(0);
  }
}
