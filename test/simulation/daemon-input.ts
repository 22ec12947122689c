// How OpenVPN takes what its management client sends (command_line_add of manage.c, parse_line of options.c).

/** Bytes that are taken at a time. */
const PIECE = 256;
/** Bytes that a line has room for. One more, and all of them are lost, that one too. */
const ROOM = 1024;
/** Letters of a word. */
const LONGEST_WORD = 256;

export class DaemonInput {
  #line = '';

  /** @returns the lines that end in each piece */
  *take(bytes: Buffer): Generator<string[]> {
    for (let at = 0; at < bytes.length; at += PIECE) yield this.#takePiece(bytes.subarray(at, at + PIECE));
  }

  #takePiece(piece: Buffer): string[] {
    for (const byte of piece) {
      if (byte !== 0x0a && (byte < 0x20 || byte > 0x7e)) continue;
      this.#line = this.#line.length === ROOM ? '' : this.#line + String.fromCharCode(byte);
    }
    const lines = this.#line.split('\n');
    this.#line = lines.pop() ?? '';
    return lines;
  }
}

/** The words of a command's line, of which quotes hold some together. @returns a text if there is an error in it */
export function wordsOf(line: string): readonly string[] | string {
  const words: string[] = [];
  let rest = line.trimStart();
  while (rest !== '' && !/^[#;]/.test(rest)) {
    const [all = '', double, single, plain] = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"'][^\s]*))/.exec(rest) ?? [];
    if (all === '')
      return `Options error: No closing ${rest.startsWith("'") ? 'single ' : ''}quotation (${rest.slice(0, 1)}) in TCP:0`;
    const word = (double ?? plain)?.replaceAll(/\\(.)/g, '$1') ?? single ?? '';
    if (word.length > LONGEST_WORD)
      return `Options error: Parameter at TCP:0 is too long (${LONGEST_WORD} chars max): ${word.slice(0, LONGEST_WORD - 1)}`;
    words.push(word);
    rest = rest.slice(all.length).trimStart();
  }
  return words;
}

/** As OpenVPN decodes what a block's lines make together: whole, or not at all. */
export function decodeBlock(lines: readonly string[]): Buffer {
  const text = lines.join('');
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
    ? Buffer.from(text, 'base64')
    : Buffer.alloc(0);
}
