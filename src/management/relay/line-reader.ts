import { MAX_PIPELINED_LINE } from '../wire/words.ts';

/** A line that a client of the relay wrote, without its end; or notice of one so long that a signature would have to wait. */
export interface ClientLine {
  readonly text: string;
  readonly tooLong: boolean;
}

const LF = 10;

/** Bytes to lines as the daemon reads them: CR and other control characters are dropped (command_line_add in manage.c). */
export class CommandLines {
  #pending = '';
  #tooLong = false;

  /** Hands out each whole line; every byte is one character (latin1). Never holds more than one line. */
  push(chunk: Buffer, sink: (line: ClientLine) => void): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LF, start);
      this.#append(chunk.subarray(start, end === -1 ? undefined : end));
      if (end === -1) return;
      const [text, tooLong] = [this.#pending, this.#tooLong];
      this.#pending = '';
      this.#tooLong = false;
      sink({ text, tooLong });
      start = end + 1;
    }
  }

  #append(bytes: Buffer): void {
    if (this.#tooLong) return;
    this.#pending += bytes.toString('latin1').replace(/[\x00-\x1f\x7f]/g, '');
    if (this.#pending.length <= MAX_PIPELINED_LINE) return;
    this.#tooLong = true;
    this.#pending = '';
  }
}
