import { createHash, type KeyObject, sign, verify } from 'node:crypto';
import { type Entry, ENTRY_TYPES, type Head } from './entry.ts';

/**
 * A line is one JSON object without blanks, as JSON.stringify makes it, and "\n". Its members, in this order:
 *
 *     v, seq, time, type, … what the entry says …, prev, signature (of a checkpoint), hash
 *
 * `hash` is the SHA-256 of all bytes of the line that stand before `,"hash":`. `prev` is the `hash` of the line before, so that
 * each hash covers all lines before it. `signature` is Ed25519 over all bytes that stand before `,"signature":`.
 */
export const FORMAT_VERSION = 1 as const;

/** Bytes of a line, without its end: none of ours is near it. */
export const MAX_LINE: number = 64 * 1024;

/** An entry with what its place in the chain adds. */
export type WrittenEntry = Entry & {
  readonly v: typeof FORMAT_VERSION;
  readonly seq: number;
  /** ISO 8601, UTC, milliseconds. */
  readonly time: string;
  readonly prev: string;
  readonly hash: string;
};

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/**
 * The line of an entry that follows `head`, with its end, and what is the head then.
 * @param key signs a checkpoint: Ed25519
 */
export function formatLine(entry: Entry, head: Head, time: Date, key: KeyObject): { text: string; head: Head } {
  const seq = head.seq + 1;
  const said = JSON.stringify({ v: FORMAT_VERSION, seq, time: time.toISOString(), ...entry, prev: head.hash });
  let body = said.slice(0, -1);
  if (entry.type === 'checkpoint') {
    const signature = sign(null, Buffer.from(body), key).toString('base64');
    body = `${body},"signature":"${signature}"`;
  }
  const hash = sha256(body);
  return { text: `${body},"hash":"${hash}"}\n`, head: { seq, hash } };
}

/** `,"hash":"…"}` and what stands behind a checkpoint's body: all fixed in their length. */
const HASH_END = /^,"hash":"([0-9a-f]{64})"\}$/;
const HASH_END_LENGTH = 75;
const SIGNATURE_END = /^,"signature":"([A-Za-z0-9+/]{86}==)"$/;
const SIGNATURE_END_LENGTH = 103;
const HASH = /^[0-9a-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** What is wrong with a line by itself. */
export type LineFault =
  /** It does not end as a line does. */
  | 'no-entry'
  /** Its own hash is another one. */
  | 'changed'
  /** Of a version or a kind that is not known here. */
  | 'unknown';

function isWritten(value: unknown): value is WrittenEntry {
  if (typeof value !== 'object' || value === null) return false;
  const { v, seq, time, type, prev } = value as Record<string, unknown>;
  return (
    v === FORMAT_VERSION &&
    Number.isSafeInteger(seq) &&
    (seq as number) > 0 &&
    typeof time === 'string' &&
    TIME.test(time) &&
    typeof type === 'string' &&
    ENTRY_TYPES.has(type) &&
    typeof prev === 'string' &&
    HASH.test(prev)
  );
}

/** Reads a line, given without its end: its own hash fits it. Whether it stands in its place the chain says. */
export function parseLine(line: Buffer): WrittenEntry | LineFault {
  const bodyLength = line.length - HASH_END_LENGTH;
  if (bodyLength < 0 || line[0] !== 0x7b) return 'no-entry';
  const [, hash] = HASH_END.exec(line.toString('latin1', bodyLength)) ?? [];
  if (hash === undefined) return 'no-entry';
  if (sha256(line.subarray(0, bodyLength)) !== hash) return 'changed';
  const text = line.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'unknown';
  }
  // one way to write it only: nobody reads a line otherwise than it was meant
  return isWritten(value) && JSON.stringify(value) === text ? value : 'unknown';
}

/** The bytes of a checkpoint's line that are signed, and the signature. */
function signedPart(line: Buffer): { readonly bytes: Buffer; readonly signature: Buffer } | undefined {
  const end = line.length - HASH_END_LENGTH;
  const start = end - SIGNATURE_END_LENGTH;
  if (start < 0) return undefined;
  const [, signature] = SIGNATURE_END.exec(line.toString('latin1', start, end)) ?? [];
  return signature === undefined
    ? undefined
    : { bytes: line.subarray(0, start), signature: Buffer.from(signature, 'base64') };
}

/** Whether one of the keys signed a checkpoint's line. */
export function isSignedBy(line: Buffer, keys: readonly KeyObject[]): boolean {
  const part = signedPart(line);
  return part !== undefined && keys.some((key) => verify(null, part.bytes, key, part.signature));
}
