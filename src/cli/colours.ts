import { isatty } from 'node:tty';
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

/**
 * Does whoever reads a descriptor want colours? A terminal that can show them, unless NO_COLOR (no-color.org) is set to
 * anything: a file and a pipe never.
 */
export function wantsColours(descriptor: number, env: Readonly<NodeJS.ProcessEnv> = process.env): boolean {
  return isatty(descriptor) && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== undefined && env['TERM'] !== 'dumb';
}

const STDOUT = 1;

/** A text in colours, where standard output wants them. */
export function coloured(style: Style, text: string): string {
  return wantsColours(STDOUT) ? styleText(style, text) : text;
}
