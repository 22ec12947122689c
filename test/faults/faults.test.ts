import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { faultSetup } from '../tokens/setup/fault.ts';
import { CALLS, TRIED_ONCE, triedAlways, tryCall, type CallOutcome } from './calls.ts';
import type { Fault } from './fault.ts';
import { GROUPS } from './list/index.ts';
import { CALLS_BEGIN, callTable, faultTables } from './page.ts';
import { World } from './world.ts';

const PAGE = join(import.meta.dirname, '../../docs/RELIABILITY.md');
/** Milliseconds within which a daemon is served again when a fault has ended. */
const RECOVERED_WITHIN = 10_000;
const BUG = /a bug in pksigd|"level":"fatal"/;
const isRoot = process.getuid?.() === 0;

async function holds(fault: Fault): Promise<void> {
  await using world = await World.open(fault.world);
  try {
    const from = world.mark();
    const first = world.agent;
    const seen = await fault.strike(world);
    await world.bed.heal();
    const after = {
      hit: await world.hit.askUntilSigned(RECOVERED_WITHIN),
      other: await world.other.askUntilSigned(RECOVERED_WITHIN),
    };
    const { daemon, other } = fault;
    expect({ seen, after }).toEqual({ seen: { daemon, other }, after: { hit: true, other: true } });
    expect(world.codes(first === world.agent ? from : 0)).toEqual(expect.arrayContaining([...fault.log]));
    expect(world.transcript).not.toMatch(BUG);
    expect(await world.auditFault()).toBeUndefined();
  } catch (error) {
    console.error(`${fault.name}:\n${world.transcript}`);
    throw error;
  }
}

const outcomes = new Map(
  Object.keys(CALLS).map((call) => [
    call,
    { always: new Map<string, CallOutcome>(), once: new Map<string, CallOutcome>() },
  ]),
);

describe.skipIf(faultSetup.unavailable() !== undefined)('faults', () => {
  for (const { title, faults } of GROUPS) {
    describe.concurrent(title, () => {
      for (const fault of faults) {
        test.skipIf(fault.needsRoot === true && !isRoot)(fault.name, async () => {
          await holds(fault);
        });
      }
    });
  }

  describe.concurrent('each return value', () => {
    test.each([...outcomes])('at %s', async (call, { always, once }) => {
      await using world = await World.open();
      for (const trouble of triedAlways(call)) always.set(trouble, await tryCall(world, call, trouble, 'always'));
      for (const trouble of TRIED_ONCE) once.set(trouble, await tryCall(world, call, trouble, 'once'));
      const isRed = ([, { daemon, other, after }]: [string, CallOutcome]): boolean =>
        daemon === 'no answer' || other !== 'signed' || after === 'not signed';
      const red = [...always, ...once].filter(isRed);
      if (red.length > 0) console.error(world.transcript);
      expect(red).toEqual([]);
      expect(world.transcript).not.toMatch(BUG);
      expect(await world.auditFault()).toBeUndefined();
    });
  });

  // what a call comes to may differ with the machine's load: the page is what was seen when it was written
  afterAll(async () => {
    const before = existsSync(PAGE) ? await readFile(PAGE, 'utf8') : '';
    const now = faultTables(GROUPS) + callTable(outcomes, before);
    if (process.env['UPDATE_DOCS'] === '1') await writeFile(PAGE, now);
    else if (now !== before) console.warn(now.slice(now.indexOf(CALLS_BEGIN)));
  });
});
