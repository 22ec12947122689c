import { OBJECT_IDENTIFIER, OCTET_STRING, readAllBer, SEQUENCE } from './ber.ts';

/** An element, and all of its bytes. */
interface Element {
  readonly tag: number;
  readonly content: Buffer;
  readonly bytes: Buffer;
}

/** What stands in a certificate or request, byte for byte, where node:crypto gives texts or nothing. */
export interface NamedFields {
  /** A Name (RFC 5280 section 4.1.2.4). */
  readonly subject: Buffer;
  /** GeneralNames, the value of the extension subjectAltName (section 4.2.1.6); undefined without it. */
  readonly alternativeNames: Buffer | undefined;
}

/** A certificate's fields, as PKCS#11 wants them beside it. */
export interface CertificateFields extends NamedFields {
  readonly issuer: Buffer;
  /** An INTEGER. */
  readonly serialNumber: Buffer;
}

/** 2.5.29.17. */
const SUBJECT_ALT_NAME = '551d11';
/** 1.2.840.113549.1.9.14, extensionRequest (RFC 2985 section 5.4.2). */
const EXTENSION_REQUEST = '2a864886f70d01090e';
const SET = 0x31;
const VERSION = 0xa0;
const REQUEST_ATTRIBUTES = 0xa0;
const CERTIFICATE_EXTENSIONS = 0xa3;

/** The elements in another one; none if it is not there, or can't be read. */
function inside(element: Element | undefined): Element[] {
  return element ? elementsOf(element.content) : [];
}

function elementsOf(bytes: Buffer): Element[] {
  let at = 0;
  return (readAllBer(bytes) ?? []).map(({ tag, content, length }) => {
    const element = { tag, content, bytes: bytes.subarray(at, at + length) };
    at += length;
    return element;
  });
}

/** The signed part of a certificate or request: the first element of the outer SEQUENCE. */
function signedPart(der: Buffer): Element[] {
  const [outer] = elementsOf(der);
  const [first] = outer?.tag === SEQUENCE ? inside(outer) : [];
  return first?.tag === SEQUENCE ? inside(first) : [];
}

function alternativeNamesIn(extensions: readonly Element[]): Buffer | undefined {
  for (const extension of extensions) {
    const [name, ...rest] = inside(extension);
    if (name?.tag !== OBJECT_IDENTIFIER || name.content.toString('hex') !== SUBJECT_ALT_NAME) continue;
    // in between may stand whether it is critical
    return rest.find(({ tag }) => tag === OCTET_STRING)?.content;
  }
  return undefined;
}

/** The fields of a certificate (RFC 5280 section 4.1); undefined if it can't be read. */
export function certificateFields(der: Buffer): CertificateFields | undefined {
  const fields = signedPart(der);
  const [serialNumber, , issuer, , subject] = fields[0]?.tag === VERSION ? fields.slice(1) : fields;
  if (!serialNumber || issuer?.tag !== SEQUENCE || subject?.tag !== SEQUENCE) return undefined;
  const [extensions] = inside(fields.find(({ tag }) => tag === CERTIFICATE_EXTENSIONS));
  return {
    serialNumber: serialNumber.bytes,
    issuer: issuer.bytes,
    subject: subject.bytes,
    alternativeNames: alternativeNamesIn(inside(extensions)),
  };
}

/** The fields of a PKCS #10 request (RFC 2986 section 4.1); undefined if it can't be read. */
export function requestFields(der: Buffer): NamedFields | undefined {
  const fields = signedPart(der);
  const [, subject] = fields;
  if (subject?.tag !== SEQUENCE) return undefined;
  for (const attribute of inside(fields.find(({ tag }) => tag === REQUEST_ATTRIBUTES))) {
    const [name, values] = inside(attribute);
    if (name?.content.toString('hex') !== EXTENSION_REQUEST || values?.tag !== SET) continue;
    const [extensions] = inside(values);
    return { subject: subject.bytes, alternativeNames: alternativeNamesIn(inside(extensions)) };
  }
  return { subject: subject.bytes, alternativeNames: undefined };
}
