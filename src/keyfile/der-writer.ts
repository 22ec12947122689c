import type forgeModule from 'node-forge';

/** An element of ASN.1 to be written. */
export type Asn1 = forgeModule.asn1.Asn1;

type Asn1Module = typeof forgeModule.asn1;
type Type = forgeModule.asn1.Type;
/** forge's own types know no tag of a context but those that are also universal ones. */
type Create = (tagClass: number, type: number, constructed: boolean, value: Asn1[] | string) => Asn1;

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Writes DER (X.690 section 10) by node-forge. */
export class DerWriter {
  readonly #asn1: Asn1Module;
  readonly #create: Create;

  private constructor(asn1: Asn1Module) {
    this.#asn1 = asn1;
    this.#create = asn1.create;
  }

  static async load(): Promise<DerWriter> {
    // it takes 19 ms to load: only who writes DER pays
    const { default: forge } = await import('node-forge');
    return new DerWriter(forge.asn1);
  }

  #primitive(type: Type, content: string): Asn1 {
    return this.#create(this.#asn1.Class.UNIVERSAL, type, false, content);
  }

  sequence(...elements: readonly Asn1[]): Asn1 {
    const { Class, Type } = this.#asn1;
    return this.#create(Class.UNIVERSAL, Type.SEQUENCE, true, [...elements]);
  }

  /** SET OF: in the order of their encodings (section 11.6). */
  set(...elements: readonly Asn1[]): Asn1 {
    const { Class, Type } = this.#asn1;
    const sorted = elements.toSorted((a, b) => Buffer.compare(this.encode(a), this.encode(b)));
    return this.#create(Class.UNIVERSAL, Type.SET, true, sorted);
  }

  /** `[number]`, around elements. */
  tagged(number: number, ...elements: readonly Asn1[]): Asn1 {
    return this.#create(this.#asn1.Class.CONTEXT_SPECIFIC, number, true, [...elements]);
  }

  /** `[number] IMPLICIT`, in place of a string's own tag. */
  implicit(number: number, content: Uint8Array): Asn1 {
    return this.#create(this.#asn1.Class.CONTEXT_SPECIFIC, number, false, latin1(content));
  }

  integer(value: number): Asn1 {
    return this.#primitive(this.#asn1.Type.INTEGER, this.#asn1.integerToDer(value).getBytes());
  }

  /** TRUE; what is FALSE by default is left out. */
  yes(): Asn1 {
    return this.#primitive(this.#asn1.Type.BOOLEAN, '\xff');
  }

  nothing(): Asn1 {
    return this.#primitive(this.#asn1.Type.NULL, '');
  }

  /** @param dotted such as 2.5.4.3 */
  identifier(dotted: string): Asn1 {
    return this.#primitive(this.#asn1.Type.OID, this.#asn1.oidToDer(dotted).getBytes());
  }

  octets(content: Uint8Array): Asn1 {
    return this.#primitive(this.#asn1.Type.OCTETSTRING, latin1(content));
  }

  /** @param unused bits at the end that do not count */
  bits(content: Uint8Array, unused = 0): Asn1 {
    return this.#primitive(this.#asn1.Type.BITSTRING, String.fromCharCode(unused) + latin1(content));
  }

  text(kind: 'UTF8String' | 'PrintableString' | 'IA5String', value: string): Asn1 {
    const { Type } = this.#asn1;
    const type = { UTF8String: Type.UTF8, PrintableString: Type.PRINTABLESTRING, IA5String: Type.IA5STRING }[kind];
    return this.#primitive(type, latin1(Buffer.from(value, 'utf8')));
  }

  /** What was written before: put in again as it is. */
  written(der: Uint8Array): Asn1 {
    // its types know one of its options only
    const fromDer = this.#asn1.fromDer as unknown as (bytes: string, options: object) => Asn1;
    return fromDer(latin1(der), { strict: true, parseAllBytes: true, decodeBitStrings: false });
  }

  encode(element: Asn1): Buffer {
    return Buffer.from(this.#asn1.toDer(element).getBytes(), 'latin1');
  }
}
