// A reload names another file while the disk is full: the one before ends within a line, and the next one gets none at first.
import { mkdirSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import type { AuditLog } from '../../../../src/agent/audit/audit-log.ts';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

let bed: LogBed;
let before: AuditLog;
const at = (name: string): string => join(bed.folder, name);

beforeEach(async () => {
  bed = new LogBed();
  before = await written(bed);
  bed.disk.room = 20;
  await expect(before.write(signed('office'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
});

/** Goes on in another file, which gets nothing. */
async function switchTo(name: string, present: AuditLog): Promise<AuditLog> {
  const next = await bed.open(at(name), present);
  await present.close(true);
  return next;
}

/** @param bytes what is told of; in the same file with the end of its line */
async function isWhole(names: readonly string[], bytes = 20): Promise<void> {
  const paths = names.map(at);
  expect((await bed.verify(paths)).faults).toEqual([]);
  expect(bed.entries(paths)).toContainEqual(expect.objectContaining({ type: 'recovered', cause: 'cut-off', bytes }));
  expect(alarms(bed)).toEqual([]);
}

test('and the agent is killed: the next one knows where the log goes on, and of half the line', async () => {
  await switchTo('next', before);
  bed.disk.room = Number.POSITIVE_INFINITY;
  const again = await bed.open(at('next'));
  await again.close();
  await isWhole(['audit.jsonl', 'next']);
});

test('and another state directory, and the agent is killed: that knows where the log goes on, too', async () => {
  rmSync(bed.state, { recursive: true });
  bed.renew();
  await switchTo('next', before);
  bed.disk.room = Number.POSITIVE_INFINITY;
  const again = await bed.open(at('next'));
  await again.close();
  await isWhole(['audit.jsonl', 'next']);
});

test('and a further one: that follows the one that has the last entry', async () => {
  const next = await switchTo('next', before);
  const third = await switchTo('third', next);
  bed.disk.room = Number.POSITIVE_INFINITY;
  await third.write(signed('office'), AWAITED).done;
  await third.close();
  await isWhole(['audit.jsonl', 'third']);
  expect(bed.entries([at('third')])[0]).toMatchObject({ type: 'continue', reason: 'switched', after: bed.path });
});

test('and back again, in the file that was begun before', async () => {
  const next = await switchTo('next', before);
  const back = await switchTo('audit.jsonl', next);
  bed.disk.room = Number.POSITIVE_INFINITY;
  await back.write(signed('office'), AWAITED).done;
  await back.close();
  await isWhole(['audit.jsonl'], 21);
});

test('and the agent ends without an entry there: the next one knows where the log goes on', async () => {
  const next = await switchTo('next', before);
  await next.close();
  bed.disk.room = Number.POSITIVE_INFINITY;
  const again = await bed.open(at('next'));
  await again.close();
  await isWhole(['audit.jsonl', 'next']);
});

test('and a further one, and the agent is killed: it follows the one that has the last entry', async () => {
  await switchTo('third', await switchTo('next', before));
  bed.disk.room = Number.POSITIVE_INFINITY;
  const again = await bed.open(at('third'));
  await again.close();
  await isWhole(['audit.jsonl', 'third']);
  expect(bed.entries([at('third')])[0]).toMatchObject({ type: 'continue', reason: 'switched', after: bed.path });
});

test.each([500, 900])(
  'and the next one is torn, too, %i bytes behind its beginning: both are told of',
  async (room) => {
    bed.disk.room = room;
    const next = await switchTo('next', before);
    await next.write(signed('office'), AWAITED).done.catch(() => undefined);
    bed.disk.room = Number.POSITIVE_INFINITY;
    await next.write(signed('office'), AWAITED).done;
    await next.close();
    await isWhole(['audit.jsonl', 'next']);
  },
);

/** What is told of the file before is told once there is room, whoever took away what was begun; also by the next agent. */
async function isToldIn(next: AuditLog, change: string, isKilled: boolean): Promise<void> {
  bed.clock.pass(2);
  await expect(next.write(signed('office'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  expect(alarms(bed)).toEqual([change]);
  bed.events.length = 0;
  bed.disk.room = Number.POSITIVE_INFINITY;
  const last = isKilled ? await bed.open(at('next')) : next;
  await last.write(signed('office'), AWAITED).done;
  await last.close();
  await isWhole(['audit.jsonl', 'next']);
  expect(bed.entries([at('next')]).filter(({ type }) => type === 'continue')).toEqual([
    expect.objectContaining({ reason: 'switched', after: bed.path, file: 2 }),
  ]);
}

test.each([false, true])('and the next one is deleted before it has an entry (killed then: %s)', async (isKilled) => {
  const next = await switchTo('next', before);
  rmSync(at('next'));
  await isToldIn(next, 'moved', isKilled);
});

test.each([
  [0, false],
  [0, true],
  [7, false],
  [7, true],
])('and the next one, with half a line, is cut to %i bytes (killed then: %s)', async (size, isKilled) => {
  bed.disk.room = 30;
  const next = await switchTo('next', before);
  truncateSync(at('next'), size);
  await isToldIn(next, 'truncated', isKilled);
});

test('and the one before was moved by another program: half the line in it is told of, too', async () => {
  renameSync(bed.path, `${bed.path}.1`);
  bed.clock.pass(2);
  await before.checkpoint('rotate');
  await before.pause();
  const next = await switchTo('next', before);
  bed.disk.room = Number.POSITIVE_INFINITY;
  await next.write(signed('office'), AWAITED).done;
  await next.close();
  expect((await bed.verify([`${bed.path}.1`, at('next')])).faults).toEqual([]);
});

test('and the folder of the one before is gone: the next one goes on without it', async () => {
  const folder = at('folder');
  mkdirSync(folder);
  bed.disk.room = Number.POSITIVE_INFINITY;
  const there = await switchTo('folder/log', before);
  await there.close();
  rmSync(folder, { recursive: true });
  const next = await bed.open(at('next'), there);
  await next.close();
  expect(bed.entries([at('next')])[0]).toMatchObject({ reason: 'switched', after: join(folder, 'log') });
});

test('a file of which nothing was on the disk, and that was moved, is followed all the same', async () => {
  bed = new LogBed();
  bed.disk.onSync = () => Promise.reject(new Error('EIO'));
  await bed.open();
  // killed
  renameSync(bed.path, `${bed.path}.1`);
  bed.disk.onSync = () => Promise.resolve();
  const again = await bed.open();
  await again.close();
  const files = [`${bed.path}.1`, bed.path];
  expect((await bed.verify(files)).faults).toEqual([]);
  expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', reason: 'moved' });
});

test('a first file of another log is not followed', async () => {
  bed = new LogBed();
  const other = await bed.open();
  await other.close();
  renameSync(bed.path, `${bed.path}.1`);
  rmSync(bed.state, { recursive: true });
  bed.renew();
  bed.disk.room = 0;
  await bed.open();
  // killed
  bed.disk.room = Number.POSITIVE_INFINITY;
  const again = await bed.open();
  await again.close();
  expect(bed.entries([bed.path])[0]).toMatchObject({ seq: 1, type: 'start' });
});

test('a log’s first file, of which nothing was on the disk when another one was named, is not taken for replaced', async () => {
  bed = new LogBed();
  bed.disk.onSync = () => Promise.reject(new Error('EIO'));
  const first = await bed.open();
  const next = await switchTo('next', first);
  const back = await switchTo('audit.jsonl', next);
  await back.close();
  expect(alarms(bed)).toEqual([]);
  expect((await bed.verify([`${bed.path}.000001`, at('next'), bed.path])).faults).toEqual([]);
});

test('and there is room again before the next one is open: the one before writes nothing more', async () => {
  await before.pause();
  const { seq } = before.known;
  bed.disk.room = Number.POSITIVE_INFINITY;
  bed.clock.pass(2);
  const next = await switchTo('next', before);
  await next.close();
  expect(before.known.seq).toBe(seq);
  await isWhole(['audit.jsonl', 'next']);
});

test('and the next one can not be opened: the one before tells of what was lost as soon as there is room', async () => {
  await before.pause();
  bed.disk.room = Number.POSITIVE_INFINITY;
  before.resume();
  await vi.waitFor(() => {
    expect(bed.types()).toContain('lost');
  });
  await before.close();
  await isWhole(['audit.jsonl'], 21);
});

test('and back again, where no sync of the other one came true: what the state directory knows does not fork the log', async () => {
  bed = new LogBed();
  before = await written(bed);
  bed.disk.onSync = () => Promise.reject(new Error('EIO'));
  const next = await switchTo('next', before);
  await expect(next.write(signed('office'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  bed.disk.room = 0;
  await bed.open(bed.path, next);
  // killed
  bed.disk.room = Number.POSITIVE_INFINITY;
  bed.disk.onSync = () => Promise.resolve();
  const again = await bed.open();
  await again.close();
  expect((await bed.verify([`${bed.path}.000001`, at('next'), bed.path])).faults).toEqual([]);
});
