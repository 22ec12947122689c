/** One element of ASN.1's Basic Encoding Rules (X.690 section 8). */
export interface BerElement {
  /** The identifier octet, such as 0x30 of a SEQUENCE. */
  readonly tag: number;
  /** Without the end-of-contents octets of an indefinite length. */
  readonly content: Buffer;
  /** All of the element, in bytes. */
  readonly length: number;
}

export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const CONSTRUCTED_OCTET_STRING = 0x24;
export const OBJECT_IDENTIFIER = 0x06;
export const SEQUENCE = 0x30;
const CONSTRUCTED = 0x20;
/** Deeper than any real file nests: more is an attempt to exhaust the stack. */
const MAX_DEPTH = 32;

/**
 * Reads the element at the start of `bytes`, in any form that BER allows: lengths longer than needed, indefinite ones.
 * @returns undefined if there is none, if it is cut, or if its tag has more than one byte
 */
export function readBer(bytes: Buffer, depth = 0): BerElement | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f || depth > MAX_DEPTH) return undefined;
  if (first === 0x80) return (tag & CONSTRUCTED) === 0 ? undefined : readIndefinite(bytes, tag, depth);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = 2 + lengthBytes;
  if (start > bytes.length) return undefined;
  const length = lengthBytes === 0 ? first : bytes.subarray(2, start).reduce((sum, byte) => sum * 256 + byte, 0);
  if (start + length > bytes.length) return undefined;
  return { tag, content: bytes.subarray(start, start + length), length: start + length };
}

function readIndefinite(bytes: Buffer, tag: number, depth: number): BerElement | undefined {
  let at = 2;
  while (bytes[at] !== 0 || bytes[at + 1] !== 0) {
    const element = readBer(bytes.subarray(at), depth + 1);
    if (!element) return undefined;
    at += element.length;
  }
  return { tag, content: bytes.subarray(2, at), length: at + 2 };
}

/** The elements that follow one another in `bytes`; undefined if they do not end with it. */
export function readAllBer(bytes: Buffer): BerElement[] | undefined {
  const elements: BerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readBer(bytes.subarray(at));
    if (!element) return undefined;
    elements.push(element);
    at += element.length;
  }
  return elements;
}
