import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { printable } from '../telemetry/printable.ts';
import { print } from './standard-streams.ts';
import { complete } from './complete-words.ts';
import { SOURCES } from './completion-sources.ts';

/** Shells whose scripts lie in the folder `completion`. */
export type Shell = 'bash' | 'zsh' | 'fish';

const script = (shell: Shell): string =>
  readFileSync(new URL(`../../completion/pksigd.${shell}`, import.meta.url), 'utf8');

/** `pksigd completion`: a shell's script, or, where words are given, what it asks for. */
export async function completionCommand(program: Command, shell: Shell, words: readonly string[]): Promise<void> {
  if (words.length === 0) {
    print(script(shell));
    return;
  }
  const { candidates, files } = await complete(program, words, SOURCES);
  const lines = candidates.map(({ text, about }) => `${printable(text)}\t${printable(about)}`);
  print(`${[files ? 'files' : 'words', ...lines].join('\n')}\n`);
}
