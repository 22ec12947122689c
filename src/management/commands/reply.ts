import { AgentError } from '../../errors.ts';
import { DEFAULT_MAX_HELD, heldLine } from '../wire/held-bytes.ts';
import type { ReplyPart, ReplyShape } from './shape.ts';

/** The daemon's answer to one command. */
export interface Reply {
  /** Behind `SUCCESS: `; undefined if the reply has no such line. */
  readonly text: string | undefined;
  /** The lines of the reply's block, without `END`. */
  readonly lines: readonly string[];
  /** Every line as it came, END and ERROR included. */
  readonly raw: readonly string[];
  /** The first error, behind `ERROR: `; undefined if there was none. */
  readonly error: string | undefined;
}

/**
 * The reply, unless it is an error.
 *
 * @throws AgentError ERR_MANAGEMENT_COMMAND with the daemon's own words
 */
export function accepted(name: string, reply: Reply): Reply {
  if (reply.error === undefined) return reply;
  throw new AgentError('ERR_MANAGEMENT_COMMAND', `OpenVPN refused the ${name} command: ${reply.error}`);
}

/** Errors about the command itself, with no verdict to follow. */
const REFUSED = /^ERROR: (?:unknown command|Options |The '|the '|push-update-cid fail)/;

/** Gathers the lines of one reply by its shape. Knows nothing of other commands. */
export class ReplyCollector {
  readonly #parts: readonly ReplyPart[];
  readonly #lines: string[] = [];
  readonly #raw: string[] = [];
  readonly #bytes: string[] = [];
  #part = 0;
  #count = 0;
  #started = false;
  /** The line before was the header of rows, or a row. */
  #inRows = false;
  #held = 0;
  #discards = false;
  readonly #maxHeld: number;
  #text: string | undefined;
  #error: string | undefined;

  /** @param maxHeld bytes of memory that the reply may take */
  constructor(shape: ReplyShape, maxHeld: number = DEFAULT_MAX_HELD) {
    this.#parts = shape.parts;
    this.#maxHeld = maxHeld;
  }

  get done(): boolean {
    return this.#part >= this.#parts.length;
  }

  /** Inside a block: whatever comes belongs to it. */
  get open(): boolean {
    return this.#started;
  }

  /** Whether a line belongs to the block that has begun, though it begins as notifications do. */
  holds(line: string): boolean {
    const part = this.#parts[this.#part];
    return this.#inRows && part?.kind === 'block' && part.rows?.form.test(line) === true;
  }

  /** The word of the notification that is awaited as a reply. */
  get notificationWord(): string | undefined {
    const part = this.#parts[this.#part];
    return part?.kind === 'notification' ? part.word : undefined;
  }

  /** The lines of {@link Reply.raw} with one character a byte (latin1), for those who pass them on unchanged. */
  get bytes(): readonly string[] {
    return this.#bytes;
  }

  reply(): Reply {
    return { text: this.#text, lines: this.#lines, raw: this.#raw, error: this.#error };
  }

  /** The reply was given up: only its end is still looked for. */
  discard(): void {
    this.#discards = true;
    this.#lines.length = 0;
    this.#raw.length = 0;
    this.#bytes.length = 0;
  }

  /**
   * @param bytes the line as it came, one character a byte
   * @throws AgentError ERR_MANAGEMENT_LIMIT if the reply takes more memory than it may
   */
  push(line: string, bytes: string = line): void {
    const part = this.#parts[this.#part];
    if (part === undefined) return;
    this.#hold(line, bytes);
    if (part.kind === 'verdict') {
      this.#pushVerdict(part.command, line);
      return;
    }
    if (!this.#started && line.startsWith('ERROR:')) {
      this.#fail(line);
      return;
    }
    switch (part.kind) {
      case 'line':
        // a daemon may explain itself in lines before an ERROR: they are in raw
        if (!line.startsWith('SUCCESS:')) return;
        this.#text ??= line.replace(/^SUCCESS: ?/, '');
        this.#next();
        return;
      case 'block':
        if (line === 'END') {
          this.#next();
          return;
        }
        this.#started = true;
        this.#inRows = line === part.rows?.header || this.holds(line);
        this.#keep(line);
        return;
      case 'lines':
        this.#started = true;
        this.#keep(line);
        this.#count += 1;
        if (this.#count === part.count) this.#next();
        return;
      case 'notification':
        this.#keep(line);
        this.#next();
    }
  }

  #pushVerdict(command: string, line: string): void {
    if (line === `SUCCESS: ${command} command succeeded`) {
      // it went well on the whole: what failed on the way stands in the lines
      this.#error = undefined;
      this.#text = `${command} command succeeded`;
      this.#next();
    } else if (line === `ERROR: ${command} command failed` || REFUSED.test(line)) {
      this.#fail(line);
    } else {
      if (line.startsWith('ERROR:')) this.#error ??= line.replace(/^ERROR: ?/, '');
      this.#keep(line);
    }
  }

  #hold(line: string, bytes: string): void {
    if (this.#discards) return;
    this.#held += heldLine(line, bytes);
    if (this.#held > this.#maxHeld)
      throw new AgentError('ERR_MANAGEMENT_LIMIT', `a reply takes more than ${this.#maxHeld} bytes`);
    this.#raw.push(line);
    this.#bytes.push(bytes);
  }

  /** Keeps a line of the reply's block. */
  #keep(line: string): void {
    if (!this.#discards) this.#lines.push(line);
  }

  #next(): void {
    this.#part += 1;
    this.#count = 0;
    this.#started = false;
    this.#inRows = false;
  }

  #fail(line: string): void {
    this.#error ??= line.replace(/^ERROR: ?/, '');
    // `log foo all` fails in its first half and still prints the second; every other error is the whole reply
    this.#part = line.includes(" parameter must be 'on' or 'off'") ? this.#part + 1 : this.#parts.length;
  }
}
