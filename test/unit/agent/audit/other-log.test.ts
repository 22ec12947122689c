import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Audit } from '../../../../src/agent/audit/audit.ts';
import type { Asking, Known, RequestRecord } from '../../../../src/agent/audit/request-record.ts';
import { parseLine, type WrittenEntry } from '../../../../src/audit/line.ts';
import { Requests } from '../../../../src/audit/shown.ts';
import { SYSTEM_CLOCK } from '../../../../src/clock.ts';
import type { AuditSettings } from '../../../../src/config/settings.ts';
import { verdictOf } from '../../audit/written-log.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'pksigd-other-log-'))));
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const REQUEST: Asking = { tunnel: 'office', daemon: () => ({ pid: 1, user: 0 }), data: 'AAAA' };
const KNOWN: Known = { scheme: 'ECDSA' };
const at = (name: string): AuditSettings => ({
  ...{ file: join(folder, name), sync: 'each', onFailure: 'refuse' },
});
const audit = (): Audit => {
  const { geteuid } = process;
  return new Audit({ clock: SYSTEM_CLOCK, emit: () => undefined, pid: 1, uid: geteuid?.(), release: '0' });
};
const state = (): string => join(folder, 'state');
const recordOf = (kept: Audit, tunnel: string): RequestRecord => {
  const record = kept.record({ ...REQUEST, tunnel });
  if (!record) throw new TypeError('none is kept');
  return record;
};
const linesOf = (name: string): Buffer[] =>
  readFileSync(join(folder, name), 'latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => Buffer.from(line, 'latin1'));
const entriesOf = (name: string): WrittenEntry[] =>
  linesOf(name).flatMap((line) => {
    const entry = parseLine(line);
    return typeof entry === 'string' ? [] : [entry];
  });

/** Of a log that was there before: a request that never ended. */
async function writeBefore(name: string, tunnel: string): Promise<void> {
  const kept = audit();
  await kept.open(at(name), state);
  const record = recordOf(kept, tunnel);
  void record.accepted(KNOWN);
  await kept.close();
}

/** A request in the log `one`, and its signature when a reload has named another. */
async function signAcross(other: string): Promise<void> {
  const kept = audit();
  await kept.open(at('one'), state);
  const record = recordOf(kept, 'third');
  void record.accepted(KNOWN);
  await kept.apply(at(other), state);
  await record.signed(KNOWN, Buffer.alloc(64), 1);
  await kept.close();
}

test('an outcome in another log than its request names no entry of it', async () => {
  await writeBefore('one', 'first');
  await writeBefore('two', 'second');
  await signAcross('two');
  expect(entriesOf('two').filter(({ type }) => type === 'outcome')).toMatchObject([{ tunnel: 'third', of: null }]);
  const { faults } = verdictOf([readFileSync(join(folder, 'two'))], {});
  expect(faults).toEqual([]);
});

test('and leaves those of the other log open', async () => {
  await writeBefore('two', 'second');
  await signAcross('two');
  const requests = new Requests({});
  const shown = linesOf('two').flatMap((line) => requests.take(line));
  expect(shown.map(({ tunnel }) => tunnel)).toEqual(['third']);
  expect(requests.unfinished().map(({ tunnel }) => tunnel)).toEqual(['second']);
});

test('an outcome in a new file that goes on from its request’s names that', async () => {
  await signAcross('new');
  const [request] = entriesOf('one').filter(({ type }) => type === 'request');
  expect(entriesOf('new').filter(({ type }) => type === 'outcome')).toMatchObject([{ of: request?.seq }]);
});
