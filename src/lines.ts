import { StringDecoder } from 'node:string_decoder';

/** A line longer than this many characters is cut. */
const MAX_LINE = 1000;
/** Of one that does not end this many are kept until it does. */
const MAX_HELD = 16 * MAX_LINE;

/** Lines of what a process prints, each cut at a limit: it may never end one. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  readonly #redact: (line: string) => string;
  #rest = '';

  /** @param redact takes secrets out of a line; it comes before the cut, which would leave part of one */
  constructor(redact: (line: string) => string) {
    this.#redact = redact;
  }

  push(chunk: Buffer): string[] {
    const [first = '', ...more] = this.#decoder.write(chunk).split('\n');
    const lines = [this.#rest + first, ...more].map((line) => line.slice(0, MAX_HELD));
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => this.#shown(line.replace(/\r$/, '')));
  }

  /** What came behind the last line end. */
  end(): string {
    return this.#shown(this.#rest + this.#decoder.end());
  }

  #shown(line: string): string {
    return this.#redact(line).slice(0, MAX_LINE);
  }
}
