/** A line longer than this many characters is cut. */
const MAX_LINE = 1000;

/** Lines of what a process prints, each cut at a limit: it may never end one. */
export class LineSplitter {
  #rest = '';

  push(chunk: Buffer): string[] {
    const [first = '', ...more] = chunk.toString('utf8').split('\n');
    const lines = [this.#rest + first, ...more].map((line) => line.slice(0, MAX_LINE));
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => line.replace(/\r$/, ''));
  }

  /** What came behind the last line end. */
  end(): string {
    return this.#rest;
  }
}
