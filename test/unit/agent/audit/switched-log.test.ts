// A reload names another file while the disk is full: the one before ends within a line, and the next one gets none at first.
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
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
