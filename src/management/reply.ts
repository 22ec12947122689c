import type { ReplyPart, ReplyShape } from './reply-shape.ts';

/** What the daemon answered to one command. */
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

/** How much of one reply is held: `log all` of a cache of a million lines is still below. */
const MAX_REPLY_CHARACTERS = 256 * 1024 * 1024;

/** Errors about the command itself, with no verdict to follow. */
const REFUSED = /^ERROR: (?:unknown command|Options |The '|the '|push-update-cid fail)/;

/** Gathers the lines of one reply by its shape. Knows nothing of other commands. */
export class ReplyCollector {
  readonly #parts: readonly ReplyPart[];
  readonly #lines: string[] = [];
  readonly #raw: string[] = [];
  #part = 0;
  #count = 0;
  #started = false;
  #characters = 0;
  #text: string | undefined;
  #error: string | undefined;

  constructor(shape: ReplyShape) {
    this.#parts = shape.parts;
  }

  get done(): boolean {
    return this.#part >= this.#parts.length;
  }

  /** Inside a block: whatever comes belongs to it. */
  get open(): boolean {
    return this.#started;
  }

  /** Too much was gathered; the rest is dropped. */
  get overflown(): boolean {
    return this.#characters > MAX_REPLY_CHARACTERS;
  }

  /** The word of the notification that is awaited as a reply. */
  get notificationWord(): string | undefined {
    const part = this.#parts[this.#part];
    return part?.kind === 'notification' ? part.word : undefined;
  }

  reply(): Reply {
    return { text: this.#text, lines: this.#lines, raw: this.#raw, error: this.#error };
  }

  /** Takes the next line. */
  push(line: string): void {
    const part = this.#parts[this.#part];
    if (part === undefined) return;
    this.#characters += line.length;
    if (!this.overflown) this.#raw.push(line);
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
        if (!this.overflown) this.#lines.push(line);
        return;
      case 'lines':
        this.#started = true;
        if (!this.overflown) this.#lines.push(line);
        this.#count += 1;
        if (this.#count === part.count) this.#next();
        return;
      case 'notification':
        if (!this.overflown) this.#lines.push(line);
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
      if (!this.overflown) this.#lines.push(line);
    }
  }

  #next(): void {
    this.#part += 1;
    this.#count = 0;
    this.#started = false;
  }

  #fail(line: string): void {
    this.#error ??= line.replace(/^ERROR: ?/, '');
    // `log foo all` fails in its first half and still prints the second; every other error is the whole reply
    this.#part = line.includes(" parameter must be 'on' or 'off'") ? this.#part + 1 : this.#parts.length;
  }
}
