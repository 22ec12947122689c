import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { program } from '../../../src/cli/program.ts';

interface Chosen {
  readonly words: readonly string[];
  readonly name: string;
  readonly choices: readonly string[];
}

/** All that takes one of several words, behind the words of its command. */
function chosen(command: Command, words: readonly string[] = []): Chosen[] {
  const options = command.options.map(({ long, argChoices }) => ({
    words,
    name: long ?? '',
    choices: argChoices ?? [],
  }));
  const positions = command.registeredArguments.map(({ argChoices }) => ({
    words,
    name: '',
    choices: argChoices ?? [],
  }));
  return [
    ...[...options, ...positions].filter(({ choices }) => choices.length > 0),
    ...command.commands.flatMap((each) => chosen(each, [...words, each.name()])),
  ];
}

const ALL = chosen(program);

test('there are many', () => {
  expect(ALL.length).toBeGreaterThan(20);
  expect(ALL.map(({ words }) => words.join(' '))).toContain('completion');
});

test.each(ALL)('$words $name says which of $choices was meant', async ({ words, name, choices }) => {
  // with its first two letters swapped
  const [choice = ''] = [...choices].sort((one, other) => other.length - one.length);
  const typo = `${choice[1]}${choice[0]}${choice.slice(2)}`;
  const given = [...words, ...(name === '' ? [] : [name]), typo];
  const refused = await program.parseAsync(given, { from: 'user' }).catch((error: unknown) => error);
  expect(String(refused)).toContain(`(Did you mean ${choice}?)`);
  const far = await program
    .parseAsync([...given.slice(0, -1), 'x-y-z'], { from: 'user' })
    .catch((error: unknown) => error);
  expect(String(far)).toMatch(/Allowed choices are [^(]*$/);
});
