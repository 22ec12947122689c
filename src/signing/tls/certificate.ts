import { X509Certificate } from 'node:crypto';

/**
 * The certificate that these bytes of a message are, from the first to the last.
 * @throws Error if they are anything else
 */
export function certificateOf(der: Buffer): X509Certificate {
  const certificate = new X509Certificate(der);
  // node also takes one in PEM that stands anywhere among other bytes, and leaves alone what stands behind one
  if (!certificate.raw.equals(der)) throw new TypeError('these bytes are not one certificate in DER');
  return certificate;
}
