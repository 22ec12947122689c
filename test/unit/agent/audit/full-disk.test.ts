// What a crash or a full disk leaves of the log, cut at many a byte.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { withResolvers } from '../../../../src/promises.ts';
import { AWAITED, LogBed, signed } from './log-bed.ts';

describe('an audit log that was cut off', () => {
  test('at any byte goes on, and tells of what it found', async () => {
    const bed = new LogBed();
    let log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    await log.write(signed('home'), AWAITED).done;
    await log.close();
    const whole = readFileSync(bed.path);
    const last = whole.lastIndexOf('\n', whole.length - 2) + 1;
    const before = whole.lastIndexOf('\n', last - 2) + 1;
    // a crash can't take what was synced: what the state directory knows is older here
    const torn = new LogBed();
    for (let length = 0; length < whole.length; length += length < before ? 97 : 7) {
      writeFileSync(torn.path, whole.subarray(0, length), { mode: 0o600 });
      log = await torn.open();
      await log.write(signed('again'), AWAITED).done;
      await log.close();
      const text = readFileSync(torn.path);
      expect(text.subarray(0, length).equals(whole.subarray(0, length)), 'nothing is overwritten').toBe(true);
      const { faults, notes } = await torn.verify();
      expect({ length, faults }).toEqual({ length, faults: [] });
      const isTorn = length > 0 && whole[length - 1] !== 0x0a && whole[length] !== 0x0a;
      expect({ length, notes: notes.length }).toEqual({ length, notes: isTorn ? 1 : 0 });
      torn.forget();
    }
  });

  test('with what is long, and no text, behind its last line', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    await log.close();
    for (const rest of [Buffer.alloc(300_000), Buffer.from('\n\n{"v":1}\nx\n'), Buffer.from([0xff, 0x0a])]) {
      bed.kill();
      appendFileSync(bed.path, rest);
      const next = await bed.open();
      await next.close();
    }
    const verdict = await bed.verify();
    expect(verdict).toMatchObject({ faults: [], isEnded: true });
    expect(verdict.notes.map(({ text }) => text)).toEqual([
      'an agent was cut off while it wrote the 300001 bytes before this line',
      'an agent was cut off while it wrote the 12 bytes before this line',
      'an agent was cut off while it wrote the 2 bytes before this line',
    ]);
    expect(bed.events.filter(({ type }) => type === 'audit-recovered')).toHaveLength(3);
  });
});

describe('a full disk', () => {
  test('refuses, at whichever byte it begins; nothing is lost that was told as written', async () => {
    for (let room = 0; room < 1100; room += 61) {
      const bed = new LogBed();
      const log = await bed.open();
      await log.write(signed('before'), AWAITED).done;
      bed.disk.room = room;
      const tries = [log.write(signed('one'), AWAITED), log.write(signed('two'), AWAITED), log.write(signed('three'))];
      const results = await Promise.allSettled(tries.map(({ done }) => done));
      const failed = results.filter(({ status }) => status === 'rejected').length;
      expect(failed).toBeGreaterThan(0);
      expect(log.isFailing).toBe(true);
      const again = log.write(signed('again'), AWAITED);
      await expect(again.done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
      bed.disk.room = Number.POSITIVE_INFINITY;
      await log.write(signed('after'), AWAITED).done;
      expect(log.isFailing).toBe(false);
      await log.close();
      const { faults } = await bed.verify();
      expect({ room, faults }).toEqual({ room, faults: [] });
      const entries = bed.entries();
      const present = entries.filter((entry) => entry.type === 'outcome').length;
      const lost = entries.reduce((sum, entry) => sum + (entry.type === 'lost' ? entry.entries : 0), 0);
      expect({ room, sum: present + lost }).toEqual({ room, sum: 6 });
      expect(entries.filter((entry) => entry.type === 'lost')).toMatchObject([{ signatures: 0, code: 'ENOSPC' }]);
    }
  });

  test('again and again, with few bytes of room each time', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    let written = 0;
    for (let round = 0; round < 300; round += 1) {
      bed.disk.room = (round * 7919) % 1300;
      const tries = [log.write(signed('one')), log.write(signed('two'), AWAITED)];
      const results = await Promise.allSettled(tries.map(({ done }) => done));
      written += results.filter(({ status }) => status === 'fulfilled').length;
      if (round % 5 === 0) {
        bed.disk.room = Number.POSITIVE_INFINITY;
        await log.write(signed('after'), AWAITED).done;
        written += 1;
      }
    }
    bed.disk.room = Number.POSITIVE_INFINITY;
    await log.close();
    const { faults } = await bed.verify();
    expect(faults).toEqual([]);
    expect(bed.types().filter((type) => type === 'outcome').length).toBeGreaterThanOrEqual(written);
  });

  test('a disk that never answers keeps no more than so many entries waiting', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    const synced = withResolvers();
    bed.disk.onSync = () => synced.promise;
    const tries = Array.from({ length: 10_050 }, () => log.write(signed('office'), AWAITED));
    await expect(tries.at(-1)?.done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    synced.resolve();
    await Promise.allSettled(tries.map(({ done }) => done));
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [] });
    const lost = bed.entries().reduce((sum, entry) => sum + (entry.type === 'lost' ? entry.entries : 0), 0);
    expect(lost + bed.types().filter((type) => type === 'outcome').length).toBe(10_050);
  });
});
