import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

/** A log whose agent the power left, of whose writes behind the last sync one never came to the disk. */
async function withHole(hole: number): Promise<LogBed> {
  const bed = new LogBed();
  bed.settings = { ...bed.settings, sync: 'interval' };
  const log = await bed.open();
  const bounds: number[] = [];
  for (let index = 0; index < 5; index += 1) {
    bounds.push(readFileSync(bed.path).length);
    await log.write(signed('office'), AWAITED).done;
  }
  const bytes = readFileSync(bed.path);
  bytes.fill(0, bounds[hole], bounds[hole + 1]);
  writeFileSync(bed.path, bytes);
  return bed;
}

test.each([0, 1, 3])('a write that is lost, and later ones that are not, are recovered from (%i)', async (hole) => {
  const bed = await withHole(hole);
  for (let starts = 0; starts < 2; starts += 1) {
    const log = await bed.open();
    await log.write(signed('home'), AWAITED).done;
    await log.close();
  }
  expect(alarms(bed)).toEqual([]);
  const { faults, notes, isEnded } = await bed.verify();
  expect(faults).toEqual([]);
  expect(notes.map(({ text }) => text)).toEqual([
    expect.stringMatching(/^an agent was cut off while it wrote the \d+ bytes/),
  ]);
  expect(isEnded).toBe(true);
});

test('what nobody tells of stays a fault', async () => {
  const bed = await withHole(1);
  expect((await bed.verify()).faults).not.toEqual([]);
});

test('and so does a hole before what the state directory knows of', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  const before = readFileSync(bed.path);
  await log.write(signed('office'), AWAITED).done;
  const after = readFileSync(bed.path);
  after.fill(0, before.length - 200, before.length - 100);
  writeFileSync(bed.path, after);
  bed.kill();
  await (await bed.open()).close();
  expect((await bed.verify()).faults).not.toEqual([]);
});

test.each([
  [true, 1],
  [true, 2],
  [false, 1],
  [false, 2],
])(
  'a further file whose first write is lost is gone on in (the one before is there: %s; writes behind that: %i)',
  async (isThere, count) => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync: 'interval' };
    const log = await written(bed);
    // all is on the disk, and nothing is due
    bed.clock.pass(1);
    await log.checkpoint('interval');
    const moved = `${bed.path}.1`;
    renameSync(bed.path, moved);
    bed.clock.pass(1);
    await log.write(signed('office'), AWAITED).done;
    const first = readFileSync(bed.path).length;
    for (let index = 0; index < count; index += 1) await log.write(signed('office'), AWAITED).done;
    writeFileSync(bed.path, readFileSync(bed.path).fill(0, 0, first));
    if (!isThere) rmSync(moved);
    bed.events.length = 0;
    await (await bed.open()).close();
    expect(alarms(bed)).toEqual(isThere ? [] : ['missing']);
    const { faults } = await bed.verify(isThere ? [moved, bed.path] : [bed.path]);
    expect(faults.length > 0).toBe(!isThere);
  },
);

test('a log of which nothing came to the disk, and which a second agent went on in, is not missing', async () => {
  const bed = new LogBed();
  bed.disk.onSync = () => Promise.reject(new Error('EIO'));
  // both are killed
  await bed.open();
  await bed.open();
  writeFileSync(bed.path, bed.durable);
  bed.disk.onSync = () => Promise.resolve();
  await (await bed.open()).close();
  expect(alarms(bed)).toEqual([]);
  expect((await bed.verify()).faults).toEqual([]);
});
