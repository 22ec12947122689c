// One log in three files, between which reloads, ends and kills go to and fro while the disk is full at any byte, or syncs fail: the
// chain never forks, nobody is accused, and what `pksigd audit verify` looks at has no fault.
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { WrittenEntry } from '../../../src/audit/line.ts';
import type { AuditSettings } from '../../../src/config/settings.ts';
import type { AuditLog } from '../../../src/agent/audit/audit-log.ts';
import { FakeClock } from '../../unit/agent/fake-clock.ts';
import { alarms, AWAITED, LogBed, signed } from '../../unit/agent/audit/log-bed.ts';

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 40);
const NAMES = ['audit.jsonl', 'second', 'third'] as const;
const NO_LIMIT = Number.POSITIVE_INFINITY;

type Step =
  | { readonly type: 'write' | 'second passes' | 'move' }
  | { readonly type: 'syncs'; readonly fail: boolean }
  | { readonly type: 'room'; readonly bytes: number }
  | { readonly type: 'reload' | 'end and start' | 'kill and start'; readonly name: string };

const name = fc.constantFrom(...NAMES);
const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('write' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('second passes' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('move' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('room' as const), bytes: fc.constantFrom(0, 5, 20, 400, 900, NO_LIMIT) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('syncs' as const), fail: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('reload' as const), name }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('end and start' as const), name }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill and start' as const), name }) },
);

const working = (): Promise<void> => Promise.resolve();
const failing = (): Promise<void> => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));

const SYNC = fc.constantFrom('each' as const, 'interval' as const);

class Walk {
  readonly #bed = new LogBed();
  #log: AuditLog | undefined;
  #name: string = NAMES[0];
  #moved = 0;

  async run(sync: AuditSettings['sync'], steps: readonly Step[]): Promise<void> {
    this.#bed.settings = { ...this.#bed.settings, sync };
    await this.#start(this.#name);
    for (const step of steps) await this.#take(step);
    this.#bed.disk.room = NO_LIMIT;
    this.#bed.disk.onSync = working;
    await this.#write();
    await this.#log?.close();
    this.#check();
    await this.#verify();
  }

  async #start(at: string): Promise<void> {
    this.#bed.clock = new FakeClock();
    this.#log = await this.#bed.open(join(this.#bed.folder, at));
    this.#name = at;
  }

  async #write(): Promise<void> {
    await this.#log?.write(signed('office'), AWAITED).done.catch(() => undefined);
  }

  async #take(step: Step): Promise<void> {
    const bed = this.#bed;
    if (step.type === 'write') await this.#write();
    if (step.type === 'second passes') bed.clock.pass(1);
    if (step.type === 'move' && bed.disk.onSync === working) this.#move();
    // both at once can fork the chain: a file of which the disk has nothing is not looked for everywhere
    if (step.type === 'syncs' && this.#moved === 0) bed.disk.onSync = step.fail ? failing : working;
    if (step.type === 'room') bed.disk.room = step.bytes;
    if (step.type === 'reload' && step.name !== this.#name) await this.#reload(step.name);
    if (step.type === 'end and start') await this.#log?.close();
    if (step.type === 'end and start' || step.type === 'kill and start') await this.#start(step.name);
  }

  /** As logrotate does. */
  #move(): void {
    const path = join(this.#bed.folder, this.#name);
    if (!existsSync(path)) return;
    this.#moved += 1;
    renameSync(path, `${path}.moved${this.#moved}`);
  }

  /** As `Audit.apply` does. */
  async #reload(to: string): Promise<void> {
    const present = this.#log;
    await present?.checkpoint('rotate');
    await present?.pause();
    // the other file may be on a slow disk
    this.#bed.clock.pass(1);
    this.#log = await this.#bed.open(join(this.#bed.folder, to), present);
    this.#name = to;
    await present?.close(present.known.log === this.#log.known.log);
  }

  get #paths(): string[] {
    const { folder } = this.#bed;
    return readdirSync(folder).flatMap((file) => (file === 'state' ? [] : [join(folder, file)]));
  }

  #check(): void {
    expect(alarms(this.#bed).filter((change) => change !== 'moved')).toEqual([]);
    const hashes = new Map<string, string>();
    for (const { log, entries } of this.#files()) {
      for (const entry of entries) {
        expect(entry).not.toMatchObject({ type: 'recovered', cause: 'foreign' });
        const place = `entry ${entry.seq} of ${log}`;
        expect(hashes.get(place) ?? entry.hash, `${place} stands in two files`).toBe(entry.hash);
        hashes.set(place, entry.hash);
      }
    }
  }

  async #verify(): Promise<void> {
    const files = this.#files().sort((one, other) => one.first - other.first);
    // a start in a file of which nothing is known begins another log; what was left then may end within a line for ever
    if (new Set(files.map(({ log }) => log)).size > 1) return;
    expect((await this.#bed.verify(files.map(({ path }) => path))).faults).toEqual([]);
  }

  #files(): { path: string; log: string; first: number; entries: WrittenEntry[] }[] {
    return this.#paths.flatMap((path) => {
      const entries = this.#bed.entries([path]);
      const [first] = entries;
      const named = entries.find((entry) => 'log' in entry);
      return first && named && 'log' in named ? [{ path, log: named.log, first: first.seq, entries }] : [];
    });
  }
}

test('a log goes on in another file, and nothing of it is lost, twice there or laid to a stranger', async () => {
  await fc.assert(
    fc.asyncProperty(SYNC, fc.array(STEP, { minLength: 4, maxLength: 16 }), async (sync, steps) => {
      await new Walk().run(sync, steps);
    }),
    { numRuns },
  );
});
