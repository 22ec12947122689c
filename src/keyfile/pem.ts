import { X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';

/** One block of a PEM file (RFC 7468): its label, and itself from BEGIN to END. */
export interface PemBlock {
  readonly label: string;
  readonly text: string;
}

/** A boundary; no two overlap, so that looking for all of them takes one walk. */
const BOUNDARY = /-----(BEGIN|END) ([A-Z0-9 ]+)-----/g;

/**
 * All blocks of a text in order; none if it is not PEM. The text between them (`Bag Attributes`…) is left out, and
 * so is a block that another one's beginning cuts.
 */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: { readonly label: string; readonly at: number } | undefined;
  for (const { index, 0: boundary, 1: side, 2: label = '' } of text.matchAll(BOUNDARY)) {
    if (side === 'BEGIN') {
      open = { label, at: index };
    } else if (open?.label === label) {
      blocks.push({ label, text: text.slice(open.at, index + boundary.length) });
      open = undefined;
    }
  }
  return blocks;
}

/** The bytes in a block that has no headers. */
export function pemContent({ text }: PemBlock): Buffer {
  return Buffer.from(text.split('\n').slice(1, -1).join(''), 'base64');
}

/** A certificate's subject or issuer, which node:crypto gives with a line for each part: `CN=x, O=y`. */
export function nameOnOneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

/** PEM of one certificate, with a line end. */
export function certificatePem(certificate: X509Certificate): string {
  return certificate.toString().trimEnd() + '\n';
}

/**
 * The certificates of a file in order, PEM (one or a chain, other blocks ignored) or DER (one).
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND
 */
export function parseCertificates(bytes: Buffer, path: string): X509Certificate[] {
  const blocks = pemBlocks(bytes.toString('latin1')).filter(({ label }) =>
    /^(X509 |TRUSTED )?CERTIFICATE$/.test(label),
  );
  try {
    return blocks.length > 0 ? blocks.map(({ text }) => new X509Certificate(text)) : [new X509Certificate(bytes)];
  } catch (error) {
    throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `no certificate that can be read in ${path}`, { cause: error });
  }
}
