import type { X509Certificate } from 'node:crypto';
import { readAllBer, readBer, type BerElement } from '../signing/ber.ts';

// RFC 5280 section 4.1: what node:crypto does not tell of a certificate. Undefined where it is not DER, though
// node:crypto could read it.

const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** Of TBSCertificate's elements behind the version: serialNumber, signature, issuer, … */
const ISSUER = 2;

function tbsElements({ raw }: X509Certificate): BerElement[] | undefined {
  const certificate = readBer(raw);
  const tbs = certificate && readBer(certificate.content);
  return tbs && readAllBer(tbs.content);
}

/** An element as it lies in the bytes that it was read from. */
function derOf({ tag, content }: BerElement): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  const octets = length.subarray(length.findIndex((octet) => octet !== 0));
  const header = content.length < 0x80 ? [tag, content.length] : [tag, 0x80 | octets.length, ...octets];
  return Buffer.concat([Buffer.from(header), content]);
}

/** The issuer's name, as it is the subject's of the issuer's certificate. */
export function issuerDer(certificate: X509Certificate): Buffer | undefined {
  const elements = tbsElements(certificate);
  const issuer = elements?.at((elements[0]?.tag === VERSION ? 1 : 0) + ISSUER);
  return issuer && derOf(issuer);
}

/** The value of an extension. @param id the content of its OBJECT IDENTIFIER */
export function extensionOf(certificate: X509Certificate, id: Buffer): BerElement | undefined {
  const wrapped = tbsElements(certificate)?.find(({ tag }) => tag === EXTENSIONS);
  const list = wrapped && readBer(wrapped.content);
  for (const extension of (list && readAllBer(list.content)) ?? []) {
    const fields = readAllBer(extension.content);
    const value = fields?.at(-1);
    if (value && fields?.[0]?.content.equals(id) === true) return readBer(value.content);
  }
  return undefined;
}

/** An object identifier in dots: `1.3.6.1.5.5.7.3.2`; undefined if the content is none. */
export function oidText(content: Buffer): string | undefined {
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const octet of content) {
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    if ((octet & 0x80) !== 0) continue;
    arcs.push(arc);
    arc = 0n;
  }
  const [first, ...rest] = arcs;
  if (first === undefined || ((content.at(-1) ?? 0) & 0x80) !== 0) return undefined;
  const root = first < 80n ? first / 40n : 2n;
  return [root, first - root * 40n, ...rest].join('.');
}
