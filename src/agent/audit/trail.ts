import { createHash, type KeyObject } from 'node:crypto';
import type { Head } from '../../audit/entry.ts';
import { isSealed, isSignedBy, MAX_LINE, parseLine, type WrittenEntry } from '../../audit/line.ts';
import type { LogHandle } from './log-file.ts';

const NEWLINE = 0x0a;
const CHUNK = 256 * 1024;
/** Bytes that may stand behind the last signed line: an agent has no more than that under way. */
const MOST_JUNK = 16 * 1024 * 1024;

async function readAt(file: LogHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, start + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/** What stands behind the last entry and is none: with the line's end that it is to get, if more is to follow. */
export interface Torn {
  readonly bytes: number;
  readonly sha256: string;
}

/** How a file ends. */
export interface Ending {
  /** Bytes of the file. */
  readonly length: number;
  /** The last line has no end yet, whatever it is. */
  readonly lacksEnd: boolean;
  readonly torn: Torn | undefined;
}

/**
 * What stands in a file from a place on that is no entry.
 * @param isLeft nothing is written there any more
 * @returns undefined if that is more than an agent can have left
 */
export async function endingBehind(file: LogHandle, end: number, isLeft = false): Promise<Ending | undefined> {
  const { size } = await file.stat();
  if (size - end > MOST_JUNK) return undefined;
  if (size <= end) return { length: size, lacksEnd: size < end, torn: undefined };
  const hash = createHash('sha256');
  let last: number | undefined;
  for (let at = end; at < size; ) {
    const chunk = await readAt(file, at, Math.min(size, at + CHUNK));
    if (chunk.length === 0) break;
    hash.update(chunk);
    last = chunk.at(-1);
    at += chunk.length;
  }
  const lacksEnd = last !== NEWLINE;
  const isToEnd = lacksEnd && !isLeft;
  if (isToEnd) hash.update('\n');
  return { length: size, lacksEnd, torn: { bytes: size - end + (isToEnd ? 1 : 0), sha256: hash.digest('hex') } };
}

/** Whether the last line of a file of this size has no end. */
export async function lacksEnd(file: LogHandle, size: number): Promise<boolean> {
  return size > 0 && (await readAt(file, size - 1, size))[0] !== NEWLINE;
}

/** Whether an entry's line ends at a place of a file; its newline may still be due. */
export async function endsAt(file: LogHandle, { seq, hash }: Head, end: number): Promise<boolean> {
  const start = Math.max(0, end - MAX_LINE - 1);
  const bytes = await readAt(file, start, end);
  const length = end - start - 1;
  if (bytes.length < length || (bytes.length > length && bytes[length] !== NEWLINE)) return false;
  const line = bytes.subarray(0, length);
  const entry = parseLine(line.subarray(line.lastIndexOf(NEWLINE) + 1));
  return typeof entry !== 'string' && entry.seq === seq && entry.hash === hash;
}

/**
 * The lines of a file from a place on, without their ends, and where the next one begins, or is to: the last one may lack its
 * end. What is too long for a line is left out, and told of as empty.
 */
async function* linesFrom(file: LogHandle, from: number): AsyncGenerator<{ line: Buffer; end: number }> {
  let rest = Buffer.alloc(0);
  let isTooLong = false;
  for (let at = from; ; ) {
    const chunk = await readAt(file, at, at + CHUNK);
    if (chunk.length === 0) {
      if (rest.length > 0) yield { line: rest, end: at + 1 };
      return;
    }
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const start = at - rest.length;
    at += chunk.length;
    let begin = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, begin)) {
      yield { line: isTooLong ? Buffer.alloc(0) : bytes.subarray(begin, end), end: start + end + 1 };
      isTooLong = false;
      begin = end + 1;
    }
    rest = Buffer.from(bytes.subarray(begin));
    isTooLong ||= rest.length > MAX_LINE;
    // a place is all that is kept of it, and all that is told: its end may be gigabytes away
    if (isTooLong) {
      rest = Buffer.alloc(0);
      yield { line: rest, end: at };
    }
  }
}

const isNext = ({ seq, prev }: WrittenEntry, head: Head): boolean => seq === head.seq + 1 && prev === head.hash;

/** Where the last entry ends that an agent can prove to be its own. */
export interface Trail {
  readonly head: Head;
  readonly end: number;
}

/**
 * Follows the chain behind an entry, as far as this key signed it.
 * @param from where the lines behind it begin
 * @returns undefined if there are none
 */
export async function follow(file: LogHandle, known: Head, from: number, key: KeyObject): Promise<Trail | undefined> {
  let last = known;
  let signed: Trail | undefined;
  for await (const { line, end } of linesFrom(file, from)) {
    const entry = parseLine(line);
    if (typeof entry !== 'string') {
      const { seq, hash } = entry;
      // what was cut off has no part in the chain: it goes on behind the last signed line
      const isPart = isNext(entry, last) || isNext(entry, signed?.head ?? known);
      if (isPart) last = { seq, hash };
      if (isPart && isSealed(entry) && isSignedBy(line, [key])) signed = { head: last, end };
    }
    if (end - (signed?.end ?? from) > MOST_JUNK) break;
  }
  return signed;
}

/** The last line that says that it is signed, and whether this key did. */
export async function lastSealed(
  file: LogHandle,
  key: KeyObject,
): Promise<(Trail & { readonly isOurs: boolean }) | undefined> {
  const { size } = await file.stat();
  for (let length = 2 * MAX_LINE; length <= MOST_JUNK; length *= 2) {
    const start = Math.max(0, size - length);
    const bytes = await readAt(file, start, size);
    for (let end = bytes.lastIndexOf(NEWLINE); end > 0; ) {
      const before = bytes.lastIndexOf(NEWLINE, end - 1);
      const line = bytes.subarray(before + 1, end);
      const entry = parseLine(line);
      if (typeof entry !== 'string' && isSealed(entry)) {
        const { seq, hash } = entry;
        return { head: { seq, hash }, end: start + end + 1, isOurs: isSignedBy(line, [key]) };
      }
      end = before;
    }
    if (start === 0) break;
  }
  return undefined;
}

/** How a line of ours begins: a file that begins otherwise is somebody else's. */
const LINE_START = '{"v":1,"seq":';

/** Whether it is a line of ours, or what is left of one. */
const isOurs = (line: string): boolean => line !== '' && (line.startsWith(LINE_START) || LINE_START.startsWith(line));

/** A file's first entry, behind what is left of others if the disk was full; undefined if it begins otherwise. */
export async function firstEntry(file: LogHandle): Promise<WrittenEntry | undefined> {
  const bytes = await readAt(file, 0, 2 * MAX_LINE);
  for (let start = 0; ; ) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end < 0) return undefined;
    const line = bytes.subarray(start, end);
    const entry = parseLine(line);
    if (typeof entry !== 'string') return entry;
    if (!isOurs(line.toString('latin1'))) return undefined;
    start = end + 1;
  }
}

/** Bytes that are looked at for that. */
const FIRST_BYTES = 4096;

/** What a power cut leaves of a first write that did not come to the disk, where a later one did. */
export async function beginsWithHole(file: LogHandle): Promise<boolean> {
  return (await readAt(file, 0, 1))[0] === 0;
}

/** Whether a file begins with a line of ours, or with what is left of some. */
export async function beginsAsOurs(file: LogHandle): Promise<boolean> {
  const lines = (await readAt(file, 0, FIRST_BYTES)).toString('latin1').split('\n');
  // behind the last line's end there is nothing
  if (lines.at(-1) === '') lines.pop();
  const first = lines.findIndex((line) => line.startsWith(LINE_START));
  return lines.slice(0, first < 0 ? undefined : first).every(isOurs);
}
