import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { LogHandle } from '../../../../src/agent/audit/log-file.ts';
import { put } from './forger.ts';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

describe('two paths', () => {
  test('that take turns have one chain', async () => {
    const bed = new LogBed();
    const other = `${bed.folder}/audit.other`;
    const first = await written(bed);
    await first.checkpoint('rotate');
    const second = await bed.open(other, first);
    await first.close(true);
    await second.write(signed('office'), AWAITED).done;
    await second.checkpoint('rotate');
    const third = await bed.open(bed.path, second);
    await second.close(true);
    await third.write(signed('office'), AWAITED).done;
    await third.close();
    expect(alarms(bed)).toEqual([]);
    const verdict = await bed.verify([`${bed.path}.000001`, other, bed.path]);
    expect(verdict).toMatchObject({ faults: [], notes: [], isEnded: true });
    // and over a restart
    await (await bed.open(other)).close();
    expect(alarms(bed)).toEqual([]);
    const all = [`${bed.path}.000001`, `${other}.000002`, bed.path, other];
    expect(await bed.verify(all)).toMatchObject({ faults: [], notes: [] });
  });

  test('have one chain where an agent is killed before the other one knows, and again behind its first lines', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync: 'interval' };
    const other = `${bed.folder}/audit.other`;
    const first = await written(bed);
    const second = await bed.open(other, first);
    await first.close(true);
    // what nothing has synced is in the file all the same
    await second.write(signed('office'), AWAITED).done;
    const third = await bed.open();
    await third.write(signed('office'), AWAITED).done;
    await (await bed.open()).close();
    expect(alarms(bed)).toEqual([]);
    const verdict = await bed.verify([`${bed.path}.000001`, other, bed.path]);
    expect(verdict).toMatchObject({ faults: [], notes: [], isEnded: true });
  });

  test('tell in the second of half a line that the first ends with', async () => {
    for (const isKilled of [false, true]) {
      const bed = new LogBed();
      const other = `${bed.folder}/audit.other`;
      const before = await bed.open(other);
      const first = await bed.open(bed.path, before);
      await before.close(true);
      bed.disk.room = 100;
      await expect(first.write(signed('lost'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
      bed.disk.room = Number.POSITIVE_INFINITY;
      // killed, or told to go on elsewhere
      const second = await bed.open(other, isKilled ? undefined : first);
      await second.write(signed('office'), AWAITED).done;
      await second.close();
      expect(alarms(bed)).toEqual([]);
      expect(bed.types([other]).slice(0, 3)).toEqual(['continue', 'recovered', 'start']);
      const all = [`${other}.000001`, bed.path, other];
      const note = 'an agent was cut off while it wrote the 100 bytes at the end of the file before';
      expect(await bed.verify(all)).toMatchObject({ faults: [], notes: [{ file: '3', text: note }] });
      const alone = (await bed.verify([other])).notes.map(({ text }) => text);
      expect(alone).toEqual(['begins with entry 6: those before are not in these files', note]);
      // those bytes are what they were, or that is found
      truncateSync(bed.path, readFileSync(bed.path).length - 1);
      expect((await bed.verify(all)).faults).not.toEqual([]);
      truncateSync(bed.path, readFileSync(bed.path).length - 99);
      expect((await bed.verify(all)).faults).not.toEqual([]);
    }
  });

  test('go on in the second only when the first is on the disk', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync: 'interval' };
    const first = await written(bed);
    await first.checkpoint('rotate');
    expect(bed.durable).toEqual(readFileSync(bed.path));
  });
});

describe('a further file of a log that is moved', () => {
  test('is the agent’s own, also if it is killed before anything was synced', async () => {
    for (const change of ['moved', 'removed', 'truncated']) {
      const bed = new LogBed();
      bed.settings = { ...bed.settings, sync: 'interval' };
      const log = await written(bed);
      const moved = `${bed.folder}/elsewhere`;
      if (change === 'truncated') truncateSync(bed.path);
      else renameSync(bed.path, change === 'moved' ? moved : `${bed.folder}/gone`);
      bed.clock.pass(1);
      await log.write(signed('office'), AWAITED).done;
      bed.events.length = 0;
      await (await bed.open()).close();
      expect(alarms(bed)).toEqual([]);
    }
  });
});

describe('a file that is copied and truncated', () => {
  test.for([0, 1, 9])('goes on, also when that is noticed %i entries later', async (late) => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.clock.pass(1);
    await log.write(signed('office'), AWAITED).done;
    const copy = `${bed.folder}/copy`;
    copyFileSync(bed.path, copy);
    truncateSync(bed.path);
    for (let index = 0; index < late; index += 1) await log.write(signed('late'), AWAITED).done;
    bed.clock.pass(1);
    await log.write(signed('home'), AWAITED).done;
    await log.close();
    await (await bed.open()).close();
    expect(alarms(bed)).toEqual(['truncated']);
    const note = 'the file was truncated by another program: nothing is missing here';
    const { faults, notes } = await bed.verify([copy, bed.path]);
    expect([faults, notes.map(({ text }) => text)]).toEqual([[], late === 0 ? [] : [note]]);
  });

  test('in the midst of a line has lost that', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    truncateSync(bed.path, readFileSync(bed.path).length - 100);
    bed.clock.pass(1);
    await log.write(signed('home'), AWAITED).done;
    await log.close();
    expect((await bed.verify()).faults.map(({ text }) => text)).toContain('this line is no entry');
  });
});

test('a file that another program puts there as soon as one is set aside is refused', async () => {
  const bed = new LogBed();
  await (await written(bed)).close();
  put(bed.path, 'x\n');
  const { open } = bed.disk;
  const handles: LogHandle[] = [];
  Object.assign(bed.disk, {
    open: async (...given: Parameters<typeof open>) => {
      if (handles.length > 0) put(bed.path, 'y\n');
      const handle = await open(...given);
      handles.push(handle);
      return handle;
    },
  });
  await expect(bed.open()).rejects.toMatchObject({
    ...{ code: 'ERR_AUDIT_FILE', message: `another program writes ${bed.path}` },
  });
  expect(handles).toHaveLength(2);
  // both are closed
  for (const handle of handles) await expect(handle.stat()).rejects.toMatchObject({ code: 'EBADF' });
  expect(bed.texts()).toEqual(['x\n', 'y\n']);
});

test('a further file that can not be opened is opened with the next entry', async () => {
  const bed = new LogBed();
  const { open } = bed.disk;
  let isBroken = false;
  Object.assign(bed.disk, {
    open: async (...given: Parameters<typeof open>) => {
      if (isBroken) throw new Error('EMFILE: too many open files');
      return await open(...given);
    },
  });
  const log = await written(bed);
  isBroken = true;
  log.settings = { ...bed.settings, rotateAge: 0 };
  await expect(log.write(signed('one'), AWAITED).done).rejects.toMatchObject({
    ...{ code: 'ERR_AUDIT_WRITE', message: expect.stringContaining('EMFILE') },
  });
  log.settings = bed.settings;
  expect(bed.files).toEqual([`${bed.path}.000001`]);
  await expect(log.write(signed('two'), AWAITED).done).rejects.toMatchObject({
    message: expect.stringContaining('EMFILE'),
  });
  isBroken = false;
  await log.write(signed('three'), AWAITED).done;
  await log.close();
  expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', reason: 'rotated', file: 2 });
  expect(bed.types([bed.path])).toEqual(['continue', 'lost', 'outcome', 'end']);
  expect((await bed.verify()).faults).toEqual([]);
});

test.each([
  [
    'moved',
    (path: string) => {
      renameSync(path, `${path}.1`);
    },
    { reason: 'moved', after: null },
  ],
  [
    'deleted',
    (path: string) => {
      rmSync(path);
    },
    { reason: 'deleted', after: null },
  ],
  ['rotated', () => undefined, { reason: 'rotated', after: 'audit.jsonl.000001' }],
] as const)('a file behind one that is %s while the agent writes says so first', async (what, disturb, said) => {
  const bed = new LogBed();
  if (what === 'rotated') bed.settings = { ...bed.settings, rotateSize: 1 };
  const log = await bed.open();
  disturb(bed.path);
  bed.clock.pass(1);
  await log.write(signed('office'), AWAITED).done;
  expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', ...said, aside: null, file: 2 });
  await log.close();
});
