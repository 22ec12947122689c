import { AgentError } from '../../errors.ts';

/** One thing that the daemon wrote. */
export type DecodedLine =
  /** A whole line without its line end (LF or CRLF). */
  | { readonly kind: 'line'; readonly text: string }
  /** A line that the daemon itself cut: the rest of it never comes. */
  | { readonly kind: 'truncated'; readonly text: string }
  /** `ENTER PASSWORD:`, which has no line end. */
  | { readonly kind: 'prompt' };

/**
 * Where OpenVPN 2.6 and later cuts a line. Everything for a management client goes through buffers of ERR_BUF_SIZE
 * (10,240) bytes, the line end and C's final NUL included (error.h, x_msg_va in error.c, log_entry_print in manage.c).
 *
 * So a line that is whole has its LF within its first 10,239 bytes, and a line without it there will never get one:
 * the cut is certain at the 10,239th byte, however the bytes were chunked, without waiting for what follows.
 */
export const LINE_CUT = 10_239;

/** Where OpenVPN 2.3, 2.4 and 2.5 cut a line: their ERR_BUF_SIZE is 8,192. */
export const LINE_CUT_BEFORE_2_6 = 8_191;

export interface LineDecoderOptions {
  /** Where the sender cuts lines, in bytes from the line's start; Infinity if it never does. Default {@link LINE_CUT}. */
  readonly cutAt?: number;
  /** The longest line to take, in bytes without its line end; only matters below `cutAt`. Default 1 MiB. */
  readonly maxLine?: number;
}

/**
 * Takes a line.
 *
 * @param bytes the same line with one character a byte (latin1), for those who pass it on unchanged; empty for a prompt
 */
export type LineSink = (line: DecodedLine, bytes: string) => void;

const LF = 10;
const CR = 13;
const PROMPT = Buffer.from('ENTER PASSWORD:');
/** Lines come whole, as a rule: of many connections few ever need room for a part of one. */
const NO_BYTES = Buffer.alloc(0);
const FIRST_ROOM = 256;

/** Bytes to lines (UTF-8). Knows how the daemon ends, cuts and prompts; nothing of what the lines say. */
export class LineDecoder {
  /** See {@link LineDecoderOptions.cutAt}. May be changed once the daemon has said which version it is. */
  cutAt: number;
  /** Whether `ENTER PASSWORD:` is a prompt: behind the greeting none comes, but a server's client may be called so. */
  hasPrompts = true;
  readonly #maxLine: number;
  /** The line so far, ours: the chunks that it came in belong to the socket. */
  #pending: Buffer = NO_BYTES;
  #length = 0;

  constructor(options: LineDecoderOptions = {}) {
    this.cutAt = options.cutAt ?? LINE_CUT;
    this.#maxLine = options.maxLine ?? 1024 * 1024;
  }

  /**
   * Takes the next bytes and hands each line to `sink` as soon as it is known, in order. `chunk` isn't kept.
   *
   * @throws AgentError ERR_MANAGEMENT_LIMIT if a line is longer than `maxLine`; the lines before it were handed out.
   */
  push(chunk: Uint8Array, sink: LineSink): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LF, start);
      if (end === -1) break;
      if (this.#length === 0) {
        this.#finish(bytes, start, end, sink);
      } else {
        this.#append(bytes, start, end);
        const length = this.#length;
        this.#length = 0;
        this.#finish(this.#pending, 0, length, sink);
      }
      start = end + 1;
    }
    if (start === bytes.length) return;
    this.#append(bytes, start, bytes.length);
    const rest = this.#peel(this.#pending, 0, this.#length, sink);
    if (rest > 0) {
      this.#pending.copyWithin(0, rest, this.#length);
      this.#length -= rest;
    }
  }

  /** {@link LineDecoder.push}, with the lines as an array. */
  decode(chunk: Uint8Array): DecodedLine[] {
    const lines: DecodedLine[] = [];
    this.push(chunk, (line) => lines.push(line));
    return lines;
  }

  /**
   * The stream has ended: a line that was never finished goes to `sink`, as a truncated one.
   *
   * @returns its text, undefined if there is none
   */
  end(sink?: LineSink): string | undefined {
    if (this.#length === 0) return undefined;
    const [text, bytes] = decode(this.#pending, 0, this.#length);
    this.#length = 0;
    sink?.({ kind: 'truncated', text }, bytes);
    return text;
  }

  /** A line's end was found. */
  #finish(bytes: Buffer, from: number, end: number, sink: LineSink): void {
    const start = this.#peel(bytes, from, end, sink);
    const stop = end > start && bytes[end - 1] === CR ? end - 1 : end;
    handOut('line', bytes, start, stop, sink);
  }

  /** Hands out what needs no line end, prompts and cut lines; returns where the rest starts. */
  #peel(bytes: Buffer, from: number, end: number, sink: LineSink): number {
    let start = from;
    for (;;) {
      if (this.hasPrompts && bytes[start] === PROMPT[0] && isPrompt(bytes, start, end)) {
        sink({ kind: 'prompt' }, '');
        start += PROMPT.length;
      } else if (end - start >= this.cutAt) {
        const stop = start + this.cutAt;
        // one byte more and the line would have been whole: the CR of its CRLF still had room
        if (bytes[stop - 1] === CR) handOut('line', bytes, start, stop - 1, sink);
        else handOut('truncated', bytes, start, stop, sink);
        start = stop;
      } else {
        if (end - start > this.#maxLine)
          throw new AgentError(
            'ERR_MANAGEMENT_LIMIT',
            `a line on the management interface is longer than ${this.#maxLine} bytes`,
          );
        return start;
      }
    }
  }

  #append(bytes: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#pending.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, this.#pending.length * 2, FIRST_ROOM));
      this.#pending.copy(larger, 0, 0, this.#length);
      this.#pending = larger;
    }
    bytes.copy(this.#pending, this.#length, start, end);
    this.#length = length;
  }
}

function isPrompt(bytes: Buffer, start: number, end: number): boolean {
  return end - start >= PROMPT.length && bytes.compare(PROMPT, 0, PROMPT.length, start, start + PROMPT.length) === 0;
}

function handOut(kind: 'line' | 'truncated', from: Buffer, start: number, end: number, sink: LineSink): void {
  const [text, bytes] = decode(from, start, end);
  sink({ kind, text }, bytes);
}

/** A line as text and as its bytes: of ASCII, as nearly all of it is, both are one string. */
function decode(from: Buffer, start: number, end: number): readonly [text: string, bytes: string] {
  const text = from.toString('utf8', start, end);
  // a character for each byte, none of them the replacement for bytes that are not UTF-8
  const isAscii = text.length === end - start && !text.includes('\ufffd');
  return [text, isAscii ? text : from.toString('latin1', start, end)];
}
