// What one write to an audit log has, and what is left of one that failed.
import { appendFileSync, rmSync, truncateSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { WrittenEntry } from '../../../../src/audit/line.ts';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

const isSigned = (entry: WrittenEntry): boolean => 'seal' in entry || 'signature' in entry;

/** Entries of which all but the first are written at once: that one is under way when they come. */
async function writeAtOnce(bed: LogBed, count: number): Promise<WrittenEntry[]> {
  const log = await bed.open();
  const { length } = bed.entries();
  await Promise.all(Array.from({ length: count + 1 }, () => log.write(signed('office')).done));
  const entries = bed.entries().slice(length + 1);
  await log.close();
  expect((await bed.verify()).faults).toEqual([]);
  return entries;
}

test('a write is signed once, at its end', async () => {
  const entries = await writeAtOnce(new LogBed(), 3);
  expect(entries.map(({ type }) => type)).toEqual(['outcome', 'outcome', 'outcome']);
  expect(entries.map((entry) => 'seal' in entry)).toEqual([false, false, true]);
});

test('a write of many ends with a checkpoint, which is all that is signed', async () => {
  const entries = await writeAtOnce(new LogBed(), 120);
  expect(entries).toHaveLength(121);
  expect(entries.at(-1)).toMatchObject({ type: 'checkpoint', reason: 'interval' });
  expect(entries.filter((entry) => 'seal' in entry)).toEqual([]);
  expect(entries.at(-1)).toSatisfy(isSigned);
});

test('what came of a write that failed, up to its last signed line, counts', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  const three = async (): Promise<PromiseSettledResult<void>[]> => {
    const first = log.write(signed('first'));
    // both in one write
    const checkpoint = log.checkpoint('interval');
    const last = log.write(signed('last'), AWAITED);
    return await Promise.allSettled([first.done, checkpoint, last.done]);
  };
  await three();
  const sizes = bed.texts()[0]?.split('\n').slice(-4, -2) ?? [];
  expect(sizes).toHaveLength(2);
  bed.disk.room = sizes.join('\n').length + 60;
  const results = await three();
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  bed.disk.room = Number.POSITIVE_INFINITY;
  await log.write(signed('after'), AWAITED).done;
  await log.close();
  expect(bed.types().slice(-6)).toEqual(['outcome', 'interval', 'recovered', 'lost', 'outcome', 'end']);
  expect(bed.entries().filter(({ type }) => type === 'lost')).toMatchObject([{ entries: 1 }]);
  expect((await bed.verify()).faults).toEqual([]);
});

test('what others have put behind the log is theirs, also where a write fails behind it', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  appendFileSync(bed.path, 'x\n');
  bed.clock.pass(1);
  bed.disk.room = 20;
  await expect(log.write(signed('one'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  expect(bed.events).toContainEqual({ type: 'audit-disturbed', file: bed.path, change: 'appended to' });
  bed.disk.room = Number.POSITIVE_INFINITY;
  await log.write(signed('two'), AWAITED).done;
  await log.close();
  expect(bed.entries().filter(({ type }) => type === 'recovered')).toMatchObject([{ bytes: 23, cause: 'foreign' }]);
});

test('a start that waits for room stands behind the word that the file was truncated', async () => {
  const bed = new LogBed();
  await (await written(bed)).close();
  bed.disk.room = 20;
  const log = await bed.open();
  truncateSync(bed.path);
  bed.disk.room = Number.POSITIVE_INFINITY;
  bed.clock.pass(1);
  await log.write(signed('office'), AWAITED).done;
  await log.close();
  expect(alarms(bed)).toEqual(['truncated']);
  expect(bed.events).toContainEqual({ type: 'audit-disturbed', file: bed.path, change: 'truncated' });
  expect(bed.types()).toEqual(['continue', 'start', 'lost', 'outcome', 'end']);
  expect(bed.entries()[0]).toMatchObject({ type: 'continue', reason: 'truncated', file: 2, seq: 7, after: null });
});

test('a start that waits for room stands behind the word that the file was deleted', async () => {
  const bed = new LogBed();
  await (await written(bed)).close();
  bed.disk.room = 20;
  const log = await bed.open();
  rmSync(bed.path);
  bed.disk.room = Number.POSITIVE_INFINITY;
  bed.clock.pass(1);
  await log.write(signed('office'), AWAITED).done;
  await log.close();
  expect(bed.types([bed.path])).toEqual(['continue', 'start', 'lost', 'outcome', 'end']);
});

test('an entry that the system takes piece by piece is written whole', async () => {
  const bed = new LogBed();
  const log = await bed.open();
  bed.disk.most = 100;
  await log.write(signed('office'), AWAITED).done;
  await log.close();
  expect(bed.types()).toEqual(['start', 'start', 'outcome', 'end']);
  expect((await bed.verify()).faults).toEqual([]);
});

test('one that waits for the disk has it synced, also among others that do not', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  const { syncs } = bed.disk;
  void log.write(signed('first')).done;
  void log.write(signed('second')).done;
  await log.write(signed('third'), AWAITED).done;
  expect(bed.disk.syncs).toBe(syncs + 1);
  await log.close();
});

test('what tells of losses is written once, also where the sync behind it fails', async () => {
  const bed = new LogBed();
  const log = await written(bed);
  bed.disk.room = 0;
  await expect(log.write(signed('one'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  bed.disk.room = Number.POSITIVE_INFINITY;
  bed.disk.onSync = () => Promise.reject(new Error('EIO: i/o error, fdatasync'));
  await expect(log.write(signed('two'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  bed.disk.onSync = () => Promise.resolve();
  await log.write(signed('three'), AWAITED).done;
  await log.close();
  expect(bed.entries().filter(({ type }) => type === 'lost')).toMatchObject([{ entries: 1 }]);
  expect(bed.types().slice(-4)).toEqual(['lost', 'outcome', 'outcome', 'end']);
});
