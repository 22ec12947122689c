import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type * as Simulation from './main.ts';
import { minimise } from './minimise.ts';
import { type Mishap, planOf } from './plan.ts';

const ROOT = join(import.meta.dirname, '../..');
let folder: string;
let simulation: typeof Simulation;

beforeAll(async () => {
  // below node_modules, whose packages it imports
  folder = await mkdtemp(join(ROOT, 'node_modules/.simulation-'));
  const bundle = pathToFileURL(join(ROOT, 'scripts/simulation/bundle.mjs')).href;
  const { bundleSimulation } = (await import(bundle)) as {
    bundleSimulation: (folder: string) => Promise<typeof Simulation>;
  };
  simulation = await bundleSimulation(folder);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test('each mutant has its place in the agent, once', async () => {
  const text = await readFile(join(ROOT, 'scripts/simulation/mutants.json'), 'utf8');
  for (const { what, file, from } of JSON.parse(text) as { what: string; file: string; from: string }[])
    expect((await readFile(join(ROOT, file), 'utf8')).split(from), what).toHaveLength(2);
});

describe('a simulated world', () => {
  test('is the same whenever its seed is run', async () => {
    const first = await simulation.runPlan(planOf(142), true);
    expect(first.lines.length).toBeGreaterThan(200);
    for (const seed of [1, 2, 3]) await simulation.runPlan(planOf(seed));
    const second = await simulation.runPlan(planOf(142), true);
    expect(second.lines).toEqual(first.lines);
  });

  test('holds, of twenty seeds', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const { violations, counts } = await simulation.runPlan(planOf(seed));
      expect({ seed, violations }).toEqual({ seed, violations: [] });
      expect(counts.get('signature'), `seed ${seed}`).toBeGreaterThan(0);
      for (const what of counts.keys()) seen.add(what);
    }
    // what does not happen, or is not looked at, holds too
    const looked = ['audit log verified', 'answer to a visitor'];
    expect([...seen]).toEqual(expect.arrayContaining(['login', 'wrong PIN', 'empty block', 'visit', ...looked]));
  });

  test.each(['--seeds', '--jobs', '--from', '--seed'])('is not taken to hold where %s makes none', (option) => {
    const script = join(ROOT, 'scripts/simulation/run.mjs');
    const { status, stderr } = spawnSync(process.execPath, [script, option, 'x'], { encoding: 'utf8' });
    expect(stderr).toBe(`${option} takes a whole number from 1 on, not 'x'\n`);
    expect(status).toBe(2);
  });
});

describe('a world that fails', () => {
  test('is left with the mishaps that it takes', async () => {
    const plan = planOf(12);
    const mishaps = Array.from({ length: 20 }, (_, at): Mishap => ({ at, type: 'forget' }));
    const needed = [mishaps[3], mishaps[4], mishaps[17]];
    const least = await minimise({ ...plan, mishaps }, (fewer) =>
      Promise.resolve(needed.every((each) => each !== undefined && fewer.mishaps.includes(each))),
    );
    expect(least.mishaps).toEqual(needed);
  });
});
