import { inspect } from 'node:util';

const REDACTED = '<redacted>';

const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/**
 * A PIN, passphrase or management password. It prints as `<redacted>` wherever a value gets printed by mistake
 * (string conversion, JSON, util.inspect, and so pino). Held in a Buffer of its own that {@link Secret.destroy} zeroes.
 */
export class Secret {
  readonly #bytes: Buffer;

  /** Takes a copy; `bytes` stays the caller's to zero. */
  constructor(bytes: Uint8Array | string) {
    this.#bytes = Buffer.from(bytes as Uint8Array);
  }

  /** Length in bytes. */
  get length(): number {
    return this.#bytes.length;
  }

  /** The bytes themselves, not a copy: don't keep them, don't change them. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Whether an editor wrote a byte order mark before it (UTF-8), which no one who checks the secret expects. */
  get hasByteOrderMark(): boolean {
    return this.#bytes.indexOf(BYTE_ORDER_MARK) === 0;
  }

  /** The secret as text. A JavaScript string can't be zeroed: only for APIs that take nothing else. */
  reveal(): string {
    return this.#bytes.toString('utf8');
  }

  destroy(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  static {
    Object.defineProperty(this.prototype, inspect.custom, { value: () => REDACTED });
  }
}

/**
 * The name of a file that a KEY gives, without what a mistyped pkcs11: URI (` pkcs11:…`, `pkcs1:…`) says of its PIN: the
 * text is then taken for a file's name, and goes into errors and prompts.
 */
export function withoutPinAttributes(name: string): string {
  return name.replace(/\b(pin-value|pin-source)=.*/s, '$1=<redacted>');
}
