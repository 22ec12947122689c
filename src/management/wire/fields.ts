/** Small readers that the grammars share: each gives undefined for what doesn't have the form, and never throws. */

/** A decimal number that a JavaScript number holds exactly. */
export function readCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;

/**
 * The number that the daemon takes a word for (atoi in C, as glibc has it on 64 bits): a long, which goes no further than its
 * ends, cut to an int of 32 bits.
 */
export function atoi(word: string): number {
  const digits = /^[ \t\n\v\f\r]*([+-]?)(\d+)/.exec(word);
  if (digits === null) return 0;
  const value = BigInt(digits[2] ?? '') * (digits[1] === '-' ? -1n : 1n);
  const long = value < LEAST ? LEAST : value > MOST ? MOST : value;
  return Number(BigInt.asIntN(32, long));
}

/** The text before and after the first `separator`. */
export function cut(text: string, separator: string): readonly [string, string] | undefined {
  const at = text.indexOf(separator);
  return at === -1 ? undefined : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Splits at commas into exactly `count` fields; the last keeps any further commas. */
export function fieldsOf(text: string, count: number): string[] | undefined {
  const fields: string[] = [];
  let rest = text;
  while (fields.length < count - 1) {
    const halves = cut(rest, ',');
    if (halves === undefined) return undefined;
    fields.push(halves[0]);
    rest = halves[1];
  }
  fields.push(rest);
  return fields;
}

/** An empty field says that the daemon knows nothing there. */
export function optional(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
