// Certificates (X.509): what they say, which of several is meant, which lead to their issuers. Pure, for all who read or show
// them; where they lie is nothing to it. This file: names of subjects and issuers.

/** One part of a name: `CN`, `Jane`. */
export interface NamePart {
  readonly type: string;
  readonly value: string;
}

/** Undoes RFC 2253's escapes, which node:crypto writes: `\,` and `\0A`. */
function unescape(text: string): string {
  return text.replace(/\\([0-9A-Fa-f]{2}|[^])/g, (_, escaped: string) =>
    escaped.length === 2 ? String.fromCharCode(Number.parseInt(escaped, 16)) : escaped,
  );
}

/** The parts of a certificate's subject or issuer, in the order in which they lie in it. */
export function nameParts(name: string): NamePart[] {
  // node:crypto gives a line for each part, and joins those of one set by ' + '
  const parts = name.split('\n').flatMap((line) => line.split(/(?<!\\) \+ (?=[A-Za-z0-9.]+=)/));
  return parts.flatMap((part) => {
    const equals = part.indexOf('=');
    return equals < 0 ? [] : [{ type: part.slice(0, equals), value: unescape(part.slice(equals + 1)) }];
  });
}
