// What is told of an audit log, to the log and the metrics; and what the state directory is told.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../../../src/agent/audit/events.ts';
import { AWAITED, LogBed, signed, written } from './log-bed.ts';

const told = (bed: LogBed, type: AuditEvent['type']): AuditEvent[] => bed.events.filter((event) => event.type === type);
const failing = (): Promise<void> => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
const working = (): Promise<void> => Promise.resolve();
const stateOf = (bed: LogBed): unknown => JSON.parse(readFileSync(bed.record, 'utf8').split('\n', 1)[0] ?? '');

describe('what is told', () => {
  test('of the beginning and the end: the last entry', async () => {
    const bed = new LogBed();
    await (await written(bed)).close();
    expect(told(bed, 'audit-opened')).toEqual([{ type: 'audit-opened', file: bed.path, sequence: 2 }]);
    expect(told(bed, 'audit-closed')).toEqual([{ type: 'audit-closed', file: bed.path, sequence: 6 }]);
    expect(bed.events.at(-1)?.type).toBe('audit-closed');
  });

  test('of the way: how far it is, and what was lost since it was opened', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, onFailure: 'continue' };
    const log = await written(bed, 1);
    const counts = (): unknown => told(bed, 'audit-written').at(-1);
    expect(counts()).toEqual({ type: 'audit-written', sequence: 3, lostEntries: 0, lostSignatures: 0 });
    for (const lost of [2, 4]) {
      bed.disk.room = 0;
      await Promise.all([log.write(signed('one'), AWAITED).done, log.write(signed('two')).done]);
      expect(counts()).toMatchObject({ lostEntries: lost, lostSignatures: lost / 2 });
      bed.disk.room = Number.POSITIVE_INFINITY;
      await log.write(signed('after'), AWAITED).done;
    }
    expect(counts()).toEqual({ type: 'audit-written', sequence: 7, lostEntries: 4, lostSignatures: 2 });
    await log.close();
  });

  test('of signatures that are refused: none is lost', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.disk.room = 0;
    await log.write(signed('one'), AWAITED).done.catch(() => undefined);
    expect(told(bed, 'audit-written').at(-1)).toMatchObject({ lostEntries: 1, lostSignatures: 0 });
    expect(told(bed, 'audit-failed')).toEqual([
      {
        ...{ type: 'audit-failed', file: bed.path, error: 'ENOSPC: no space left on device, write' },
        ...{ entries: 1, signatures: 0, refuses: true },
      },
    ]);
    await log.close();
  });

  test('of a disk that fails again, behind a time when it worked: at once', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    for (const times of [1, 2]) {
      bed.disk.room = 0;
      await log.write(signed('one'), AWAITED).done.catch(() => undefined);
      await log.write(signed('two'), AWAITED).done.catch(() => undefined);
      expect(told(bed, 'audit-failed')).toHaveLength(times);
      bed.disk.room = Number.POSITIVE_INFINITY;
      await log.write(signed('three'), AWAITED).done;
      expect(told(bed, 'audit-works')).toHaveLength(times);
    }
    await log.close();
  });

  test('of a checkpoint: once, and when it is on the disk', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync: 'interval' };
    const log = await written(bed, 100);
    const sequences = (): number[] =>
      bed.events.flatMap((event) => (event.type === 'audit-checkpoint' ? [event.sequence] : []));
    expect(bed.types().filter((type) => type === 'interval')).toHaveLength(1);
    expect(sequences()).toEqual([2]);
    bed.clock.pass(1);
    await expect.poll(sequences).toEqual([2, 103]);
    await log.write(signed('office'), AWAITED).done;
    expect(sequences()).toEqual([2, 103]);
    await log.close();
  });

  test('of a checkpoint: none is made where all is covered', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.clock.pass(60);
    await expect.poll(() => bed.types().at(-1)).toBe('interval');
    const { length } = bed.entries();
    for (let minute = 0; minute < 5; minute += 1) {
      bed.clock.pass(60);
      await log.remember(true);
    }
    await log.write(signed('office'), AWAITED).done;
    expect(bed.entries()).toHaveLength(length + 1);
    await log.close();
  });

  test('of a rotation that fails: once a minute, and the log goes on as it is', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    log.settings = { ...bed.settings, rotateSize: 1 };
    bed.disk.onSync = failing;
    for (const [seconds, times] of [
      [0, 1],
      [59, 1],
      [1, 2],
    ] as const) {
      bed.clock.pass(seconds);
      await log.write(signed('one')).done.catch(() => undefined);
      expect(told(bed, 'audit-not-rotated')).toEqual(
        Array.from({ length: times }, () => ({
          ...{ type: 'audit-not-rotated', file: bed.path, error: 'EIO: i/o error' },
        })),
      );
    }
    expect(bed.files).toEqual([bed.path]);
    bed.disk.onSync = working;
    await log.write(signed('two'), AWAITED).done;
    expect(told(bed, 'audit-rotated')).toEqual([]);
    bed.clock.pass(60);
    await log.write(signed('three'), AWAITED).done;
    expect(told(bed, 'audit-rotated')).toEqual([{ type: 'audit-rotated', file: bed.path, name: `${bed.path}.000001` }]);
    await log.close();
    expect((await bed.verify()).faults).toEqual([]);
  });
});

describe('a log that is closed', () => {
  test('writes nothing more, and says so', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    await log.close();
    const late = log.write(signed('late'), AWAITED);
    await expect(late.done).rejects.toMatchObject({
      ...{ code: 'ERR_AUDIT_WRITE', message: "the audit log can't be written: it is closed" },
    });
    expect(late.seq).toBeUndefined();
    expect(log.isFailing).toBe(true);
    expect(bed.types().at(-1)).toBe('end');
  });

  test('has nothing left to do', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    await log.write(signed('office')).done;
    expect(bed.clock.waiting).toBeGreaterThan(0);
    await log.close();
    expect(bed.clock.waiting).toBe(0);
    expect(bed.recorded.slice(-2)).toEqual(['sync', 'close']);
  });

  test('and is not the end, where that was said, has no word of it', async () => {
    const bed = new LogBed();
    await (await written(bed)).close(true);
    expect(bed.types()).toEqual(['start', 'start', 'outcome', 'outcome', 'outcome']);
  });
});

describe('the state directory', () => {
  test('knows that a log may get entries before it gets one', async () => {
    const bed = new LogBed();
    await (await written(bed)).close();
    expect(stateOf(bed)).toMatchObject({ seq: 6, isClosed: true });
    bed.recorded.length = 0;
    const { writes } = bed.disk;
    const seen: unknown[] = [];
    bed.onRecord = (what) => {
      seen.push([what, bed.disk.writes - writes]);
      return Promise.resolve();
    };
    const log = await bed.open();
    expect(seen.slice(0, 2)).toEqual([
      ['write', 0],
      ['sync', 0],
    ]);
    expect(stateOf(bed)).toMatchObject({ seq: 8, isClosed: false, lost: null });
    await log.close();
  });

  test('knows of an entry before its signature leaves, and has it on the disk a second later', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    bed.clock.pass(1);
    await expect.poll(() => bed.recorded.at(-1)).toBe('sync');
    bed.recorded.length = 0;
    await log.write(signed('office'), AWAITED).done;
    await log.write(signed('office'), AWAITED).done;
    expect(bed.recorded).toEqual(['write', 'write']);
    expect(stateOf(bed)).toMatchObject({ seq: 4 });
    bed.clock.pass(1);
    await expect.poll(() => bed.recorded).toEqual(['write', 'write', 'sync']);
    // there is nothing new
    await log.remember(true);
    expect(bed.recorded).toHaveLength(3);
    await log.close();
  });

  test('that can not be told keeps no signature back, and is told again', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    bed.recorded.length = 0;
    bed.onRecord = failing;
    await log.write(signed('office'), AWAITED).done;
    expect(told(bed, 'audit-not-recorded')).toEqual([
      { type: 'audit-not-recorded', file: bed.path, error: 'EIO: i/o error' },
    ]);
    bed.onRecord = working;
    await log.remember(true);
    expect(bed.recorded).toEqual(['write', 'sync']);
    expect(stateOf(bed)).toMatchObject({ seq: 3 });
    await log.close();
  });

  test('whose disk could not sync what it was told is told it anew', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.onRecord = (what) => (what === 'sync' ? failing() : working());
    await log.remember(true);
    bed.recorded.length = 0;
    bed.onRecord = working;
    await log.remember(true);
    expect(bed.recorded).toEqual(['write', 'sync']);
    await log.close();
  });

  test('is not told that a log has its end where that is not on the disk', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.disk.onSync = failing;
    await log.close();
    expect(stateOf(bed)).toMatchObject({ seq: 5, isClosed: false });
    expect(told(bed, 'audit-closed')).toHaveLength(1);
  });

  test('is not told that a log has its end where half a line stands behind that: the agent may leave it', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.disk.room = 20;
    await log.close();
    expect(stateOf(bed)).toMatchObject({ seq: 5, isClosed: false });
    bed.disk.room = Number.POSITIVE_INFINITY;
    await (await bed.open()).close();
    expect(bed.entries()).toContainEqual(expect.objectContaining({ type: 'recovered', bytes: 21, cause: 'cut-off' }));
    expect((await bed.verify()).faults).toEqual([]);
  });

  test('knows of a log that has nothing yet', async () => {
    const bed = new LogBed();
    bed.disk.room = 0;
    await bed.open();
    expect(stateOf(bed)).toMatchObject({ seq: 0, hash: '0'.repeat(64), number: 1, end: 0, file: bed.path });
  });

  test('is told of losses once they were told of', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    bed.disk.room = 0;
    await log.write(signed('one'), AWAITED).done.catch(() => undefined);
    expect(stateOf(bed)).toMatchObject({ lost: { entries: 1, signatures: 0, code: 'ENOSPC' } });
    bed.disk.room = Number.POSITIVE_INFINITY;
    await log.write(signed('two'), AWAITED).done;
    await expect.poll(() => stateOf(bed)).toMatchObject({ seq: 7, lost: null });
    await log.close();
  });
});

describe('a log that is paused', () => {
  test('writes nothing that nobody asks for, and all that is due when it goes on', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    await log.write(signed('office')).done;
    await log.pause();
    expect(bed.clock.waiting).toBe(0);
    expect(bed.recorded.at(-1)).toBe('sync');
    const { syncs } = bed.disk;
    bed.clock.pass(120);
    log.resume();
    await expect.poll(() => bed.disk.syncs).toBe(syncs + 1);
    await log.close();
  });
});
