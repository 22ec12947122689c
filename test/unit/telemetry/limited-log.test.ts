import { describe, expect, test } from 'vitest';
import { LimitedLog } from '../../../src/telemetry/limited-log.ts';
import { FakeClock } from '../agent/fake-clock.ts';

describe('a log that others can fill', () => {
  test('leaves lines of one text out when there are hundreds, and says how many', () => {
    const clock = new FakeClock();
    const lines: { readonly fields: object; readonly text: string }[] = [];
    const write = (fields: object, text: string): void => {
      lines.push({ fields, text });
    };
    const limited = new LimitedLog({ debug: write, info: write, warn: write, error: write }, () => clock.now());
    const error = (fields: object): void => {
      limited.write({ level: 'error', fields, text: 'refused' });
    };
    for (let line = 0; line < 10_000; line += 1) error({ line });
    expect(lines.length).toBeLessThan(200);
    const before = lines.length;
    limited.write({ level: 'info', fields: {}, text: 'another' });
    expect(lines).toHaveLength(before + 1);
    clock.pass(1);
    error({});
    expect(lines.at(-1)?.fields).toEqual({ suppressed: 10_000 - before });
    clock.pass(1000);
    error({ one: 1 });
    expect(lines.at(-1)?.fields).toEqual({ one: 1 });
  });
});
