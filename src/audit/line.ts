import { createHash, type KeyObject, sign, verify } from 'node:crypto';
import { type Entry, ENTRY_TYPES, type Head } from './entry.ts';

/**
 * A line is one JSON object without blanks, as JSON.stringify makes it, and "\n". Its members, in this order:
 *
 *     v, seq, time, type, … what the entry says …, prev, signature (of a checkpoint) or seal (of others), hash
 *
 * `hash` is the SHA-256 of all bytes of the line that stand before `,"hash":`. `prev` is the `hash` of the line before, so that
 * each hash covers all lines before it. `signature` is Ed25519 over all bytes that stand before `,"signature":`; so is `seal`,
 * which the last line of all that are written at once has if it is no checkpoint. Lines that nothing signed follows count for
 * nothing: their writer was cut off, or is somebody else.
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
  readonly seal?: string;
};

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/**
 * The line of an entry that follows `head`, with its end, and what is the head then.
 * @param key signs: Ed25519
 * @param isLast nothing else is written with it: it gets a seal
 */
export function formatLine(
  entry: Entry,
  head: Head,
  time: Date,
  key: KeyObject,
  isLast: boolean,
): { text: string; head: Head } {
  const seq = head.seq + 1;
  const said = JSON.stringify({ v: FORMAT_VERSION, seq, time: time.toISOString(), ...entry, prev: head.hash });
  let body = said.slice(0, -1);
  const name = entry.type === 'checkpoint' ? 'signature' : 'seal';
  if (isLast || entry.type === 'checkpoint') {
    body = `${body},"${name}":"${sign(null, Buffer.from(body), key).toString('base64')}"`;
  }
  const hash = sha256(body);
  return { text: `${body},"hash":"${hash}"}\n`, head: { seq, hash } };
}

/** Whether a line says that it is signed. */
export function isSealed(entry: WrittenEntry): boolean {
  return entry.type === 'checkpoint' || entry.seal !== undefined;
}

/** `,"hash":"…"}` and what stands behind a checkpoint's body: all fixed in their length. */
const HASH_END = /^,"hash":"([0-9a-f]{64})"\}$/;
const HASH_END_LENGTH = 75;
/** The last character has two bits of the signature, and four that are zero: another one would be a second spelling. */
const SIGNATURE_END = /,"(?:signature|seal)":"([A-Za-z0-9+/]{85}[AQgw]==)"$/;
/** Of the longer one. */
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
  const { v, seq, time, type, prev, seal } = value as Record<string, unknown>;
  return (
    v === FORMAT_VERSION &&
    Number.isSafeInteger(seq) &&
    (seq as number) > 0 &&
    typeof time === 'string' &&
    TIME.test(time) &&
    typeof type === 'string' &&
    ENTRY_TYPES.has(type) &&
    typeof prev === 'string' &&
    HASH.test(prev) &&
    (seal === undefined || (typeof seal === 'string' && type !== 'checkpoint'))
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

/** The bytes of a line that are signed, and the signature. */
function signedPart(line: Buffer): { readonly bytes: Buffer; readonly signature: Buffer } | undefined {
  const end = line.length - HASH_END_LENGTH;
  const found = SIGNATURE_END.exec(line.toString('latin1', Math.max(0, end - SIGNATURE_END_LENGTH), end));
  return found
    ? { bytes: line.subarray(0, end - found[0].length), signature: Buffer.from(found[1] ?? '', 'base64') }
    : undefined;
}

/** Whether one of the keys signed a line. */
export function isSignedBy(line: Buffer, keys: readonly KeyObject[]): boolean {
  const part = signedPart(line);
  return part !== undefined && keys.some((key) => verify(null, part.bytes, key, part.signature));
}
