/** Small readers that the grammars share: each gives undefined for what doesn't have the form, and never throws. */

/** A decimal number that a JavaScript number holds exactly. */
export function readCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The number that the daemon takes a word for (atoi in C): what its int of 32 bits can't hold is cut to it. */
export function atoi(word: string): number {
  const digits = /^[ \t\n\v\f\r]*([+-]?)(\d+)/.exec(word);
  if (digits === null) return 0;
  return Number(BigInt.asIntN(32, BigInt(digits[2] ?? '') * (digits[1] === '-' ? -1n : 1n)));
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
