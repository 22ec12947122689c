import { AgentError } from '../errors.ts';

/** A piece of what the daemon sends. */
export type Line =
  | { readonly kind: 'line'; readonly text: string }
  /** `ENTER PASSWORD:`, which has no line end. */
  | { readonly kind: 'prompt' }
  /** A request that the daemon cut off: its line buffer was full, and the rest will never come. */
  | { readonly kind: 'truncated'; readonly text: string };

const PROMPT = 'ENTER PASSWORD:';
const REQUEST = /^>(?:PK|RSA)_SIGN:/;
/** What starts a new message: neither can be within a request, whose line has no '>' and no blank in its data. */
const NEXT_MESSAGE = /^(?:>|SUCCESS: |ERROR: |\r?\n)/;
/** error.h: ERR_BUF_SIZE less the NUL. A message that is longer loses its tail and its line end (2.6.14, 2.7). */
const DAEMON_LINE_BYTES = 10_239;
/** Far above anything that a daemon sends, far below what would hurt. */
const MAX_LINE_BYTES = 1024 * 1024;

/** Bytes to lines: LF or CRLF, in chunks of any size. */
export class LineDecoder {
  #rest = '';

  /**
   * @returns the lines that this chunk completes
   * @throws AgentError ERR_MANAGEMENT_LIMIT if a line does not end
   */
  push(chunk: Uint8Array): Line[] {
    // latin1: one character a byte; what is text is decoded where it is known to be
    this.#rest += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    const lines: Line[] = [];
    for (;;) {
      const line = this.#next();
      if (!line) break;
      lines.push(line);
    }
    if (this.#rest.length > MAX_LINE_BYTES) {
      throw new AgentError('ERR_MANAGEMENT_LIMIT', `the daemon sent a line of more than ${MAX_LINE_BYTES} bytes`);
    }
    return lines;
  }

  /** Is what has come so far a request that may have been cut? If nothing follows, {@link cut} it. */
  get mayBeTruncated(): boolean {
    return this.#rest.length === DAEMON_LINE_BYTES && REQUEST.test(this.#rest);
  }

  /** Takes what has come so far for a request that was cut off. */
  cut(): Line {
    const text = this.#rest;
    this.#rest = '';
    return { kind: 'truncated', text };
  }

  #next(): Line | undefined {
    const end = this.#rest.indexOf('\n');
    const length = end < 0 ? this.#rest.length : end;
    if (
      length > DAEMON_LINE_BYTES &&
      REQUEST.test(this.#rest) &&
      NEXT_MESSAGE.test(this.#rest.slice(DAEMON_LINE_BYTES))
    ) {
      const text = this.#rest.slice(0, DAEMON_LINE_BYTES);
      this.#rest = this.#rest.slice(DAEMON_LINE_BYTES);
      return { kind: 'truncated', text };
    }
    if (end >= 0) {
      const text = this.#rest.slice(0, this.#rest[end - 1] === '\r' ? end - 1 : end);
      this.#rest = this.#rest.slice(end + 1);
      return { kind: 'line', text };
    }
    if (this.#rest !== PROMPT) return undefined;
    this.#rest = '';
    return { kind: 'prompt' };
  }
}
