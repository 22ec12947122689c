// What other files of a log have behind the last entry that is known, and what is to stand in one that was left.
import type * as FsPromises from 'node:fs/promises';
import { appendFileSync, copyFileSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AuditLog } from '../../../../src/agent/audit/audit-log.ts';
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
