import { describe, expect, test } from 'vitest';
import { limitedLog, type Log } from '../../../src/agent/log.ts';
import { Trouble } from '../../../src/agent/trouble.ts';
import { FakeClock } from './fake-clock.ts';

interface Line {
  readonly second: number;
  readonly level: string;
  readonly text: string;
  readonly fields: object;
}

function bed(): { clock: FakeClock; lines: Line[]; log: Log; trouble: Trouble; seconds: () => number[] } {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const write =
    (level: string) =>
    (fields: object, text: string): void => {
      lines.push({ second: clock.now() / 1000, level, text, fields });
    };
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const trouble = new Trouble(log, { tunnel: 't' }, 'over', clock);
  return { clock, lines, log, trouble, seconds: () => lines.map(({ second }) => second) };
}

describe('what keeps a tunnel from being served', () => {
  test('is said after its patience, then at a widening interval, up to ten minutes', () => {
    const { clock, trouble, seconds, lines } = bed();
    trouble.set({ level: 'warn', text: 'x', patience: 5000, fields: { hint: 'y' } });
    clock.pass(200);
    expect(seconds()).toEqual([5, 10, 20, 40, 80, 160]);
    expect(lines[1]).toMatchObject({ level: 'warn', text: 'x', fields: { tunnel: 't', hint: 'y', seconds: 10 } });
    clock.pass(10_000);
    const pauses = seconds().map((second, index, all) => second - (all[index - 1] ?? 0));
    expect(Math.max(...pauses)).toBe(600);
    expect(pauses.slice(-3)).toEqual([600, 600, 600]);
  });

  test('is not said when it was over before', () => {
    const { clock, trouble, lines } = bed();
    trouble.set({ level: 'warn', text: 'x', patience: 5000 });
    clock.pass(4);
    trouble.clear();
    clock.pass(100);
    expect(lines).toEqual([]);
  });

  test('is said at once where it needs a person, and once that it is over', () => {
    const { clock, trouble, lines } = bed();
    trouble.set({ level: 'error', text: 'x' });
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
      trouble.set({ level: 'warn', text: 'x', patience: 10_000, fields: { error: second % 2 } });
      clock.pass(1);
    }
    expect(seconds()).toEqual([10, 15, 25]);
    expect(lines[2]?.fields).toMatchObject({ error: 0 });
  });

  test('what comes to need a person is said out of turn', () => {
    const { clock, trouble, lines } = bed();
    trouble.set({ level: 'warn', text: 'x', patience: 10_000 });
    clock.pass(31);
    trouble.set({ level: 'error', text: 'y' });
    trouble.set({ level: 'error', text: 'y' });
    expect(lines.map(({ text }) => text)).toEqual(['x', 'x', 'x', 'y']);
  });

  test('hushed, it says nothing until it is set again, and does not begin anew', () => {
    const { clock, trouble, seconds } = bed();
    trouble.set({ level: 'warn', text: 'x', patience: 10_000 });
    clock.pass(11);
    trouble.hush();
    clock.pass(100);
    expect(seconds()).toEqual([10]);
    trouble.set({ level: 'warn', text: 'x', patience: 10_000 });
    expect(seconds()).toEqual([10, 111]);
  });
});

describe('a log that others can fill', () => {
  test('leaves lines of one text out when there are hundreds, and says how many', () => {
    const { clock, log, lines } = bed();
    const limited = limitedLog(log, () => clock.now());
    for (let line = 0; line < 10_000; line += 1) limited.error({ line }, 'refused');
    expect(lines.length).toBeLessThan(200);
    const before = lines.length;
    limited.info({}, 'another');
    expect(lines).toHaveLength(before + 1);
    clock.pass(1);
    limited.error({}, 'refused');
    expect(lines.at(-1)?.fields).toEqual({ suppressed: 10_000 - before });
    clock.pass(1000);
    limited.error({ one: 1 }, 'refused');
    expect(lines.at(-1)?.fields).toEqual({ one: 1 });
  });
});
