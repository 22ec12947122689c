import { createPublicKey, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Recorded, readRecords } from '../agent/audit/head-record.ts';
import { presentSigningKey } from '../agent/audit/signing-key.ts';
import { parseLine, type WrittenEntry } from '../audit/line.ts';
import { linesOf, outcomeOf, Requests, type Shown } from '../audit/shown.ts';
import type { Finding, Verdict } from '../audit/verdict.ts';
import { Verifier } from '../audit/verifier.ts';
import { defaultStateDirectory } from '../config/state-directory.ts';
import { safeStateFolder } from '../disk/safe-folder.ts';
import { AgentError, errorText } from '../errors.ts';
import { readFileLimited } from '../read-file-limited.ts';
import { printable, printableJson } from '../telemetry/printable.ts';
import { complain, print } from './standard-streams.ts';

export interface AuditKeyFlags {
  readonly stateDirectory?: string;
}

export interface AuditVerifyFlags extends AuditKeyFlags {
  readonly key?: readonly string[];
  readonly json?: boolean;
}

export interface AuditShowFlags {
  readonly tunnel?: string;
  readonly key?: string;
  readonly outcome?: string;
  readonly since?: Date;
  readonly until?: Date;
  readonly json?: boolean;
}

/** Bytes of a public key's file. */
const MAX_KEY = 64 * 1024;
/** Root may look at the log of an agent that runs as another user. */
const ANY_USER = undefined;

/** The state directory; undefined if there is none. @throws AgentError ERR_STATE_DIRECTORY if it was named and can't be used */
async function stateFolder({ stateDirectory }: AuditKeyFlags): Promise<string | undefined> {
  if (stateDirectory !== undefined) return await safeStateFolder(stateDirectory, ANY_USER, false);
  try {
    return await safeStateFolder(defaultStateDirectory(process.env), ANY_USER, false);
  } catch {
    return undefined;
  }
}

function pem(key: KeyObject): string {
  return String(createPublicKey(key).export({ format: 'pem', type: 'spki' }));
}

/** `pksigd audit key`. */
export async function auditKey(flags: AuditKeyFlags): Promise<void> {
  const folder = await stateFolder(flags);
  const key = folder === undefined ? undefined : await presentSigningKey(folder, ANY_USER);
  if (!key) {
    throw new AgentError('ERR_STATE_DIRECTORY', 'there is no key of audit logs yet', {
      hint: "the first agent that writes one makes it: give its --state-directory if it is another one's",
    });
  }
  print(pem(key));
}

async function publicKeyOf(path: string): Promise<KeyObject> {
  const bytes = await readFileLimited(path, { what: 'the public key', code: 'ERR_USAGE', maxBytes: MAX_KEY });
  try {
    const key = createPublicKey(bytes);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // said below
  }
  throw new AgentError('ERR_USAGE', `${path} is not an Ed25519 public key`, { hint: 'give what audit key printed' });
}

function unreadable(path: string, error: unknown): AgentError {
  return new AgentError('ERR_AUDIT_FILE', `can't read ${path}: ${errorText(error)}`, { cause: error });
}

/** A pipe would be waited for, or be read only once. */
async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) {
      await file.close();
      throw new TypeError('it is not a file');
    }
    for await (const chunk of file.createReadStream()) yield chunk as Buffer;
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function firstEntry(path: string): Promise<WrittenEntry | undefined> {
  for await (const line of linesOf(chunksOf(path))) {
    const entry = parseLine(line);
    if (typeof entry !== 'string') return entry;
  }
  return undefined;
}

interface LogFile {
  readonly path: string;
  /** Without links, and without the last part's. */
  readonly place: string;
  readonly first: WrittenEntry | undefined;
}

async function lookAt(path: string): Promise<LogFile> {
  const first = await firstEntry(path);
  const folder = await realpath(dirname(path)).catch(() => dirname(path));
  return { path, place: join(folder, basename(path)), first };
}

/** A log's files in the order in which they were written; one without entries behind all. */
async function inOrder(paths: readonly string[]): Promise<LogFile[]> {
  const found = await Promise.all(paths.map(lookAt));
  const seqOf = ({ first }: LogFile): number => first?.seq ?? Number.MAX_SAFE_INTEGER;
  return found.sort((one, other) => seqOf(one) - seqOf(other));
}

/** What the state directory remembers of a log, whatever its files are called now, and of what was written at their places. */
async function recordsOf(folder: string, files: readonly LogFile[]): Promise<Recorded[]> {
  const logs = new Set(files.flatMap(({ first }) => (first && 'log' in first ? [first.log] : [])));
  const places = new Set(files.map(({ place }) => place));
  const records = await readRecords(folder, ANY_USER);
  return records.filter(({ log, file }) => logs.has(log) || places.has(file));
}

/** Where the log goes on that these files are of, if that was not given. */
async function restOf(records: readonly Recorded[], files: readonly LogFile[]): Promise<string | undefined> {
  const [last] = [...records].sort((one, other) => other.seq - one.seq);
  if (!last) return undefined;
  const { file } = last.elsewhere ?? last;
  if (files.some(({ place }) => place === file)) return undefined;
  return await lstat(file).then(
    () => file,
    () => undefined,
  );
}

const placed = ({ file, line, text }: Finding): string => `${file}:${line}: ${text}`;

/** In a few words, and what is not known. */
function summary({ entries, first, last, checkpoints, isEnded }: Verdict, isTrusted: boolean): string[] {
  if (last === undefined) return [];
  return [
    `ok: ${entries} entries, ${first} to ${last.seq}, ${checkpoints} checkpoint${checkpoints === 1 ? '' : 's'}`,
    ...(isTrusted ? [] : ['no key was given or found: who can write the log could have written all of it anew']),
    ...(isEnded ? [] : ['the log has no end: its agent runs, or was killed, or what stood behind was cut off']),
  ];
}

/** `pksigd audit verify`: each fault is a line on standard error. */
export async function auditVerify(given: readonly string[], flags: AuditVerifyFlags): Promise<void> {
  const files = await inOrder(given);
  const found = await stateFolder(flags);
  // before the files are read: an agent that runs goes on writing
  const records = found === undefined ? [] : await recordsOf(found, files);
  // one that was not named may be that of another agent
  const folder = flags.stateDirectory !== undefined || records.length > 0 ? found : undefined;
  const ofState = folder === undefined ? undefined : await presentSigningKey(folder, ANY_USER).catch(() => undefined);
  const keys = flags.key ? await Promise.all(flags.key.map(publicKeyOf)) : ofState ? [createPublicKey(ofState)] : [];
  const head = records.reduce<Recorded | undefined>(
    (last, each) => (each.seq > (last?.seq ?? 0) ? each : last),
    undefined,
  );
  const verifier = new Verifier({
    keys,
    heads: records.filter(({ seq }) => seq > 0),
    restAt: await restOf(records, files),
  });
  for (const { path } of files) {
    verifier.beginFile(path);
    for await (const chunk of chunksOf(path)) verifier.push(chunk);
    verifier.endFile();
  }
  const verdict = verifier.finish();
  const { faults, notes } = verdict;
  if (flags.json === true) {
    const { entries, first = null, last = null, checkpoints, covered = null, isEnded } = verdict;
    const found = { entries, first, last, checkpoints, covered, ended: isEnded, trusted: keys.length > 0 };
    const report = {
      ok: faults.length === 0,
      ...found,
      stateDirectory: head ? { seq: head.seq, hash: head.hash } : null,
      faults,
      notes,
    };
    print(`${printableJson(JSON.stringify(report, null, 2))}\n`);
  } else {
    const lines = [...notes.map((note) => `note: ${placed(note)}`), ...summary(verdict, keys.length > 0)];
    if (faults.length === 0) print(lines.map((line) => `${printable(line)}\n`).join(''));
  }
  if (faults.length === 0) return;
  const many = faults.length === 1 ? 'a fault' : `${faults.length} faults`;
  throw new AgentError('ERR_AUDIT_CHAIN', `the audit log is not as it was written: ${many}`, {
    details: flags.json === true ? [] : faults.map(placed),
  });
}

function signatureText(entry: Shown): string {
  return entry.type === 'outcome' && entry.signature !== null ? entry.signature.slice(0, 12) : '-';
}

/** Columns of `audit show`, and how wide they are at least. */
const COLUMNS: readonly (readonly [string, number, (entry: Shown) => string])[] = [
  ['TIME', 24, ({ time }) => time],
  ['SEQ', 8, ({ seq }) => String(seq)],
  ['OUTCOME', 8, (entry) => outcomeOf(entry) ?? 'UNKNOWN'],
  ['TUNNEL', 12, ({ tunnel }) => tunnel],
  ['KEY', 12, ({ key }) => key?.slice(0, 12) ?? '-'],
  ['MS', 8, ({ duration }) => (duration === null ? '-' : String(duration))],
  ['SIGNATURE', 12, signatureText],
  // a name that nobody checked gets a question mark
  ['SERVER', 12, ({ context }) => (context?.server ? `${context.server}${context.verified ? '' : '?'}` : '-')],
  ['CODE', 12, ({ code }) => code ?? '-'],
  ['SCHEME', 0, ({ scheme }) => scheme ?? '-'],
];

function row(cells: readonly string[]): string {
  const padded = cells.map((cell, column) => printable(cell).padEnd(COLUMNS[column]?.[1] ?? 0));
  return `${padded.join('  ').trimEnd()}\n`;
}

/** `pksigd audit show`: a line a request. */
export async function auditShow(given: readonly string[], flags: AuditShowFlags): Promise<void> {
  const requests = new Requests(flags);
  const show = (entry: Shown): void => {
    if (flags.json === true) print(`${printableJson(JSON.stringify(entry))}\n`);
    else print(row(COLUMNS.map(([, , textOf]) => textOf(entry))));
  };
  const files = await inOrder(given);
  if (flags.json !== true) print(row(COLUMNS.map(([name]) => name)));
  for (const { path } of files) {
    for await (const line of linesOf(chunksOf(path))) {
      for (const entry of requests.take(line)) show(entry);
    }
    requests.endFile();
  }
  if (flags.outcome === undefined) for (const entry of requests.unfinished()) show(entry);
  if (requests.strange > 0)
    complain(`${requests.strange} lines are no entries, or not signed: pksigd audit verify says more`);
}
