import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { test } from '../support/bench.ts';
import { DIFFERENCES, LEFT_OUT } from './likeness/left-out.ts';
import { bundleCalls, callReal, callSimulated } from './likeness/modules.ts';
import { SCRIPTS } from './likeness/scripts.ts';
import { softHsmSetup } from './setup/softhsm.ts';

let folder: string;
let program: string;

beforeAll(async () => {
  // below node_modules, whose packages it imports
  folder = await mkdtemp(join(import.meta.dirname, '../../node_modules/.likeness-'));
  program = await bundleCalls(folder);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

// docs/SIMULATION.md: worlds prove something of the agent as far as their tokens are like real ones
describe.skipIf(softHsmSetup.unavailable() !== undefined)(
  'the simulated module returns what SoftHSM returns',
  { concurrent: true },
  () => {
    test.for(SCRIPTS)('$name', async (script, { bench, expect: compare }) => {
      const real = await callReal(bench, script, program);
      const simulated = callSimulated(script);
      const differences = DIFFERENCES.filter((each) => each.script === script.name).flatMap(({ lines }) => lines);
      const found = new Set<unknown>();
      const wanted = real.map((line, index) => {
        const difference = differences.find(([of, is]) => of === line && is === simulated[index]);
        if (!difference) return line;
        found.add(difference);
        return difference[1];
      });
      compare(simulated).toEqual(wanted);
      compare([...found]).toHaveLength(differences.length);
    });
  },
);

test('what differs is called, and has a reason', () => {
  const names = SCRIPTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { script, why } of DIFFERENCES) {
    expect(names).toContain(script);
    expect(why).not.toBe('');
  }
  for (const [, why] of LEFT_OUT) expect(why).not.toBe('');
});
