import { AgentError } from '../errors.ts';
import { readWords } from '../management/index.ts';

/** A line of a configuration that says something: a directive and its words, or a block (`<ca>` … `</ca>`). */
export interface ConfigLine {
  /** From 1; of a block's first line. */
  readonly number: number;
  /** The directive's name first, without leading `--`. Of a block: its name alone. */
  readonly words: readonly string[];
  /** The text of a block. */
  readonly inline?: string;
}

/** The longest line with its end, in bytes, is one less (OPTION_LINE_SIZE in options.h). */
const LINE_SIZE = 256;
const BOM = '\xef\xbb\xbf';
const LF = 0x0a;

/** A file's pieces as C's fgets hands them out: up to a line end or `size` bytes, as far as a NUL; each byte a character. */
class Pieces {
  number = 0;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next(size: number): string | undefined {
    if (this.#at >= this.#bytes.length) return undefined;
    const piece = this.#bytes.subarray(this.#at, this.#at + size);
    const end = piece.indexOf(LF);
    const text = piece.toString('latin1', 0, end < 0 ? piece.length : end + 1);
    this.#at += text.length;
    this.number++;
    const nul = text.indexOf('\0');
    return nul < 0 ? text : text.slice(0, nul);
  }
}

/**
 * The lines of a configuration as OpenVPN reads them (read_config_file and read_inline_file in options_parse.c).
 * @throws AgentError ERR_CONFIG for lines that it refuses
 */
export function* readLines(bytes: Buffer, path: string): Generator<ConfigLine> {
  const pieces = new Pieces(bytes);
  for (let text = pieces.next(LINE_SIZE); text !== undefined; text = pieces.next(LINE_SIZE)) {
    const { number } = pieces;
    const refuse = (why: string, hint?: string): never => {
      throw new AgentError('ERR_CONFIG', `${path}:${number}: ${why}`, hint === undefined ? {} : { hint });
    };
    if (text.length === LINE_SIZE) refuse(`Maximum option line length (${LINE_SIZE}) exceeded`);
    const words = readWords(number === 1 && text.startsWith(BOM) ? text.slice(BOM.length) : text, 'latin1');
    if ('fault' in words) return refuse(words.fault, words.hint);
    const [first, ...rest] = words;
    if (first === undefined) continue;
    const name = first.length > 2 && first.startsWith('--') ? first.slice(2) : first;
    if (rest.length === 0 && name.length > 1 && name.startsWith('<') && name.endsWith('>')) {
      const block = name.slice(1, -1);
      const inline = readBlock(pieces, `</${block}>`) ?? refuse(`Endtag </${fromUtf8(block)}> missing`);
      yield { number, words: [fromUtf8(block)], inline };
    } else {
      yield { number, words: [name, ...rest].map(fromUtf8) };
    }
  }
}

/** The lines before the one that starts with the tag; undefined if none does. */
function readBlock(pieces: Pieces, tag: string): string | undefined {
  let inline = '';
  for (let text = pieces.next(LINE_SIZE - 1); text !== undefined; text = pieces.next(LINE_SIZE - 1)) {
    if (text.replace(/^[ \t\n\v\f\r]+/, '').startsWith(tag)) return inline;
    inline += text;
  }
  return undefined;
}

function fromUtf8(word: string): string {
  return Buffer.from(word, 'latin1').toString('utf8');
}
