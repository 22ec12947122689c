import type { X509Certificate } from 'node:crypto';
import { readAllBer, readBer, type BerElement } from '../signing/ber.ts';

// RFC 5280 section 4.1: extensions, of which node:crypto tells few. Undefined where a certificate is not DER, though
// node:crypto could read it. Its fields: signing/certificate-fields.ts.

const EXTENSIONS = 0xa3;

function tbsElements({ raw }: X509Certificate): BerElement[] | undefined {
  const certificate = readBer(raw);
  const tbs = certificate && readBer(certificate.content);
  return tbs && readAllBer(tbs.content);
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
