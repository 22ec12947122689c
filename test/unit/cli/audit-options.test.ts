import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { addAuditCommands } from '../../../src/cli/audit-options.ts';

function since(text: string): unknown {
  const program = new Command();
  addAuditCommands(program);
  const show = program.commands[0]?.commands.find((command) => command.name() === 'show');
  const parse: ((text: string, before: unknown) => unknown) | undefined = show?.options.find(
    ({ long }) => long === '--since',
  )?.parseArg;
  return parse?.(text, undefined);
}

describe('audit show --since', () => {
  test.for([
    ['2026-11-28', '2026-11-28T00:00:00.000Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000Z'],
    ['2026-11-28T13:00Z', '2026-11-28T13:00:00.000Z'],
    ['2026-11-28 13:00:05Z', '2026-11-28T13:00:05.000Z'],
    ['2026-11-28T13:00:05.250+01:00', '2026-11-28T12:00:05.250Z'],
    ['2026-11-28T13:00:05', new Date(2026, 10, 28, 13, 0, 5).toISOString()],
    ['2026-11-28 13:00', new Date(2026, 10, 28, 13).toISOString()],
  ] as const)('takes %s', ([text, time]) => {
    expect(since(text)).toEqual(new Date(time));
  });

  // JavaScript finds a date in each of these: in the year 2001, in March, on another day than was meant
  test.for([
    '1',
    'yesterday 1',
    'today 3',
    '2026-02-30',
    '2025-02-29',
    '11.12.2026',
    '12/11/2026',
    '2026-13-01',
    '',
    'now',
  ])('refuses %j', (text) => {
    expect(() => since(text)).toThrow('give a time such as');
  });
});
