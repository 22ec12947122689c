// A file that is there when a log is to be written at its path, and of which the state directory knows nothing.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Entry } from '../../../../src/audit/entry.ts';
import type { AuditLog } from '../../../../src/agent/audit/audit-log.ts';
import { forgedLines, put } from './forger.ts';
import { AWAITED, LogBed, signed, written } from './log-bed.ts';

let bed: LogBed;
beforeEach(() => (bed = new LogBed()));
afterEach(() => {
  vi.useRealTimers();
});

/** The state directory is another one by now. */
function forgetState(): void {
  rmSync(bed.state, { recursive: true });
  bed.renew();
}

/** Begins a further file. */
async function rotate(log: AuditLog): Promise<void> {
  log.settings = { ...bed.settings, rotateAge: 0 };
  await log.write(signed('office'), AWAITED).done;
  log.settings = bed.settings;
}

const logs = (): unknown[] => bed.entries().flatMap((entry) => ('log' in entry ? [entry.log] : []));

describe('a log', () => {
  test('that has the agent’s own signatures goes on as if nothing had been', async () => {
    await (await written(bed)).close();
    forgetState();
    await (await written(bed)).close();
    expect(bed.types()).toEqual([1, 2].flatMap(() => ['start', 'start', 'outcome', 'outcome', 'outcome', 'end']));
    expect(new Set(logs()).size).toBe(1);
    expect(await bed.verify()).toMatchObject({ faults: [], notes: [], isEnded: true });
  });

  test('goes on in the file that it was in, by its number', async () => {
    const log = await written(bed);
    await rotate(log);
    await log.close();
    forgetState();
    const next = await written(bed);
    await rotate(next);
    await next.close();
    expect(bed.files).toEqual([`${bed.path}.000001`, `${bed.path}.000002`, bed.path]);
    expect(bed.entries([bed.path])[0]).toMatchObject({ type: 'continue', file: 3, after: 'audit.jsonl.000002' });
    expect((await bed.verify()).faults).toEqual([]);
  });

  test('of another key is told to be unproven from that file’s first entry on', async () => {
    const log = await written(bed);
    await rotate(log);
    await log.close();
    const [first] = bed.entries([bed.path]);
    const last = bed.entries([bed.path]).at(-1);
    forgetState();
    bed.key = generateKeyPairSync('ed25519').privateKey;
    await (await written(bed)).close();
    expect(bed.entries([bed.path]).filter(({ type }) => type === 'unproven')).toMatchObject([
      { from: first?.seq, to: last?.seq, seq: (last?.seq ?? 0) + 1 },
    ]);
    expect(first?.seq).toBeGreaterThan(1);
    expect(new Set(logs()).size).toBe(1);
  });

  test('is as old as its first entry', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-01') });
    await (await written(bed)).close();
    vi.setSystemTime(Date.parse('2026-01-02'));
    bed.settings = { ...bed.settings, rotateAge: 3_600_000 };
    await (await written(bed)).close();
    expect(bed.files).toHaveLength(2);
    await (await written(bed)).close();
    expect(bed.files).toHaveLength(2);
  });

  test.each([
    [999_999_999, '999999999'],
    // no log has as many
    [1_000_000_000, '000001'],
  ])('whose file says that it is number %i', async (file, number) => {
    const start: Entry = {
      ...{ type: 'start', release: '0', pid: 1, user: 0, log: 'ab'.repeat(16), publicKey: 'AAAA', file },
    };
    put(bed.path, forgedLines([start], undefined, true));
    const log = await written(bed);
    await rotate(log);
    await log.close();
    expect(existsSync(`${bed.path}.${number}`)).toBe(true);
    expect(logs().at(-1)).toBe('ab'.repeat(16));
  });
});

describe('what is left of a first line', () => {
  test('counts for nothing, and a log begins behind it', async () => {
    put(bed.path, '{"v":1,"seq":1,"ti');
    const log = await written(bed);
    await rotate(log);
    await log.close();
    const [recovered, start] = bed.entries();
    expect(recovered).toMatchObject({ type: 'recovered', bytes: 19, cause: 'cut-off', seq: 1 });
    expect(start).toMatchObject({ type: 'start', file: 1 });
    expect(bed.events.filter(({ type }) => type === 'audit-recovered')).toEqual([
      { type: 'audit-recovered', file: bed.path, bytes: 19 },
    ]);
    expect(bed.files).toHaveLength(2);
    expect((await bed.verify()).faults).toEqual([]);
  });

  test('that the state directory knows of, too: an agent was killed there', async () => {
    bed.disk.room = 100;
    await bed.open();
    bed.disk.room = Number.POSITIVE_INFINITY;
    const log = await written(bed);
    await rotate(log);
    await log.close();
    const [recovered, start] = bed.entries();
    expect(recovered).toMatchObject({ type: 'recovered', bytes: 101, cause: 'cut-off', seq: 1 });
    expect(start).toMatchObject({ type: 'start', file: 1 });
    expect(bed.files).toEqual([`${bed.path}.000001`, bed.path]);
    const { faults } = await bed.verify();
    expect(faults).toEqual([]);
  });
});

describe('what is no log', () => {
  test('is refused, and stays as it is', async () => {
    put(bed.path, 'x\n');
    await expect(bed.open()).rejects.toMatchObject({
      ...{ code: 'ERR_AUDIT_FILE', message: `${bed.path} is not an audit log`, hint: 'name a file of its own' },
    });
    expect(readFileSync(bed.path, 'utf8')).toBe('x\n');
  });

  test('is refused where it begins as one, and has more behind that than an agent leaves', async () => {
    put(bed.path, '{"v":1,"seq":1,"ti');
    truncateSync(bed.path, 17 * 1024 * 1024);
    await expect(bed.open()).rejects.toMatchObject({ message: `${bed.path} is not an audit log` });
  });
});
