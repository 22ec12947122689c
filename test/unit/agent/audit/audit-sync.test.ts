import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AWAITED, LogBed, signed } from './log-bed.ts';

describe('a sync that fails', () => {
  test.for(['each', 'interval'] as const)(
    'what a sync that failed has lost is written again before anything counts (%s)',
    async (sync) => {
      const bed = new LogBed();
      bed.settings = { ...bed.settings, sync };
      const log = await bed.open();
      bed.clock.pass(1);
      await expect.poll(() => bed.durable.length).toBeGreaterThan(0);
      let failures = 0;
      for (let round = 0; round < 60; round += 1) {
        const fails = round % 7 < 3;
        bed.disk.onSync = () => (fails ? Promise.reject(new Error('EIO: i/o error, fdatasync')) : Promise.resolve());
        const names = Array.from({ length: 1 + (round % 3) }, (_, index) => `tunnel ${round} ${index}`);
        const written = names.map((name) => log.write(signed(name), AWAITED));
        const results = await Promise.allSettled(written.map(({ done }) => done));
        failures += results.filter(({ status }) => status === 'rejected').length;
        bed.clock.pass(1);
        if (sync === 'interval') await expect.poll(() => log.isFailing).toBe(fails);
        const there = bed.durable.toString();
        if (sync === 'each')
          for (const [index, name] of names.entries())
            expect(there.includes(`"${name}"`) || results[index]?.status === 'rejected').toBe(true);
      }
      bed.disk.onSync = () => Promise.resolve();
      await log.close();
      expect(failures).toBeGreaterThan(10);
      // all of it is on the disk
      expect(bed.durable.toString()).toBe(readFileSync(bed.path, 'utf8'));
      expect(await bed.verify()).toMatchObject({ faults: [] });
    },
  );

  test('a disk that fails again and again while nothing is asked for is told of, and signs when it works', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, sync: 'interval' };
    const log = await bed.open();
    await log.write(signed('one'), AWAITED).done;
    bed.disk.onSync = () => Promise.reject(new Error('EIO: i/o error, fdatasync'));
    bed.clock.pass(1);
    await expect.poll(() => log.isFailing).toBe(true);
    // what is in the file does not count while it is not on the disk, whatever the settings say
    await expect(log.write(signed('two'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    bed.disk.onSync = () => Promise.resolve();
    await log.write(signed('three'), AWAITED).done;
    expect(log.isFailing).toBe(false);
    expect(bed.durable.toString()).toMatch(/"one".*"two".*"three"/s);
    await log.close();
  });

  test('what others put behind what a sync has lost is not written over', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    bed.disk.onSync = () => Promise.reject(new Error('EIO: i/o error, fdatasync'));
    await expect(log.write(signed('one'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    bed.disk.onSync = () => Promise.resolve();
    const text = readFileSync(bed.path, 'utf8').replace('"one"', '"two"');
    writeFileSync(bed.path, text);
    await expect(log.write(signed('three'), AWAITED).done).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    await log.close();
    expect(readFileSync(bed.path, 'utf8').startsWith(text)).toBe(true);
  });

  test('a disk that fails for hours is not written to without end, nor is memory: what comes then is lost, and told of', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, onFailure: 'continue' };
    const log = await bed.open();
    bed.disk.onSync = () => Promise.reject(new Error('ENOSPC: no space left on device, fdatasync'));
    for (let round = 0; round < 8; round += 1) {
      const written = Array.from({ length: 2_500 }, () => log.write(signed('office'), AWAITED));
      await Promise.all(written.map(({ done }) => done));
    }
    expect(statSync(bed.path).size).toBeLessThan(6_000_000);
    bed.disk.onSync = () => Promise.resolve();
    await log.write(signed('after'), AWAITED).done;
    await log.close();
    expect(bed.durable.toString()).toBe(readFileSync(bed.path, 'utf8'));
    const { faults, notes, entries } = await bed.verify();
    expect(faults).toEqual([]);
    const lost = Number(/^(\d+) entries could not be written since/.exec(notes[0]?.text ?? '')?.[1]);
    expect(lost).toBeGreaterThan(5_000);
    const others = bed.entries().filter(({ type }) => type !== 'outcome').length;
    expect(entries - others + lost).toBe(20_001);
  });
});
