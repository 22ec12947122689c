/** Makes lines of chunks, each of limited length. */
export class LineReader {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #size = 0;

  /** @param limit bytes of a line */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns the lines that are whole by now; undefined if one is too long */
  push(chunk: Buffer): string[] | undefined {
    const lines: string[] = [];
    let rest = chunk;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      if (this.#size + end > this.#limit) return undefined;
      lines.push(Buffer.concat([...this.#chunks, rest.subarray(0, end)]).toString('utf8'));
      this.clear();
      rest = rest.subarray(end + 1);
    }
    this.#size += rest.length;
    if (this.#size > this.#limit) return undefined;
    if (rest.length > 0) this.#chunks.push(Buffer.from(rest));
    return lines;
  }

  /** Forgets what there is of a line: it may hold a passphrase. */
  clear(): void {
    for (const chunk of this.#chunks) chunk.fill(0);
    this.#chunks = [];
    this.#size = 0;
  }
}
