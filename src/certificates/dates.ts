// OpenSSL reads a certificate whose dates are none, and says `Bad time value` of them: such a one is valid at no time.

/** What a certificate says of its beginning or end, as ISO 8601; undefined if that is no date. */
export function timeOf(said: string): string | undefined {
  const time = Date.parse(said);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

/** The same for people: `2027-01-31`. */
export function dayOf(said: string): string {
  return timeOf(said)?.slice(0, 10) ?? "a date that can't be read";
}
