import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { program } from '../../../src/cli/program.ts';

interface Taken {
  readonly words: readonly string[];
  readonly long: string;
}

/** Each option that takes a value, behind the words of its command. */
function valued(command: Command, words: readonly string[] = []): Taken[] {
  return [
    ...command.options
      .filter(({ required, optional }) => required || optional)
      .map(({ long }) => ({ words, long: long ?? '' })),
    ...command.commands.flatMap((each) => valued(each, [...words, each.name()])),
  ];
}

const ALL = valued(program);

test('there are many', () => {
  const names = ALL.map(({ words, long }) => [...words, long].join(' '));
  expect(names).toEqual(
    expect.arrayContaining([
      'run --require-server-name',
      'run --state-directory',
      'sign --algorithm',
      'audit verify --state-directory',
    ]),
  );
  expect(names.length).toBeGreaterThan(150);
});

test.each(ALL)('$words $long refuses an empty value, and names itself', async ({ words, long }) => {
  const refused = await program.parseAsync([...words, long, ''], { from: 'user' }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ message: expect.stringContaining(long) });
  expect(String(refused)).toMatch(/is empty|argument '' is invalid/);
});
