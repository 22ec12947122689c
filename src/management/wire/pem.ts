/** Characters of base64 in a line. The daemon's buffer would take more; OpenSSL and PEM use 64 (RFC 7468 section 2). */
const BASE64_LINE = 64;

const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';

/** Base64 of some bytes, in lines of 64 characters; no line for no bytes. */
export function base64Lines(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += BASE64_LINE) lines.push(text.slice(at, at + BASE64_LINE));
  return lines;
}

/**
 * The certificates in the lines of a PEM text (RFC 7468), each as its own lines from BEGIN to END, without blanks around
 * them. The text between them is left out. None at all if one of them is cut: it has no END before the next one begins.
 */
export function certificateBlocks(lines: readonly string[]): string[][] {
  const blocks: string[][] = [];
  let open: string[] | undefined;
  for (const line of lines.map((each) => each.trim())) {
    if (line === BEGIN && open !== undefined) return [];
    if (line === BEGIN) open = [];
    open?.push(line);
    if (line !== END || open === undefined) continue;
    blocks.push(open);
    open = undefined;
  }
  return open === undefined ? blocks : [];
}
