import { describe, expect } from 'vitest';
import { test } from '../support/bench.ts';
import { LEFT_OUT } from './likeness/left-out.ts';
import { RealStage } from './likeness/real-stage.ts';
import { SCRIPTS } from './likeness/scripts.ts';
import { playSimulated } from './likeness/simulated-stage.ts';

// docs/SIMULATION.md: worlds prove something of the agent as far as their daemons are like real ones
describe.concurrent('the simulated daemon says what a real one says, line by line', () => {
  test.for(SCRIPTS)('$name', async (script, { bench, expect: compare }) => {
    const stage = await RealStage.open(bench, script.settings ?? {});
    await script.play(stage);
    await stage.close();
    const isLeftOut = (line: string): boolean => LEFT_OUT.some(({ lines }) => lines?.test(line));
    const real = stage.transcript.filter((line) => !isLeftOut(line));
    compare(await playSimulated(script)).toEqual(real);
    for (const { lines, heardIn } of LEFT_OUT)
      if (heardIn === script.name) compare(stage.transcript).toContainEqual(compare.stringMatching(lines ?? /^$/));
  });
});

test('what is left out is heard somewhere, and has a reason', () => {
  const names = SCRIPTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { lines, heardIn, why } of LEFT_OUT) {
    expect(why).not.toBe('');
    if (lines) expect(names).toContain(heardIn);
  }
});
