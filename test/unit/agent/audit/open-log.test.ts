import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Entry } from '../../../../src/audit/entry.ts';
import type { WrittenEntry } from '../../../../src/audit/line.ts';
import type { AuditEvent } from '../../../../src/agent/audit/events.ts';
import { type AuditSurroundings, openLog, type OpenLog } from '../../../../src/agent/audit/open-log.ts';
import type { AuditSettings } from '../../../../src/config/settings.ts';
import { coded } from '../../management/pair.ts';
import { FakeClock } from '../fake-clock.ts';

let folder: string;
let path: string;
let state: string;
let onEvent: (event: AuditEvent) => void;
const opened: OpenLog[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-open-log-'));
  path = join(folder, 'audit.jsonl');
  state = join(folder, 'state');
  onEvent = () => undefined;
});
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  rmSync(folder, { recursive: true });
});

const LOST: Entry = { type: 'lost', entries: 1, signatures: 0, code: null, since: '2026-01-02T03:04:05.678Z' };

async function open(change: Partial<AuditSettings> = {}, around: Partial<AuditSurroundings> = {}): Promise<OpenLog> {
  const { geteuid } = process;
  const settings: AuditSettings = { file: path, sync: 'each', onFailure: 'refuse', ...change };
  const emit = (event: AuditEvent): void => {
    onEvent(event);
  };
  const surroundings = { clock: new FakeClock(), emit, pid: 4711, uid: geteuid?.(), release: '0', ...around };
  const log = await openLog(settings, state, surroundings, undefined);
  opened.push(log);
  return log;
}

const firstOf = (file: string): WrittenEntry =>
  JSON.parse(readFileSync(file, 'utf8').split('\n', 1)[0] ?? '') as WrittenEntry;
const lastOf = (file: string): WrittenEntry =>
  JSON.parse(readFileSync(file, 'utf8').split('\n').at(-2) ?? '') as WrittenEntry;

/** What the state directory knows. */
function recorded(): unknown {
  const [name = ''] = readdirSync(state).filter((each) => each.startsWith('audit-head-'));
  return JSON.parse(readFileSync(join(state, name), 'utf8').split('\n', 1)[0] ?? '');
}

test('a folder that others can write is refused', async () => {
  chmodSync(folder, 0o777);
  await expect(open()).rejects.toEqual(coded('ERR_AUDIT_FILE', 'others can write the folder of the audit log'));
});

test('a log that can not be locked is an error of the log, with nothing about the state directory', async () => {
  const lock = join(folder, '.audit.jsonl.lock');
  mkdirSync(lock);
  const error: unknown = await open().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'ERR_AUDIT_FILE', hint: undefined, cause: { code: 'ERR_STATE_DIRECTORY' } });
  expect((error as Error).message).toBe(`can't lock the audit log: ${lock} is not a file`);
});

test('a log that another process writes says which, and what to do', async () => {
  await open();
  await expect(open()).rejects.toMatchObject({
    ...{ code: 'ERR_AUDIT_IN_USE', message: `process 4711 writes the audit log ${path}` },
    hint: 'give each agent its own',
  });
  // its disk was full when it wanted to say so
  truncateSync(join(folder, '.audit.jsonl.lock'));
  await expect(open()).rejects.toMatchObject({ message: `another process writes the audit log ${path}` });
});

test('the start says whose the agent is, if that is known', async () => {
  await open({}, { uid: undefined });
  expect(firstOf(path)).toMatchObject({ type: 'start', pid: 4711, user: null });
});

test('the state directory knows how a file ends before that has another name', async () => {
  const { log } = await open();
  await log.write(() => LOST, { isSignature: true }).done;
  const known: unknown[] = [];
  onEvent = ({ type }) => {
    if (type === 'audit-rotated') known.push(recorded());
  };
  log.settings = { ...log.settings, rotateSize: 1 };
  await log.write(() => LOST, { isSignature: true }).done;
  const { seq, hash, type } = lastOf(`${path}.000001`);
  expect({ seq, type }).toEqual({ seq: 4, type: 'checkpoint' });
  expect(known).toMatchObject([{ seq, hash, file: path }]);
});
