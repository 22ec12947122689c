import { performance } from 'node:perf_hooks';
import { afterAll, describe, expect } from 'vitest';
import { cureOf, explain } from '../../src/cli/explanations/index.ts';
import { test } from '../support/bench.ts';
import { OF_OTHERS } from '../support/mistakes/others.ts';
import { OF_TOKENS } from '../support/mistakes/tokens.ts';

const MISTAKES = [...OF_TOKENS, ...OF_OTHERS];

/** Seconds until somebody was told: to read, since no test goes by time. */
const told: Record<string, unknown>[] = [];
afterAll(() => {
  console.table(told);
});

describe.concurrent('mistakes', () => {
  test('are at least forty', () => {
    expect(MISTAKES.length).toBeGreaterThanOrEqual(40);
  });

  test.for(MISTAKES)('$what', async ({ what, command, says, code, exit, cure }, { bench }) => {
    const args = await command(bench);
    const start = performance.now();
    const pksigd = await bench.pksigd(args);
    const line = await pksigd.until(String(says), () =>
      [...pksigd.stdout, ...pksigd.stderr].find((each) => says.test(each)),
    );
    told.push({ mistake: what, code, exit, seconds: Number(((performance.now() - start) / 1000).toFixed(1)) });
    if (exit !== 'stays') expect(await pksigd.exited).toBe(exit);
    if (code !== '' && code !== 'ERR_USAGE') expect(line).toContain(code);
    const entries = explain(line);
    if (code !== 'ERR_USAGE') expect(entries.length).toBeGreaterThan(0);
    const cures = entries.flatMap((entry) => entry.causes.flatMap((cause) => [cause.why, cureOf(cause)]));
    expect([line, ...cures].join('\n')).toMatch(cure);
  });
});
