import { createHash } from 'node:crypto';

/** What a TLS 1.3 client signs, of a handshake that only the test knows; base64. */
export function clientVerify(text: string): string {
  const hash = createHash('sha256').update(text).digest();
  return Buffer.concat([Buffer.from(`${' '.repeat(64)}TLS 1.3, client CertificateVerify\0`), hash]).toString('base64');
}
