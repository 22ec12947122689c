import { appendFileSync, copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import type { AuditLog } from '../../../../src/agent/audit/audit-log.ts';
import { parseLine } from '../../../../src/audit/line.ts';
import { forgedLines, headOf, INVENTED, linesOf, put, rewritten } from './forger.ts';
import { alarms, AWAITED, LogBed, signed, written } from './log-bed.ts';

async function closed(bed: LogBed, count?: number): Promise<void> {
  await (await written(bed, count)).close();
}

async function goesOn(bed: LogBed): Promise<void> {
  const log = await bed.open();
  await log.write(signed('after'), AWAITED).done;
  await log.close();
}

/** One more, when a look at the file is due again. */
async function one(bed: LogBed, log: AuditLog): Promise<void> {
  bed.clock.pass(1);
  await log.write(signed('after'), AWAITED).done;
}

const faultsOf = async (bed: LogBed): Promise<string[]> => (await bed.verify()).faults.map(({ text }) => text);

/** No line of the log counts that somebody else wrote: none that is signed follows one. */
function expectNoneInvented(bed: LogBed): void {
  for (const file of bed.files) {
    const entries = linesOf(file).map((line) => parseLine(Buffer.from(line)));
    for (const [index, entry] of entries.entries()) {
      if (typeof entry === 'string' || !('tunnel' in entry) || entry.tunnel !== 'invented') continue;
      const next = entries.slice(index + 1).find((each) => typeof each !== 'string' && each.prev === entry.hash);
      if (typeof next === 'object') expect(next).toMatchObject({ tunnel: 'invented' });
    }
  }
}

describe('a file that is renamed over the log while the agent runs', () => {
  test('is not taken for it: an older copy', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    copyFileSync(bed.path, `${bed.folder}/old`);
    await log.write(signed('hidden'), AWAITED).done;
    renameSync(`${bed.folder}/old`, bed.path);
    await one(bed, log);
    await log.close();
    expect(alarms(bed)).toEqual(['moved', 'replaced']);
    expect(bed.entries([bed.path])[0]).toMatchObject({
      ...{ type: 'continue', reason: 'replaced', aside: 'audit.jsonl.000001', seq: 7, file: 2 },
    });
    expect(await faultsOf(bed)).toContain('entry 6 is missing before this line');
  });

  test('is not taken for it: a forged one, longer or shorter', async () => {
    for (const count of [1, 20]) {
      const bed = new LogBed();
      const log = await written(bed);
      const start = linesOf(bed.path).slice(0, 2);
      const head = JSON.parse(start[1] ?? '') as { seq: number; hash: string };
      put(`${bed.folder}/forged`, `${start.join('\n')}\n${forgedLines(Array(count).fill(INVENTED), head, true)}`);
      renameSync(`${bed.folder}/forged`, bed.path);
      await one(bed, log);
      await log.close();
      expect(alarms(bed)).toEqual(['moved', 'replaced']);
      expectNoneInvented(bed);
      expect(await faultsOf(bed)).toContainEqual(
        expect.stringContaining('were not in the file that stood in its place'),
      );
    }
  });

  test('is not taken for it: a rotated one', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, rotateSize: 3000 };
    const log = await written(bed, 12);
    renameSync(`${bed.path}.000001`, bed.path);
    await one(bed, log);
    await log.close();
    expect(alarms(bed)).toEqual(['moved', 'replaced']);
    expect((await faultsOf(bed)).length).toBeGreaterThan(0);
  });

  test('is taken for it where it is an exact copy', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    copyFileSync(bed.path, `${bed.folder}/copy`);
    renameSync(`${bed.folder}/copy`, bed.path);
    await one(bed, log);
    await log.close();
    expect(await bed.verify()).toMatchObject({ faults: [], notes: [] });
  });
});

describe('a log that is changed in place while the agent runs', () => {
  test('by what is appended: that counts for nothing', async () => {
    for (const isSigned of [false, true]) {
      const bed = new LogBed();
      const log = await written(bed);
      appendFileSync(bed.path, forgedLines([INVENTED, INVENTED], headOf(bed.path), isSigned));
      await one(bed, log);
      await log.close();
      expect(alarms(bed)).toEqual(['appended to']);
      expectNoneInvented(bed);
      const fault = isSigned ? 'bytes that this line tells of are not those before it' : "are none of the agent's";
      expect(await faultsOf(bed)).toContainEqual(expect.stringContaining(fault));
    }
  });

  test('by more than an agent could tell of', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    truncateSync(bed.path, 17 * 1024 * 1024);
    await one(bed, log);
    await log.close();
    expect(alarms(bed)).toEqual(['appended to', 'changed', 'replaced']);
    expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', reason: 'replaced', seq: 6 });
    expect(await faultsOf(bed)).not.toEqual([]);
  });

  test('by an end of another kind', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    const lines = linesOf(bed.path);
    put(
      bed.path,
      rewritten(lines, 3, (line) => line.replace('office', 'orrice')),
    );
    await one(bed, log);
    await log.close();
    expect(alarms(bed)).toEqual(['changed', 'replaced']);
    expect(bed.events).toContainEqual({ type: 'audit-disturbed', file: bed.path, change: 'changed' });
    expect((await faultsOf(bed)).length).toBeGreaterThan(0);
  });

  test('by removal', async () => {
    const bed = new LogBed();
    const log = await written(bed);
    rmSync(bed.path);
    await one(bed, log);
    await log.close();
    expect(alarms(bed)).toEqual(['moved', 'deleted']);
    expect(await faultsOf(bed)).toEqual(['entries 1 to 5 were in a file that was removed while the agent wrote it']);
  });
});

describe('a log that is changed while no agent runs', () => {
  test('by a cut below what the state directory knows of: a fault for ever', async () => {
    const bed = new LogBed();
    const log = await bed.open();
    await log.write(signed('office'), AWAITED).done;
    await log.close();
    const lines = readFileSync(bed.path, 'utf8').split('\n');
    writeFileSync(bed.path, `${lines.slice(0, 2).join('\n')}\n`);
    expect((await bed.verify()).faults).toHaveLength(1);
    const next = await bed.open();
    await next.close();
    expect(bed.events).toContainEqual({
      ...{ type: 'audit-missing', file: bed.path, until: 4, change: 'replaced', aside: 'audit.jsonl.000001' },
    });
    expect((await bed.verify()).faults).toEqual([
      { file: '2', line: 1, text: 'entries 3 to 4 are missing before this line' },
      {
        ...{ file: '2', line: 1 },
        text: 'entries 1 to 4 were not in the file that stood in its place, which is called audit.jsonl.000001 now',
      },
    ]);
  });

  test('is not gone on from where it was written anew and is longer', async () => {
    const bed = new LogBed();
    await closed(bed);
    const [start = ''] = linesOf(bed.path);
    const { seq, hash } = JSON.parse(start) as { seq: number; hash: string };
    put(bed.path, `${start}\n${forgedLines(Array(20).fill(INVENTED), { seq, hash }, true)}`);
    expect((await faultsOf(bed)).length).toBeGreaterThan(0);
    await goesOn(bed);
    expect(alarms(bed)).toEqual(['replaced']);
    expectNoneInvented(bed);
    expect((await faultsOf(bed)).length).toBeGreaterThan(0);
  });

  test('is not looked for in a rotated file that was forged', async () => {
    const bed = new LogBed();
    await closed(bed);
    rmSync(bed.path);
    put(`${bed.path}.000001`, forgedLines(Array(20).fill(INVENTED), undefined, true));
    await goesOn(bed);
    expect(alarms(bed)).toEqual(['missing']);
    expectNoneInvented(bed);
    expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', reason: 'missing', seq: 7 });
  });

  test('by what is appended behind its end: a fault for ever', async () => {
    for (const isSigned of [false, true]) {
      const bed = new LogBed();
      await closed(bed);
      appendFileSync(bed.path, forgedLines([INVENTED, INVENTED], headOf(bed.path), isSigned));
      expect(await faultsOf(bed)).toContain('this line follows the end of an agent, and none began');
      await goesOn(bed);
      expectNoneInvented(bed);
      expect((await faultsOf(bed)).length).toBeGreaterThan(0);
    }
  });

  test('by what is appended behind an agent that was killed: it counts for nothing', async () => {
    const bed = new LogBed();
    await closed(bed);
    bed.kill();
    appendFileSync(bed.path, forgedLines([INVENTED, INVENTED], headOf(bed.path)));
    await goesOn(bed);
    expectNoneInvented(bed);
    expect(bed.entries().filter((entry) => 'tunnel' in entry && entry.tunnel === 'invented')).toEqual([]);
    expect(await bed.verify()).toMatchObject({
      faults: [],
      notes: [{ text: expect.stringMatching(/^an agent was cut off while it wrote the \d+ bytes before this line$/) }],
    });
  });

  test('by removal, or by a move: that is told apart', async () => {
    const bed = new LogBed();
    await closed(bed);
    renameSync(bed.path, `${bed.path}-20261129`);
    await goesOn(bed);
    expect(await bed.verify([`${bed.path}-20261129`, bed.path])).toMatchObject({ faults: [], notes: [] });
    rmSync(bed.path);
    await goesOn(bed);
    expect(alarms(bed)).toEqual(['missing']);
    expect(await faultsOf(bed)).not.toEqual([]);
  });

  test('by a file with a number that no log has', async () => {
    const bed = new LogBed();
    await closed(bed);
    renameSync(bed.path, `${bed.path}.999999999999999999999`);
    await goesOn(bed);
    expect(await bed.verify()).toMatchObject({ faults: [] });
    truncateSync(bed.path, linesOf(bed.path).slice(0, 3).join('\n').length + 1);
    expect(await faultsOf(bed)).toContainEqual(expect.stringContaining('missing at the end'));
    await goesOn(bed);
    expect(alarms(bed)).toEqual(['replaced']);
  });

  test('into one of 2 GiB without a line', async () => {
    const bed = new LogBed();
    await closed(bed);
    writeFileSync(bed.path, '');
    truncateSync(bed.path, 2 ** 31);
    await goesOn(bed);
    expect(alarms(bed)).toEqual(['replaced']);
    const other = new LogBed();
    put(other.path, '');
    truncateSync(other.path, 2 ** 31);
    await expect(other.open()).rejects.toMatchObject({ code: 'ERR_AUDIT_FILE' });
  });
});

describe('an agent with another state directory', () => {
  test('goes on, and says which entries it knows nothing of', async () => {
    const bed = new LogBed();
    await closed(bed);
    rmSync(bed.state, { recursive: true });
    bed.renew();
    bed.key = generateKeyPairSync('ed25519').privateKey;
    await goesOn(bed);
    expect(bed.entries().find(({ type }) => type === 'unproven')).toMatchObject({ from: 1, to: 6, seq: 7 });
    expect(await faultsOf(bed)).toContainEqual(expect.stringContaining('not signed by the given key'));
  });
});

describe('an agent that is killed before it could write', () => {
  test('leaves what the state directory knew', async () => {
    const bed = new LogBed();
    await closed(bed);
    bed.disk.room = 0;
    await bed.open();
    bed.disk.room = Number.POSITIVE_INFINITY;
    await goesOn(bed);
    expect(alarms(bed)).toEqual([]);
    expect(bed.entries().map(({ seq }) => seq)).toEqual(bed.entries().map((_, index) => index + 1));
    expect((await bed.verify()).faults).toEqual([]);
  });
});

describe('what was lost', () => {
  test('is told of by the next agent where there is no room until this one ends', async () => {
    const bed = new LogBed();
    bed.settings = { ...bed.settings, onFailure: 'continue' };
    const log = await written(bed);
    bed.disk.room = 0;
    await log.write(signed('lost'), AWAITED).done;
    await log.write(signed('lost'), AWAITED).done;
    // killed, or closed: what the state directory knows is the same
    const state = readFileSync(bed.record, 'utf8');
    expect(JSON.parse(state)).toMatchObject({ lost: { entries: 2, signatures: 2, code: 'ENOSPC' } });
    await log.close();
    bed.disk.room = Number.POSITIVE_INFINITY;
    await goesOn(bed);
    const lost = bed.entries().filter(({ type }) => type === 'lost');
    expect(lost).toMatchObject([{ entries: 3, signatures: 2, code: 'ENOSPC' }]);
    await goesOn(bed);
    expect(bed.entries().filter(({ type }) => type === 'lost')).toHaveLength(1);
    expect((await bed.verify()).faults).toEqual([]);
  });

  test('does not stand before the beginning: the start is written first, whenever there is room', async () => {
    for (const room of [0, 100, 700]) {
      const bed = new LogBed();
      bed.disk.room = room;
      const log = await bed.open();
      await log.write(signed('lost'), AWAITED).done.catch(() => undefined);
      bed.disk.room = Number.POSITIVE_INFINITY;
      await log.write(signed('after'), AWAITED).done;
      await log.close();
      expect(bed.types().filter((type) => type !== 'recovered')).toEqual(['start', 'lost', 'outcome', 'end']);
      expect((await bed.verify()).faults).toEqual([]);
    }
  });
});

describe('a file that was begun while the clock ran ahead', () => {
  test('is done with when it is as old as it may be by the clock that is right', async () => {
    const bed = new LogBed();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2030-01-01') });
    try {
      await closed(bed);
      vi.setSystemTime(Date.parse('2026-01-01'));
      bed.settings = { ...bed.settings, rotateAge: 3_600_000 };
      const log = await written(bed);
      vi.setSystemTime(Date.parse('2026-01-02'));
      await one(bed, log);
      await log.close();
    } finally {
      vi.useRealTimers();
    }
    expect(bed.files).toHaveLength(2);
    expect((await bed.verify()).faults).toEqual([]);
  });
});
