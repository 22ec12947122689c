/** Where lines go. */
export interface LineSinkOptions {
  /**
   * Writes what it can at once.
   * @returns the number of bytes that it took
   * @throws an error with errno's name as `code`; EAGAIN if there is no room now
   */
  readonly write: (bytes: Uint8Array) => number;
  /** The line, with its end, that says how many were lost. */
  readonly lostLine: (count: number) => string;
  /** Bytes that wait at most for a reader that does not read. */
  readonly limit?: number;
}

interface Entry {
  bytes: Uint8Array;
  /** What is lost with it: itself, or the lines that it tells of. */
  readonly lines: number;
  /** It tells of lines that were lost before. */
  readonly tells: boolean;
  isBegun: boolean;
}

const LIMIT = 1024 * 1024;
/** Milliseconds until a full pipe is tried again, and what failed otherwise: a full disk, a reader that is gone. */
const SOON = 50;
const LATER = 1_000;

/**
 * Lines for a file that may be full, slow or gone: writing never waits and never throws. What finds no room waits, up to a
 * limit; what is lost is counted, and a line says so as soon as one can be written.
 */
export class LineSink {
  readonly #options: LineSinkOptions;
  readonly #limit: number;
  #entries: Entry[] = [];
  #size = 0;
  #lost = 0;
  #lostSoFar = 0;
  /** The last line was cut off: the next one must not be glued to it. */
  #isTorn = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LineSinkOptions) {
    this.#options = options;
    this.#limit = options.limit ?? LIMIT;
  }

  /** Lines that were lost since the beginning. */
  get lostSoFar(): number {
    return this.#lostSoFar;
  }

  /** Does anything still wait for room? */
  get isWaiting(): boolean {
    return this.#entries.length > 0;
  }

  /** @param line with its end */
  write(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    if (this.#size + bytes.length > this.#limit) {
      this.#lost += 1;
      this.#lostSoFar += 1;
      return;
    }
    this.#tellOfLost();
    this.#push(bytes, 1, false);
    this.drain();
  }

  /** Writes what waits, as far as there is room. */
  drain(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.isWaiting) this.#tellOfLost();
    for (let entry = this.#entries[0]; entry; entry = this.#entries[0]) {
      try {
        const written = this.#options.write(entry.bytes);
        this.#size -= written;
        entry.isBegun = true;
        if (written < entry.bytes.length) entry.bytes = entry.bytes.subarray(written);
        else this.#entries.shift();
      } catch (error) {
        this.#failed((error as NodeJS.ErrnoException).code);
        return;
      }
      if (!this.isWaiting) this.#tellOfLost();
    }
  }

  #failed(code: string | undefined): void {
    if (code === 'EAGAIN' || code === 'EINTR') {
      this.#tryAgain(SOON);
      return;
    }
    this.#isTorn ||= this.#entries[0]?.isBegun === true;
    for (const { lines, tells } of this.#entries) {
      this.#lost += lines;
      if (!tells) this.#lostSoFar += lines;
    }
    this.#entries = [];
    this.#size = 0;
    this.#tryAgain(LATER);
  }

  #tryAgain(delay: number): void {
    this.#timer = setTimeout(() => {
      this.drain();
    }, delay);
    // a process that has nothing else to do ends
    this.#timer.unref();
  }

  #tellOfLost(): void {
    if (this.#lost === 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#push(Buffer.from(this.#options.lostLine(lost), 'utf8'), lost, true);
  }

  #push(bytes: Uint8Array, lines: number, tells: boolean): void {
    const whole = this.#isTorn ? Buffer.concat([Buffer.from('\n'), bytes]) : bytes;
    this.#isTorn = false;
    this.#entries.push({ bytes: whole, lines, tells, isBegun: false });
    this.#size += whole.length;
  }
}
