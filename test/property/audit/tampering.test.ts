import { appendFileSync, copyFileSync, existsSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuditLog } from '../../../src/agent/audit/audit-log.ts';
import { forgedLines, headOf, INVENTED, linesOf, put, rewritten } from '../../unit/agent/audit/forger.ts';
import { FakeClock } from '../../unit/agent/fake-clock.ts';
import { AWAITED, LogBed, signed } from '../../unit/agent/audit/log-bed.ts';

const numRuns = Math.ceil(Number(process.env['PROPERTY_RUNS'] ?? 500) / 10);

/** What somebody does who can write the log's files, and not the state directory; or the agent. */
const STEPS = [
  ...(['sign', 'sign', 'start', 'stop', 'kill'] as const),
  ...(['keep', 'put back', 'rename', 'remove', 'cut', 'append', 'rewrite', 'replace', 'swap'] as const),
] as const;
type Step = (typeof STEPS)[number];

class World {
  readonly bed: LogBed = new LogBed();
  #log: AuditLog | undefined;
  #count = 0;
  /** Of each signature that left: its tunnel, and its place. */
  readonly left: { readonly name: string; readonly seq: number }[] = [];

  constructor() {
    this.bed.settings = { ...this.bed.settings, rotateSize: 4096 };
  }

  async take(step: Step, by: number): Promise<void> {
    const { bed } = this;
    switch (step) {
      case 'sign':
        await this.#sign();
        return;
      case 'start':
        this.#log ??= await bed.open();
        return;
      case 'stop':
        await this.#log?.close();
        this.#log = undefined;
        return;
      case 'kill':
        // its timers never run any more, and it writes nothing
        this.#log = undefined;
        bed.clock = new FakeClock();
        return;
      default:
        if (existsSync(bed.path)) this.#tamper(step, by);
    }
  }

  async #sign(): Promise<void> {
    if (!this.#log) return;
    const name = `signature ${this.#count++}`;
    this.bed.clock.pass(1);
    const written = this.#log.write(signed(name), AWAITED);
    const isWritten = await written.done.then(
      () => true,
      () => false,
    );
    if (isWritten) this.left.push({ name, seq: written.seq ?? 0 });
  }

  #tamper(step: Step, by: number): void {
    const { path, folder, files } = this.bed;
    const kept = `${folder}/kept`;
    const lines = linesOf(path);
    const at = lines.length === 0 ? 0 : by % lines.length;
    const forged = `${folder}/forged`;
    if (step === 'keep') copyFileSync(path, kept);
    else if (step === 'put back' && existsSync(kept)) renameSync(kept, path);
    else if (step === 'rename') renameSync(path, `${path}.${by % 3}`);
    else if (step === 'remove') rmSync(path);
    else if (step === 'cut') truncateSync(path, by % (readFileSync(path).length + 1));
    else if (step === 'append') appendFileSync(path, forgedLines([INVENTED], headOf(path), by % 2 === 0));
    else if (step === 'rewrite')
      put(
        path,
        rewritten(lines, at, (line) => line.replace('signature', 'signaturf')),
      );
    else if (step === 'swap') renameSync(files[by % files.length] ?? path, path);
    else if (step === 'replace') {
      put(
        forged,
        `${lines
          .slice(0, at)
          .map((line) => `${line}\n`)
          .join('')}${forgedLines([INVENTED], undefined, true)}`,
      );
      renameSync(forged, path);
    }
  }

  async end(): Promise<void> {
    await this.take('start', 0);
    await this.#sign();
    await this.take('stop', 0);
  }
}

/** As `audit verify` reads them. */
function inOrder(files: readonly string[]): string[] {
  const firstOf = (file: string): number =>
    Number(/^\{"v":1,"seq":(\d+),/m.exec(readFileSync(file, 'utf8'))?.[1] ?? 1e9);
  return files.toSorted((one, other) => firstOf(one) - firstOf(other));
}

describe('whoever can write the files of an audit log', () => {
  test('is found, or has taken away and added nothing', async () => {
    const step = fc.tuple(fc.constantFrom(...STEPS), fc.nat());
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const world = new World();
      for (const [what, by] of [['start', 0], ...steps] as const) await world.take(what, by);
      await world.end();
      const { bed, left } = world;
      const { faults, first = 1 } = await bed.verify(inOrder(bed.files));
      if (faults.length > 0) return;
      const tunnels = bed.entries().map((entry) => ('tunnel' in entry ? entry.tunnel : ''));
      // files that were moved away, and then removed, may be in an archive: that the log begins later is a note
      const due = left.filter(({ seq }) => seq >= first).map(({ name }) => name);
      expect(tunnels).toEqual(expect.arrayContaining(due));
      expect(tunnels).not.toContain('invented');
    });
    await fc.assert(property, { numRuns, seed: 20261129 });
  }, 240_000);
});
