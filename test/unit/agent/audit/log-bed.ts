import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterEach } from 'vitest';
import type { Entry } from '../../../../src/audit/entry.ts';
import { isSealed, type WrittenEntry } from '../../../../src/audit/line.ts';
import { AuditLog, type LogOptions } from '../../../../src/agent/audit/audit-log.ts';
import type { AuditEvent } from '../../../../src/agent/audit/events.ts';
import { HeadRecord, readRecords } from '../../../../src/agent/audit/head-record.ts';
import { type LogHandle, openLogFile } from '../../../../src/agent/audit/log-file.ts';
import { LogFiles } from '../../../../src/agent/audit/log-files.ts';
import { knownBefore } from '../../../../src/agent/audit/place.ts';
import type { AuditSettings } from '../../../../src/config/settings.ts';
import type { Verdict } from '../../../../src/audit/verdict.ts';
import { verdictOf } from '../../audit/written-log.ts';
import { FakeClock } from '../fake-clock.ts';

const UID: number | undefined = process.geteuid?.();
const PAIR = generateKeyPairSync('ed25519');

const folders: string[] = [];
/** Of agents that were never closed, too: Node ends a process that forgets an open file. */
const files: Pick<FileHandle, 'close'>[] = [];
afterEach(async () => {
  await Promise.all(files.splice(0).map((file) => file.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Bytes of a file that the system has and the disk need not have. */
type Dirty = { readonly start: number; readonly end: number }[];

/** A disk that works until the test says otherwise. */
export class Disk {
  /** Bytes that there is room for. */
  room: number = Number.POSITIVE_INFINITY;
  /** Bytes that one write takes at most. */
  most: number = Number.POSITIVE_INFINITY;
  writes = 0;
  syncs = 0;
  /** What a sync waits for, or fails with. */
  onSync: () => Promise<void> = () => Promise.resolve();
  /** What is left of each file when the machine loses its power, by its inode. */
  readonly #durable = new Map<number, Buffer>();
  readonly #dirty = new Map<number, Dirty>();

  readonly open = async (path: string, uid: number | undefined): Promise<LogHandle> =>
    await this.#handle(await openLogFile(path, uid));

  readonly openAgain = async (_: LogHandle, path: string): Promise<LogHandle> =>
    await this.#handle(await open(path, 'r+'));

  /** What is left of a file when the machine loses its power. */
  durable(path: string): Buffer {
    return this.#durable.get(statSync(path).ino) ?? Buffer.alloc(0);
  }

  async #handle(file: FileHandle): Promise<LogHandle> {
    files.push(file);
    const { ino } = await file.stat();
    const dirty = this.#dirty.get(ino) ?? [];
    this.#dirty.set(ino, dirty);
    return {
      ...{ fd: file.fd, stat: file.stat.bind(file), read: file.read.bind(file), close: file.close.bind(file) },
      datasync: async () => {
        this.syncs += 1;
        const written = dirty.splice(0);
        // as Linux does: what could not be written counts as clean from then on
        await this.onSync();
        for (const { start, end } of written) await this.#settle(file, ino, start, end);
        await file.datasync();
      },
      write: (async (bytes: Buffer, offset: number, length: number, position: number | null) => {
        this.writes += 1;
        const fits = Math.min(length, this.room, this.most);
        if (fits <= 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        this.room -= fits;
        const start = position ?? (await file.stat()).size;
        const written = await file.write(bytes, offset, fits, position);
        dirty.push({ start, end: start + written.bytesWritten });
        return written;
      }) as LogHandle['write'],
    };
  }

  async #settle(file: FileHandle, ino: number, start: number, end: number): Promise<void> {
    const present = this.#durable.get(ino) ?? Buffer.alloc(0);
    const made = Buffer.alloc(Math.max(present.length, end));
    present.copy(made);
    await file.read(made, start, end - start, start);
    this.#durable.set(ino, made);
  }
}

export class LogBed {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'pksigd-audit-'));
  readonly state: string = join(this.folder, 'state');
  readonly path: string = join(this.folder, 'audit.jsonl');
  /** Of the agent that is opened next. */
  clock: FakeClock = new FakeClock();
  readonly disk: Disk = new Disk();
  readonly events: AuditEvent[] = [];
  key: KeyObject = PAIR.privateKey;
  settings: AuditSettings = { file: this.path, sync: 'each', onFailure: 'refuse' };
  /** What was done with the state directory's record, in order, and what each waits for or fails with. */
  readonly recorded: ('write' | 'sync' | 'close')[] = [];
  onRecord: (what: 'write' | 'sync' | 'close') => Promise<void> = () => Promise.resolve();

  constructor() {
    folders.push(this.folder);
    mkdirSync(this.state, { mode: 0o700 });
  }

  /** @param path another one than the log's; @param present what is written until now */
  async open(path: string = this.path, present?: AuditLog): Promise<AuditLog> {
    const { clock, settings } = this;
    const emit = (event: AuditEvent): void => void this.events.push(event);
    const record = await HeadRecord.open(this.state, path, UID);
    files.push(record);
    const known = knownBefore(path, await readRecords(this.state, UID));
    const rotation = () => ({ size: log.settings.rotateSize, age: log.settings.rotateAge });
    const logFiles = await LogFiles.open({
      ...{ path, uid: UID, key: this.key, before: { ...known, present: present?.known } },
      ...{ start: { type: 'start', release: '1.0.0', pid: 1, user: 0 }, onLeft: () => log.remember(true) },
      ...{ rotation, now: () => clock.now(), emit, open: this.disk.open, openAgain: this.disk.openAgain },
    });
    const log = new AuditLog(settings, { path, files: logFiles, record: this.#watched(record), clock, emit });
    await log.begin();
    return log;
  }

  #watched(record: HeadRecord): LogOptions['record'] {
    const before = async (what: 'write' | 'sync' | 'close'): Promise<void> => {
      await this.onRecord(what);
      this.recorded.push(what);
    };
    return {
      found: record.found,
      write: async (recorded) => {
        await before('write');
        await record.write(recorded);
      },
      sync: async () => {
        await before('sync');
        await record.sync();
      },
      close: async () => {
        await before('close');
        await record.close();
      },
    };
  }

  /** As if the agent that has closed it had been killed instead: the state directory does not know of its end. */
  kill(): void {
    for (const name of readdirSync(this.state)) {
      const path = join(this.state, name);
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, text.replaceAll('"isClosed":true', '"isClosed":false'));
    }
  }

  /** As if it had never been there. */
  forget(): void {
    for (const path of [this.path, this.state]) rmSync(path, { recursive: true });
    this.renew();
  }

  /** A state directory that knows of nothing. */
  renew(): void {
    mkdirSync(this.state, { mode: 0o700 });
  }

  /** What the state directory knows of the first log. */
  get record(): string {
    const [name = ''] = readdirSync(this.state).filter((each) => each.startsWith('audit-head-'));
    return join(this.state, name);
  }

  /** The log's files, from the oldest on. */
  get files(): string[] {
    const names = readdirSync(this.folder).filter((name) => name.startsWith('audit.jsonl'));
    const [current, ...others] = names.sort();
    return [...others, ...(current === undefined ? [] : [current])].map((name) => join(this.folder, name));
  }

  texts(paths: readonly string[] = this.files): string[] {
    return paths.map((path) => readFileSync(path, 'utf8'));
  }

  /** Those that count: a signed line follows them. */
  entries(paths: readonly string[] = this.files): WrittenEntry[] {
    return this.texts(paths).flatMap((text) => {
      let sealed: WrittenEntry[] = [];
      let pending: WrittenEntry[] = [];
      for (const line of text.split('\n')) {
        if (!line.endsWith('"}')) continue;
        const entry = JSON.parse(line) as WrittenEntry;
        if (entry.type === 'recovered' && entry.prev !== pending.at(-1)?.hash) pending = [];
        pending.push(entry);
        if (!isSealed(entry)) continue;
        sealed = [...sealed, ...pending];
        pending = [];
      }
      return sealed;
    });
  }

  types(paths: readonly string[] = this.files): string[] {
    return this.entries(paths).map((entry) => (entry.type === 'checkpoint' ? entry.reason : entry.type));
  }

  /** What would be left if the machine lost its power now. */
  get durable(): Buffer {
    return this.disk.durable(this.path);
  }

  /** With what the state directory knows. */
  async verify(paths: readonly string[] = this.files): Promise<Verdict> {
    const bytes = paths.map((path) => readFileSync(path));
    return verdictOf(bytes, { keys: [createPublicKey(this.key)], heads: await readRecords(this.state, UID) });
  }
}

export function signed(tunnel: string): () => Entry {
  return () => ({
    ...{ type: 'outcome', of: null, tunnel, daemon: { pid: null, user: null }, key: null, scheme: null, data: null },
    ...{ context: null, outcome: 'signed', code: null, signature: 'ab'.repeat(32), duration: 1 },
  });
}

export const AWAITED = { isSignature: true };

/** A log with some signatures in it. */
export async function written(bed: LogBed, count = 3): Promise<AuditLog> {
  const log = await bed.open();
  for (let index = 0; index < count; index += 1) await log.write(signed('office'), AWAITED).done;
  return log;
}

/** What was noticed that others did to it. */
export const alarms = (bed: LogBed): unknown[] =>
  bed.events.flatMap((event) => ('change' in event ? [event.change] : []));
