// What other files of a log have behind the last entry that is known, and what is to stand in one that was left.
import type * as FsPromises from 'node:fs/promises';
import { appendFileSync, copyFileSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AuditLog } from '../../../../src/agent/audit/audit-log.ts';
import { readRecords } from '../../../../src/agent/audit/head-record.ts';
import { FAILING } from '../../../support/failing-calls.ts';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

/** Bytes that were read of each file. */
const READ = vi.hoisted(() => new Map<string, number>());

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof FsPromises>();
  const { unlessFailing } = await import('../../../support/failing-calls.ts');
  const open = unlessFailing(fs.open);
  const counting: typeof fs.open = async (path, ...rest) => {
    const file = await open(path, ...rest);
    const read = file.read.bind(file) as (...given: unknown[]) => Promise<{ bytesRead: number }>;
    const counted = async (...given: unknown[]): Promise<{ bytesRead: number }> => {
      const result = await read(...given);
      READ.set(String(path), (READ.get(String(path)) ?? 0) + result.bytesRead);
      return result;
    };
    return Object.assign(file, { read: counted });
  };
  return { ...fs, open: counting };
});

let bed: LogBed;
const at = (name: string): string => join(bed.folder, name);

beforeEach(() => (bed = new LogBed()));
afterEach(() => {
  FAILING.clear();
  READ.clear();
});

async function write(log: AuditLog, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await log.write(signed('office'), AWAITED).done;
}

/** As `Audit.apply` does. */
async function reload(present: AuditLog, name: string): Promise<AuditLog> {
  await present.checkpoint('rotate');
  await present.remember(true);
  const next = await bed.open(at(name), present);
  await present.close(true);
  return next;
}

function cutTo(path: string, lines: number): void {
  const text = readFileSync(path, 'utf8').split('\n').slice(0, lines).join('\n');
  truncateSync(path, text.length + 1);
}

test('what an agent said of a file from elsewhere does not hide that it was cut since', async () => {
  const first = await written(bed);
  bed.disk.room = 0;
  const blank = await reload(first, 'blank');
  const back = await reload(blank, 'audit.jsonl');
  bed.disk.room = Number.POSITIVE_INFINITY;
  await write(back, 10);
  const next = await reload(back, 'next');
  await next.close();
  cutTo(bed.path, 12);
  await (await bed.open()).close();
  expect(alarms(bed)).toEqual(['replaced']);
});

test('an older copy is not what a killed agent wrote and could not tell of', async () => {
  bed.settings = { ...bed.settings, sync: 'interval' };
  const log = await written(bed);
  await log.checkpoint('interval');
  copyFileSync(bed.path, at('copy'));
  bed.disk.onSync = () => Promise.reject(new Error('EIO'));
  await write(await reload(log, 'next'), 3).catch(() => undefined);
  bed.disk.onSync = () => Promise.resolve();
  copyFileSync(at('copy'), at('next'));
  await (await bed.open(at('next'))).close();
  expect(alarms(bed)).toEqual(['replaced']);
});

test('one that was closed is not looked into: its disk may be dead', async () => {
  const next = await reload(await reload(await written(bed), 'next'), 'third');
  await next.close();
  FAILING.set(bed.path, 'EIO');
  FAILING.set(at('next'), 'EIO');
  await (await bed.open(at('third'))).close();
  expect(alarms(bed)).toEqual([]);
});

test('of one that was not closed the beginning says that it has nothing new', async () => {
  const next = await reload(await written(bed), 'next');
  await next.close();
  // both agents were killed
  bed.kill();
  const line = readFileSync(bed.path, 'utf8').split('\n')[2] ?? '';
  appendFileSync(bed.path, `${line}\n`.repeat(10_000));
  READ.clear();
  await (await bed.open(at('next'))).close();
  expect(READ.get(bed.path)).toBeLessThan(300_000);
});

test('what was written in a third one, and could not be told, is followed where the first is named again', async () => {
  bed.settings = { ...bed.settings, sync: 'interval' };
  const first = await written(bed);
  const next = await reload(first, 'next');
  await write(next, 1);
  await next.checkpoint('rotate');
  // what is in the third file comes to no disk
  bed.disk.onSync = () => Promise.reject(new Error('EIO'));
  const third = await bed.open(at('third'), next);
  void third.write(signed('office'), AWAITED).done;
  await third.write(signed('office')).done.catch(() => undefined);
  // killed
  bed.disk.onSync = () => Promise.resolve();
  const { seq } = bed.entries([at('third')]).at(-1) ?? {};
  await (await bed.open()).close();
  expect(alarms(bed)).toEqual([]);
  expect(bed.entries([bed.path])[0]).toMatchObject({
    ...{ type: 'continue', reason: 'switched', after: at('third'), file: 4, seq: (seq ?? 0) + 1 },
  });
  const { faults } = await bed.verify([`${bed.path}.000001`, at('next'), at('third'), bed.path]);
  expect(faults).toEqual([]);
});

test('of two copies the one that has more is followed, and of two that are the same the first by name', async () => {
  bed.settings = { ...bed.settings, sync: 'interval' };
  const log = await written(bed);
  await log.checkpoint('interval');
  copyFileSync(bed.path, `${bed.path}.2`);
  await write(log, 2);
  // killed before that was synced
  copyFileSync(bed.path, `${bed.path}.3`);
  renameSync(bed.path, `${bed.path}.1`);
  await (await bed.open()).close();
  expect(alarms(bed)).toEqual([]);
  expect(bed.entries([bed.path])[0]).toMatchObject({
    type: 'continue',
    reason: 'moved',
    after: 'audit.jsonl.1',
    seq: 9,
  });
  expect((await bed.verify([`${bed.path}.1`, bed.path])).faults).toEqual([]);
});

test('a file of which the state directory knows nothing is set aside where the log goes on from another: nobody is accused', async () => {
  const next = await reload(await written(bed), 'next');
  await (await reload(next, 'audit.jsonl')).close();
  for (const name of readdirSync(bed.state)) {
    const path = join(bed.state, name);
    if (readFileSync(path, 'utf8').includes(`"file":"${at('next')}","isClosed":true,"lost"`)) rmSync(path);
  }
  expect(readdirSync(bed.state)).toHaveLength(1);
  await (await bed.open(at('next'))).close();
  expect(alarms(bed)).toEqual([]);
  const [first] = bed.entries([at('next')]);
  expect(first).toMatchObject({ type: 'continue', reason: 'switched', after: bed.path });
  expect(first).toMatchObject({ aside: expect.stringMatching(/^next\.\d{6}$/) as string });
});

test('a file that was truncated, and begins in the midst of the log, is known by another name, too', async () => {
  const log = await written(bed);
  copyFileSync(bed.path, at('copy'));
  truncateSync(bed.path);
  await write(log, 1);
  bed.clock.pass(1);
  await write(log, 1);
  await log.close();
  renameSync(bed.path, `${bed.path}.1`);
  bed.events.length = 0;
  await (await bed.open()).close();
  expect(alarms(bed)).toEqual([]);
  expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', reason: 'moved', after: 'audit.jsonl.1' });
});

test('a file of which no line counts is not followed', async () => {
  // its first line is whole, and no signed one follows
  bed.disk.room = 700;
  const first = await bed.open();
  expect(readFileSync(bed.path, 'utf8').split('\n')).toHaveLength(2);
  bed.disk.room = Number.POSITIVE_INFINITY;
  const next = await bed.open(at('next'), first);
  await first.close(true);
  await next.close();
  expect(bed.entries([at('next')])[0]).toMatchObject({ type: 'start', seq: 1, file: 1 });
});

test('an agent that could write nothing leaves what the state directory knew, but that the log has its end', async () => {
  await (await written(bed)).close();
  const known = (): unknown => JSON.parse(readFileSync(bed.record, 'utf8').split('\n', 1)[0] ?? '');
  const before = known();
  bed.disk.room = 0;
  const log = await bed.open();
  expect(known()).toMatchObject({ ...(before as object), isClosed: false, lost: { entries: 1 } });
  // and another file goes on from there, with another state directory and without the one before, too
  rmSync(bed.state, { recursive: true });
  bed.renew();
  renameSync(bed.path, at('elsewhere'));
  const next = await bed.open(at('next'), log);
  await log.close(true);
  bed.disk.room = Number.POSITIVE_INFINITY;
  await next.write(signed('office'), AWAITED).done;
  await next.close();
  expect(bed.entries([at('next')])[0]).toMatchObject({ type: 'continue', after: bed.path, seq: 7, file: 2 });
  expect((await bed.verify([at('elsewhere'), at('next')])).faults).toEqual([]);
});

test('a copy of the log at another path is gone on in, and what is known is where it is known of', async () => {
  await (await written(bed)).close();
  copyFileSync(bed.path, at('next'));
  bed.disk.room = 0;
  await bed.open(at('next'));
  const [record] = (await readRecords(bed.state, process.geteuid?.())).filter(({ file }) => file === at('next'));
  expect(record).toMatchObject({ seq: 6, elsewhere: { file: bed.path, isClosed: true } });
});

test('no file is left open', async () => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  await (await written(bed)).close();
  const before = open();
  for (let times = 1; times <= 12; times += 1) {
    renameSync(bed.path, `${bed.path}.${times}`);
    await (await bed.open()).close();
  }
  expect(open()).toBeLessThan(before + 6);
});
