import { COMMANDS } from '../management/index.ts';

/** What a line can go on with, for node:readline: the commands, or the words that can follow one. */
export function completeCommand(line: string): [matches: string[], typed: string] {
  const [name = '', ...rest] = line.split(/\s+/);
  if (rest.length === 0) return [Object.keys(COMMANDS).filter((each) => each.startsWith(name)), name];
  const typed = rest.at(-1) ?? '';
  return [wordsBehind(name, rest.slice(0, -1)).filter((each) => each.startsWith(typed)), typed];
}

function wordsBehind(name: string, before: readonly string[]): readonly string[] {
  const words = COMMANDS[name]?.words ?? [];
  if (before.length === 0) return words;
  // `log on all`, `state on 3`
  return before.length === 1 && before[0] === 'on' && words.includes('all') ? ['all'] : [];
}
