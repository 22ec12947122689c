/** Why a message is no handshake of a TLS client. It does not leave this room. */
export class Unfit extends Error {
  override readonly name = 'Unfit';
}

/** @throws Unfit */
export function unfit(why: string): never {
  throw new Unfit(why);
}

/** Reads the structures of TLS's presentation language (RFC 8446 section 3) from the start of some bytes to their end. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  /** @param what names the bytes where they don't fit */
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** All that was read so far. */
  get taken(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  /** @throws Unfit if there are not so many */
  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) unfit(`${this.#what} ends too early`);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** An unsigned number of 1 to 3 bytes. */
  number(width: 1 | 2 | 3): number {
    return this.take(width).readUIntBE(0, width);
  }

  /** What stands behind its own length. @param least bytes that must be there */
  vector(width: 1 | 2 | 3, least = 0, most = 0xff_ffff): Buffer {
    const content = this.take(this.number(width));
    if (content.length < least || content.length > most) unfit(`${this.#what} has a field of ${content.length} bytes`);
    return content;
  }

  /** A vector, to be read itself. */
  part(width: 1 | 2 | 3, least = 0): Reader {
    return new Reader(this.vector(width, least), this.#what);
  }

  /** A vector of numbers of 2 bytes; at least one. */
  numbers(width: 1 | 2): number[] {
    const content = this.vector(width, 2);
    if (content.length % 2 !== 0) unfit(`${this.#what} has half a number`);
    return Array.from({ length: content.length / 2 }, (_, index) => content.readUInt16BE(2 * index));
  }

  /** @throws Unfit if anything is left */
  end(): void {
    if (!this.isAtEnd) unfit(`${this.#what} has bytes behind its end`);
  }
}

/** Bytes of which a SEQUENCE in DER takes all: a certificate, a name, an OCSP response, as far as it is looked at. @throws Unfit */
export function derSequence(bytes: Buffer, what: string): Buffer {
  const [tag, first = 0] = bytes;
  const width = first < 0x80 ? 0 : first - 0x80;
  if (tag !== 0x30 || width > 3 || first === 0x80 || bytes.length < 2 + width) unfit(`${what} is not in DER`);
  const length = width === 0 ? first : bytes.readUIntBE(2, width);
  const isShortest = width === 0 || length >= (width === 1 ? 0x80 : 2 ** (8 * (width - 1)));
  if (!isShortest || 2 + width + length !== bytes.length) unfit(`${what} is not in DER`);
  return bytes;
}
