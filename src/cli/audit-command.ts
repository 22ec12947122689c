import { createPublicKey, type KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { logPath } from '../agent/audit/audit.ts';
import { readHead } from '../agent/audit/head-record.ts';
import { presentSigningKey } from '../agent/audit/signing-key.ts';
import type { Head } from '../audit/entry.ts';
import { parseLine } from '../audit/line.ts';
import { linesOf, outcomeOf, Requests, type Shown } from '../audit/shown.ts';
import { type Finding, type Verdict, Verifier } from '../audit/verifier.ts';
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

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Buffer;
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Where a file stands among the others; one without entries behind all. */
async function firstEntry(path: string): Promise<number> {
  for await (const line of linesOf(chunksOf(path))) {
    const entry = parseLine(line);
    if (typeof entry !== 'string') return entry.seq;
  }
  return Number.POSITIVE_INFINITY;
}

/** A log's files in the order in which they were written. */
async function inOrder(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map(async (path) => ({ path, first: await firstEntry(path) })));
  return found.sort((one, other) => (one.first === other.first ? 0 : one.first - other.first)).map(({ path }) => path);
}

/** What the state directory remembers of a log, one of whose files these are. */
async function knownHead(folder: string, paths: readonly string[]): Promise<Head | undefined> {
  for (const path of paths) {
    const place = await logPath(path, ANY_USER).catch(() => undefined);
    const head = place === undefined ? undefined : await readHead(folder, place, ANY_USER);
    if (head) return head;
  }
  return undefined;
}

const placed = ({ file, line, text }: Finding): string => `${file}:${line}: ${text}`;

/** In a few words, and what is not known. */
function summary({ entries, first, last, checkpoints, covered, isEnded }: Verdict, isTrusted: boolean): string[] {
  if (last === undefined) return [];
  const uncovered = last.seq - (covered ?? 0);
  return [
    `ok: ${entries} entries, ${first} to ${last.seq}, ${checkpoints} checkpoints`,
    ...(isTrusted ? [] : ['no key was given or found: who can write the log could have written all of it anew']),
    ...(isEnded ? [] : ['the log has no end: its agent runs, or was killed, or what stood behind was cut off']),
    ...(uncovered > 0 && !isEnded ? [`the last ${uncovered} entries are covered by no checkpoint yet`] : []),
  ];
}

/** `pksigd audit verify`: each fault is a line on standard error. */
export async function auditVerify(given: readonly string[], flags: AuditVerifyFlags): Promise<void> {
  const folder = await stateFolder(flags);
  // before the files are read: an agent that runs goes on writing
  const head = folder === undefined ? undefined : await knownHead(folder, given);
  const ofState = folder === undefined ? undefined : await presentSigningKey(folder, ANY_USER).catch(() => undefined);
  const keys = flags.key ? await Promise.all(flags.key.map(publicKeyOf)) : ofState ? [createPublicKey(ofState)] : [];
  const verifier = new Verifier({ keys, head });
  for (const path of await inOrder(given)) {
    verifier.beginFile(path);
    for await (const chunk of chunksOf(path)) verifier.push(chunk);
    verifier.endFile();
  }
  const verdict = verifier.finish();
  const { faults, notes } = verdict;
  if (flags.json === true) {
    const { entries, first = null, last = null, checkpoints, covered = null, isEnded } = verdict;
    const found = { entries, first, last, checkpoints, covered, ended: isEnded, trusted: keys.length > 0 };
    const report = { ok: faults.length === 0, ...found, stateDirectory: head ?? null, faults, notes };
    print(`${printableJson(JSON.stringify(report, null, 2))}\n`);
  } else {
    const lines = [...notes.map((note) => `note: ${placed(note)}`), ...summary(verdict, keys.length > 0)];
    if (faults.length === 0) print(lines.map((line) => `${printable(line)}\n`).join(''));
  }
  if (faults.length === 0) return;
  throw new AgentError('ERR_AUDIT_CHAIN', `the audit log is not as it was written: ${faults.length} faults`, {
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
  if (flags.json !== true) print(row(COLUMNS.map(([name]) => name)));
  for (const path of await inOrder(given)) {
    for await (const line of linesOf(chunksOf(path))) {
      const entry = requests.take(line);
      if (entry) show(entry);
    }
  }
  if (flags.outcome === undefined) for (const entry of requests.unfinished()) show(entry);
  if (requests.strange > 0) complain(`${requests.strange} lines are no entries: pksigd audit verify says more`);
}
