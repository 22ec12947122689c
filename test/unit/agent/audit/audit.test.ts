import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Entry } from '../../../../src/audit/entry.ts';
import { parseLine, type WrittenEntry } from '../../../../src/audit/line.ts';
import { Audit } from '../../../../src/agent/audit/audit.ts';
import type { AuditEvent } from '../../../../src/agent/audit/events.ts';
import { SYSTEM_CLOCK } from '../../../../src/clock.ts';
import type { AuditSettings } from '../../../../src/config/settings.ts';
import { coded } from '../../management/pair.ts';

let folder: string;
let events: AuditEvent[];
const opened: Audit[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-audit-'));
  events = [];
});
afterEach(async () => {
  for (const audit of opened.splice(0)) await audit.close();
  rmSync(folder, { recursive: true });
});

const file = (name: string): string => join(folder, name);
const at = (name: string): AuditSettings => ({ file: file(name), sync: 'each', onFailure: 'refuse' });
const NONE: AuditSettings | undefined = undefined;
const state = (): string => file('state');
const otherState = (): string => file('other-state');
const noState = (): string => {
  throw new Error('no state directory');
};

function newAudit(pid = 1): Audit {
  const { geteuid } = process;
  const emit = (event: AuditEvent): void => void events.push(event);
  const audit = new Audit({ clock: SYSTEM_CLOCK, emit, pid, uid: geteuid?.(), release: '0' });
  opened.push(audit);
  return audit;
}

async function kept(name = 'one'): Promise<Audit> {
  const audit = newAudit();
  await audit.open(at(name), state);
  return audit;
}

/** An entry that can be told. */
const lost = (entries: number) => (): Entry => ({
  ...{ type: 'lost', entries, signatures: 0, code: null, since: '2026-01-02T03:04:05.678Z' },
});
const entriesOf = (name: string): WrittenEntry[] =>
  readFileSync(file(name), 'latin1')
    .split('\n')
    .flatMap((line) => {
      const entry = parseLine(Buffer.from(line, 'latin1'));
      return typeof entry === 'string' ? [] : [entry];
    });
const typesOf = (name: string): string[] =>
  entriesOf(name).map((entry) =>
    entry.type === 'checkpoint' ? entry.reason : entry.type === 'lost' ? String(entry.entries) : entry.type,
  );
const told = (type: AuditEvent['type']): AuditEvent[] => events.filter((event) => event.type === type);

describe('an agent without an audit log', () => {
  test('keeps none, and nothing waits for it', async () => {
    const audit = newAudit();
    await audit.open(undefined, noState);
    expect([audit.isKept, audit.isFailing]).toEqual([false, false]);
    expect(audit.record({ tunnel: 'x', daemon: () => ({ pid: null, user: null }), data: undefined })).toBeUndefined();
    await audit.write(lost(1)).done;
    await audit.close();
    expect(events).toEqual([]);
  });

  test('gets one by a reload, and what comes meanwhile is in it', async () => {
    const audit = newAudit();
    await audit.open(undefined, noState);
    const applied = audit.apply(at('one'), state);
    expect(audit.record({ tunnel: 'x', daemon: () => ({ pid: null, user: null }), data: undefined })).toBeDefined();
    const written = audit.write(lost(1));
    expect([written.seq, written.log]).toEqual([undefined, undefined]);
    await written.done;
    await applied;
    expect(audit.isKept).toBe(true);
    expect(typesOf('one')).toEqual(['start', 'start', '1']);
    expect(written.seq).toBe(3);
    expect(written.log).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('a reload', () => {
  test('that changes nothing begins nothing', async () => {
    const audit = await kept();
    await audit.apply(at('one'), state);
    await audit.write(lost(1)).done;
    expect(typesOf('one')).toEqual(['start', 'start', '1']);
    expect(told('audit-opened')).toHaveLength(1);
  });

  test('of the same log takes its other settings', async () => {
    const audit = await kept();
    await audit.write(lost(1)).done;
    await audit.apply({ ...at('one'), rotateSize: 1 }, state);
    await audit.write(lost(2)).done;
    await audit.write(lost(3)).done;
    expect(told('audit-rotated')).not.toEqual([]);
  });

  test('to another file goes on there', async () => {
    const audit = await kept();
    await audit.write(lost(1)).done;
    await audit.apply(at('two'), state);
    await audit.write(lost(2)).done;
    expect(typesOf('one')).toEqual(['start', 'start', '1', 'rotate']);
    expect(typesOf('two')).toEqual(['continue', 'start', 'start', '2']);
    expect(told('audit-kept')).toEqual([]);
    // and lets go of the first
    await newAudit(2).open(at('one'), otherState);
  });

  test('to a file that can not be used keeps the one before', async () => {
    const audit = await kept();
    await audit.apply(at('none/two'), state);
    const error = expect.stringMatching(/^there is no folder /) as string;
    expect(told('audit-kept')).toEqual([{ type: 'audit-kept', file: file('one'), error }]);
    await audit.write(lost(1)).done;
    expect(typesOf('one')).toEqual(['start', 'start', 'rotate', '1']);
    // and what a further reload compares with is what is written
    await audit.apply(at('one'), state);
    expect(told('audit-opened')).toHaveLength(1);
    await audit.apply(at('two'), state);
    await audit.write(lost(2)).done;
    expect(typesOf('two')).toEqual(['continue', 'start', 'start', '2']);
  });

  test('without a log ends it', async () => {
    const audit = await kept();
    await audit.apply(NONE, noState);
    expect([audit.isKept, typesOf('one').at(-1)]).toEqual([false, 'end']);
    await audit.write(lost(1)).done;
    expect(typesOf('one').at(-1)).toBe('end');
    await audit.apply(at('one'), state);
    await audit.write(lost(2)).done;
    expect(typesOf('one').slice(-3)).toEqual(['start', 'start', '2']);
  });

  test('whose state directory can not be told keeps all', async () => {
    const audit = await kept();
    await audit.apply(at('two'), noState);
    expect(told('audit-kept')).toEqual([{ type: 'audit-kept', file: file('one'), error: 'no state directory' }]);
    await audit.write(lost(1)).done;
    expect(typesOf('one')).toEqual(['start', 'start', '1']);
  });

  test('of an agent without a log, to one that can not be used, keeps it without', async () => {
    const audit = newAudit();
    await audit.open(undefined, noState);
    await audit.apply(at('none/two'), state);
    expect(told('audit-kept')).toMatchObject([{ file: undefined }]);
    expect(audit.isKept).toBe(false);
    await audit.write(lost(1)).done;
  });

  test('to another file with another state directory begins another log', async () => {
    const audit = await kept();
    await audit.apply(at('two'), otherState);
    await audit.write(lost(1)).done;
    const [start] = entriesOf('one');
    const [first] = entriesOf('two');
    expect(first).toMatchObject({ type: 'continue', reason: 'switched' });
    expect(first).not.toMatchObject({ publicKey: start && 'publicKey' in start ? start.publicKey : '' });
  });
});

describe('a reload to another state directory', () => {
  test('ends the log, and starts it with the key there', async () => {
    const audit = await kept();
    const applied = audit.apply(at('one'), otherState);
    const written = audit.write(lost(1));
    await applied;
    await written.done;
    expect(typesOf('one')).toEqual(['start', 'start', 'end', 'start', 'start', '1']);
    const keys = entriesOf('one').flatMap((entry) => (entry.type === 'start' ? [entry.publicKey] : []));
    expect(new Set(keys).size).toBe(2);
    // that is what it compares with from then on
    await audit.apply(at('one'), otherState);
    expect(told('audit-opened')).toHaveLength(2);
  });

  test('that can not be used keeps all', async () => {
    const audit = await kept();
    mkdirSync(otherState());
    chmodSync(otherState(), 0o777);
    await audit.apply(at('one'), otherState);
    expect(told('audit-kept')).toMatchObject([{ file: file('one') }]);
    await audit.write(lost(1)).done;
    expect(typesOf('one')).toEqual(['start', 'start', '1']);
    expect(told('audit-closed')).toEqual([]);
    await audit.apply(at('one'), state);
    expect(told('audit-opened')).toHaveLength(1);
  });

  test('whose record can not be used goes back to the one before', async () => {
    const audit = await kept();
    mkdirSync(otherState(), { mode: 0o700 });
    const name = readdirSync(state()).find((each) => each.startsWith('audit-head-')) ?? '';
    mkdirSync(join(otherState(), name));
    await audit.apply(at('one'), otherState);
    expect(told('audit-kept')).toMatchObject([{ file: file('one') }]);
    await audit.write(lost(1)).done;
    expect(typesOf('one')).toEqual(['start', 'start', 'end', 'start', 'start', '1']);
    await audit.apply(at('one'), state);
    expect(told('audit-opened')).toHaveLength(2);
  });
});

describe('the end', () => {
  test('is written, and the log is let go of', async () => {
    const audit = await kept();
    await audit.close();
    expect(audit.isKept).toBe(false);
    expect(typesOf('one').at(-1)).toBe('end');
    await audit.close();
    await newAudit(2).open(at('one'), state);
  });

  test('waits for a reload', async () => {
    const audit = await kept();
    const applied = audit.apply(at('two'), state);
    await audit.close();
    await applied;
    expect(typesOf('two').at(-1)).toBe('end');
    expect(audit.isKept).toBe(false);
  });
});

describe('a start', () => {
  test('has the log to itself', async () => {
    await kept();
    await expect(newAudit(2).open(at('one'), otherState)).rejects.toEqual(
      coded('ERR_AUDIT_IN_USE', `writes the audit log ${file('one')}`),
    );
  });

  test('that fails lets go of what it took', async () => {
    mkdirSync(state(), { mode: 0o700 });
    writeFileSync(join(state(), 'audit-key.pem'), 'x', { mode: 0o600 });
    const audit = newAudit();
    await expect(audit.open(at('one'), state)).rejects.toEqual(coded('ERR_STATE_DIRECTORY', 'the key of audit logs'));
    expect(audit.isKept).toBe(false);
    rmSync(join(state(), 'audit-key.pem'));
    await audit.open(at('one'), state);
    expect(audit.isKept).toBe(true);
  });
});
