// What daemons, tokens, certificates and files say is anybody's text: on a terminal it must not act. Whatever is written to
// one, or to a log that somebody reads on one, comes through here.

/** Control and format characters (bidirectional ones among them), separators of lines, what is no character. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Nearly every line of a log: much quicker to see than that there is nothing unprintable. */
const PLAIN = /^[\x20-\x7e]*\n?$/;

/** Text for one line of a terminal: what would not print stands as `\u{…}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Text of several lines: their ends stay. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** A line whose columns tabs part, such as the daemon's `status 3`: they stay. */
export function printableColumns(line: string): string {
  return line.split('\t').map(printable).join('\t');
}

/** JSON text with nothing in its strings that acts on a terminal: the same value when parsed. */
export function printableJson(json: string): string {
  if (PLAIN.test(json)) return json;
  return json.replace(UNPRINTABLE, (character) =>
    character === '\n'
      ? character
      : Array.from(
          { length: character.length },
          (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
        ).join(''),
  );
}
