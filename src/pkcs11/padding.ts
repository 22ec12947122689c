/**
 * A token's text without its padding: fixed-length strings are filled up with blanks (PKCS#11 v3.1 section 3.2), by some
 * modules with NULs. An expression would look at each of them again from each of them.
 */
export function withoutPadding(text: string, padding = '\0 '): string {
  let end = text.length;
  while (end > 0 && padding.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
