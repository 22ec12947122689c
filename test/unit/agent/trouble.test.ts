import { describe, expect, test } from 'vitest';
import type { TroubleEvent } from '../../../src/agent/events.ts';
import { eventLine } from '../../../src/telemetry/event-lines.ts';
import { Trouble } from '../../../src/agent/trouble.ts';
import { FakeClock } from './fake-clock.ts';

interface Line {
  readonly second: number;
  readonly level: string;
  readonly text: string;
  readonly fields: object;
}

function bed(): { clock: FakeClock; lines: Line[]; trouble: Trouble; seconds: () => number[] } {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const emit = (event: TroubleEvent): void => {
    const line = eventLine({ tunnel: 't', ...event });
    if (line) lines.push({ second: clock.now() / 1000, ...line });
  };
  const trouble = new Trouble(emit, 'connection', clock);
  return { clock, lines, trouble, seconds: () => lines.map(({ second }) => second) };
}

describe('what keeps a tunnel from being served', () => {
  test('is said after its patience, then at a widening interval, up to ten minutes', () => {
    const { clock, trouble, seconds, lines } = bed();
    trouble.set({ level: 'warn', trouble: 'short-lived', patience: 5000, details: { error: 'y' } });
    clock.pass(200);
    expect(seconds()).toEqual([5, 10, 20, 40, 80, 160]);
    expect(lines[1]).toMatchObject({
      level: 'warn',
      text: 'the connection to the daemon does not last',
      fields: { tunnel: 't', error: 'y', hint: expect.stringContaining('log') as string, seconds: 10 },
    });
    clock.pass(10_000);
    const pauses = seconds().map((second, index, all) => second - (all[index - 1] ?? 0));
    expect(Math.max(...pauses)).toBe(600);
    expect(pauses.slice(-3)).toEqual([600, 600, 600]);
  });

  test('is not said when it was over before', () => {
    const { clock, trouble, lines } = bed();
    trouble.set({ level: 'warn', trouble: 'short-lived', patience: 5000 });
    clock.pass(4);
    trouble.clear();
    clock.pass(100);
    expect(lines).toEqual([]);
  });

  test('is said at once where it needs a person, and once that it is over', () => {
    const { clock, trouble, lines } = bed();
    trouble.set({ level: 'error', trouble: 'short-lived' });
    clock.pass(7);
    trouble.clear();
    trouble.clear();
    clock.pass(100);
    expect(lines.map(({ level, second }) => [level, second])).toEqual([
      ['error', 0],
      ['error', 5],
      ['info', 7],
    ]);
  });

  test('tries that fail again and again keep their pauses, whatever each fails with', () => {
    const { clock, trouble, seconds, lines } = bed();
    for (let second = 0; second < 42; second += 1) {
      trouble.set({ level: 'warn', trouble: 'short-lived', patience: 10_000, details: { error: String(second % 2) } });
      clock.pass(1);
    }
    expect(seconds()).toEqual([10, 15, 25]);
    expect(lines[2]?.fields).toMatchObject({ error: '0' });
  });

  test('what comes to need a person is said out of turn', () => {
    const { clock, trouble, lines } = bed();
    trouble.set({ level: 'warn', trouble: 'short-lived', patience: 10_000 });
    clock.pass(31);
    trouble.set({ level: 'error', trouble: 'no-certificate' });
    trouble.set({ level: 'error', trouble: 'no-certificate' });
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'warn', 'warn', 'error']);
  });

  test('hushed, it says nothing until it is set again, and does not begin anew', () => {
    const { clock, trouble, seconds } = bed();
    trouble.set({ level: 'warn', trouble: 'short-lived', patience: 10_000 });
    clock.pass(11);
    trouble.hush();
    clock.pass(100);
    expect(seconds()).toEqual([10]);
    trouble.set({ level: 'warn', trouble: 'short-lived', patience: 10_000 });
    expect(seconds()).toEqual([10, 111]);
  });
});
