import { copyFileSync, renameSync, truncateSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { withResolvers } from '../../../../src/promises.ts';
import { put } from './forger.ts';
import { AWAITED, LogBed, signed } from './log-bed.ts';

describe('an audit log', () => {
  test('is a chain over restarts, each of which is told of', async () => {
    const bed = new LogBed();
    for (let run = 0; run < 3; run += 1) {
      const log = await bed.open();
      await log.write(signed('office'), AWAITED).done;
      await log.close();
    }
    expect(bed.types()).toEqual([1, 2, 3].flatMap(() => ['start', 'start', 'outcome', 'end']));
    expect(await bed.verify()).toMatchObject({ faults: [], notes: [], entries: 12, isEnded: true, covered: 12 });
  });

  test('ends with the word that it ends, also where a checkpoint is due', async () => {
    for (const count of [97, 98, 99, 100]) {
      const bed = new LogBed();
      const log = await bed.open();
      for (let left = count; left > 0; left -= 1) void log.write(signed('office')).done;
      await log.close();
      expect(bed.types().at(-1)).toBe('end');
      expect(await bed.verify()).toMatchObject({ faults: [], isEnded: true });
    }
  });

  test('syncs once for all that wait, and none of them goes on before', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    const { syncs, writes } = bed.disk;
    const synced = withResolvers();
    bed.disk.onSync = () => synced.promise;
    const done: string[] = [];
    const first = log.write(signed('0'), AWAITED);
    void first.done.then(() => done.push('0'));
    await expect.poll(() => bed.disk.syncs).toBe(syncs + 1);
    const others = Array.from({ length: 50 }, (_, index) => log.write(signed(String(index + 1)), AWAITED));
    for (const [index, { done: written }] of others.entries()) void written.then(() => done.push(String(index + 1)));
    expect(done).toEqual([]);
    bed.disk.onSync = () => {
      expect(bed.entries()).toHaveLength(2 + 51);
      return Promise.resolve();
    };
    synced.resolve();
    await Promise.all(others.map((other) => other.done));
    expect(bed.disk).toMatchObject({ syncs: syncs + 2, writes: writes + 2 });
    expect(done).toEqual(Array.from({ length: 51 }, (_, index) => String(index)));
    expect(others.map(({ seq }) => seq)).toEqual(others.map((_, index) => index + 4));
    await log.close();
  });

  test('with sync = interval syncs a second later, once', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync: 'interval' };
    const log = await bed.open();
    const { syncs } = bed.disk;
    await log.write(signed('office'), AWAITED).done;
    await log.write(signed('office'), AWAITED).done;
    expect(bed.entries()).toHaveLength(4);
    expect(bed.disk.syncs).toBe(syncs);
    bed.clock.pass(1);
    await expect.poll(() => bed.disk.syncs).toBe(syncs + 1);
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [], isEnded: true });
  });

  test('what nobody waits for is written at once, and synced a second later', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    const { syncs } = bed.disk;
    await log.write(signed('office')).done;
    expect(bed.disk.syncs).toBe(syncs);
    bed.clock.pass(1);
    await expect.poll(() => bed.disk.syncs).toBe(syncs + 1);
    await log.close();
  });

  test('is signed after a minute, and after a hundred entries', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    bed.clock.pass(60);
    await expect.poll(() => bed.types().at(-1)).toBe('interval');
    for (let index = 0; index < 150; index += 1) await log.write(signed('office')).done;
    expect(bed.types().filter((type) => type === 'interval')).toHaveLength(2);
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [], checkpoints: 4 });
    const told = bed.events.flatMap((event) => (event.type === 'audit-checkpoint' ? [event.hash] : []));
    const hashes = bed.entries().flatMap((entry) => (entry.type === 'checkpoint' ? [entry.hash] : []));
    expect(told.at(-1)).toBe(hashes.at(-1));
    expect(hashes).toEqual(expect.arrayContaining(told));
  });
});

describe('a disk that fails', () => {
  test('goes on counted, if that is asked for', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, onFailure: 'continue' };
    const log = await bed.open();
    bed.disk.room = 10;
    await log.write(signed('one'), AWAITED).done;
    await log.write(signed('two')).done;
    await log.write(signed('three'), AWAITED).done;
    expect(bed.events.filter(({ type }) => type === 'audit-failed')).toEqual([
      expect.objectContaining({ type: 'audit-failed', entries: 1, signatures: 1, refuses: false }),
    ]);
    bed.clock.pass(60);
    await log.write(signed('four'), AWAITED).done;
    const failed = bed.events.filter(({ type }) => type === 'audit-failed');
    expect(failed).toMatchObject([{ entries: 1 }, { entries: 3, signatures: 2 }]);
    bed.disk.room = Number.POSITIVE_INFINITY;
    await log.write(signed('after'), AWAITED).done;
    expect(bed.events).toContainEqual({ type: 'audit-works', file: bed.path, entries: 4, signatures: 3 });
    await log.close();
    const { faults, notes } = await bed.verify();
    expect(faults).toEqual([]);
    expect(notes.map(({ text }) => text)).toEqual([
      'an agent was cut off while it wrote the 11 bytes before this line',
      expect.stringMatching(/^4 entries could not be written since .* \(ENOSPC\), and 3 signatures left without one$/),
    ]);
  });

  test('a sync that fails is no sync: who waits for it is refused', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    bed.disk.onSync = () => Promise.reject(new Error('EIO: i/o error, fdatasync'));
    await expect(log.write(signed('one'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    bed.disk.onSync = () => Promise.resolve();
    await log.write(signed('two'), AWAITED).done;
    await log.close();
    expect(bed.types()).toEqual(['start', 'start', 'outcome', 'outcome', 'end']);
    expect(await bed.verify()).toMatchObject({ faults: [] });
  });
});

describe('a further file', () => {
  test('is begun when one is large, and the chain goes on', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, rotateSize: 4096 };
    let log = await bed.open();
    for (let index = 0; index < 40; index += 1) await log.write(signed('office'), AWAITED).done;
    await log.close();
    log = await bed.open();
    for (let index = 0; index < 20; index += 1) await log.write(signed('office'), AWAITED).done;
    await log.close();
    const files = bed.files;
    expect(files.length).toBeGreaterThan(4);
    expect(files[0]).toBe(`${bed.path}.000001`);
    for (const file of files.slice(0, -1)) expect(bed.types([file]).at(-1)).toBe('rotate');
    expect(bed.types(files.slice(1, 2))[0]).toBe('continue');
    expect(bed.entries(files.slice(1, 2))[0]).toMatchObject({ file: 2, after: 'audit.jsonl.000001' });
    expect(await bed.verify()).toMatchObject({ faults: [], notes: [], isEnded: true });
    expect((await bed.verify(files.slice(2))).faults).toEqual([]);
    expect((await bed.verify(files.toSpliced(2, 1))).faults).toHaveLength(1);
  });

  test('is begun when one is old', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    log.settings = { ...bed.settings, rotateAge: 0 };
    await log.write(signed('office'), AWAITED).done;
    log.settings = bed.settings;
    await log.close();
    expect(bed.files).toHaveLength(2);
    expect(await bed.verify()).toMatchObject({ faults: [], notes: [] });
  });

  test('is begun beside others that have the names it would get', async () => {
    const bed = new LogBed();
    for (const number of [1, 2]) put(`${bed.path}.00000${number}`, 'x\n');
    const log = await bed.open();
    log.settings = { ...bed.settings, rotateAge: 0 };
    await log.write(signed('office'), AWAITED).done;
    log.settings = bed.settings;
    await log.close();
    expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', after: 'audit.jsonl.000003', file: 2 });
    expect(bed.texts([`${bed.path}.000001`, `${bed.path}.000002`])).toEqual(['x\n', 'x\n']);
  });

  test('follows the last one where an agent was cut off in between', async () => {
    const bed = new LogBed();
    let log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    await log.close();
    renameSync(bed.path, `${bed.path}.000001`);
    log = await bed.open();
    await log.close();
    expect(bed.types([bed.path])).toEqual(['continue', 'start', 'start', 'end']);
    expect(bed.entries([bed.path])[0]).toMatchObject({ reason: 'rotated', after: 'audit.jsonl.000001', aside: null });
    expect(await bed.verify()).toMatchObject({ faults: [], notes: [] });
  });

  test('follows what the state directory knows of where all were taken elsewhere', async () => {
    const bed = new LogBed();
    let log = await bed.open();
    await log.close();
    const elsewhere = `${bed.folder}/elsewhere`;
    renameSync(bed.path, elsewhere);
    log = await bed.open();
    await log.close();
    const text = 'entries 1 to 3 were in no file that the agent found when it started';
    expect(await bed.verify([elsewhere, bed.path])).toMatchObject({
      faults: [],
      notes: [{ text: `${text}: they are here` }],
    });
    expect((await bed.verify([bed.path])).faults).toMatchObject([{ text }]);
    expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', reason: 'missing', file: 2, seq: 4 });
  });

  test('is begun when another program moves the file away', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    const moved = `${bed.path}.1`;
    renameSync(bed.path, moved);
    await log.write(signed('late'), AWAITED).done;
    bed.clock.pass(1);
    await log.write(signed('home'), AWAITED).done;
    await log.close();
    expect(bed.events).toContainEqual({ type: 'audit-disturbed', file: bed.path, change: 'moved' });
    expect(bed.types([moved]).at(-1)).toBe('rotate');
    expect(await bed.verify([moved, bed.path])).toMatchObject({ faults: [], notes: [] });
  });

  test('copied and truncated by another program: what is lost in between is found', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    const copy = `${bed.folder}/copy`;
    copyFileSync(bed.path, copy);
    truncateSync(bed.path);
    await log.write(signed('late'), AWAITED).done;
    expect((await bed.verify([bed.path])).faults.map(({ text }) => text)).toEqual([
      'the log begins with entry 4: those before were cut off, or copied elsewhere',
    ]);
    expect(await bed.verify([copy, bed.path])).toMatchObject({
      faults: [],
      notes: [{ text: 'the file was truncated by another program: nothing is missing here' }],
    });
    await log.write(signed('home'), AWAITED).done;
    copyFileSync(bed.path, `${copy}2`);
    await log.write(signed('lost'), AWAITED).done;
    truncateSync(bed.path);
    bed.clock.pass(1);
    await log.write(signed('home'), AWAITED).done;
    await log.close();
    expect(bed.events).toContainEqual({ type: 'audit-disturbed', file: bed.path, change: 'truncated' });
    expect((await bed.verify([copy, `${copy}2`, bed.path])).faults).toMatchObject([
      { file: '3', line: 1, text: 'entry 6 is missing before this line' },
    ]);
  });

  test('is not begun where it can not be: the log goes on as it is', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, rotateSize: 4096 };
    const log = await bed.open();
    for (let index = 0; index < 9; index += 1) await log.write(signed('office'), AWAITED).done;
    bed.disk.room = 0;
    const tried = log.write(signed('full'), AWAITED);
    await expect(tried.done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    bed.disk.room = Number.POSITIVE_INFINITY;
    bed.clock.pass(60);
    await log.write(signed('office'), AWAITED).done;
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [] });
  });
});
