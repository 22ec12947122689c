import type { X509Certificate } from 'node:crypto';
import { readFileLimited } from '../read-file-limited.ts';
import { parseCertificates } from './pem.ts';

/** A chain in PEM has some tens of KB. */
const MAX_BYTES = 1024 * 1024;

/** The certificates in a file, PEM or DER. @throws AgentError ERR_CERTIFICATE_NOT_FOUND */
export async function readCertificateFile(path: string): Promise<X509Certificate[]> {
  const limits = { what: 'the certificate', code: 'ERR_CERTIFICATE_NOT_FOUND', maxBytes: MAX_BYTES } as const;
  return parseCertificates(await readFileLimited(path, limits), path);
}
