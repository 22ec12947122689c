import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { parseCertificates, pemBlocks, pemContent } from '../keyfile/pem.ts';
import { readFileLimited } from '../read-file-limited.ts';
import { certificateFields, requestFields, type NamedFields } from '../signing/certificate-fields.ts';
import type { RequestedNames } from './request.ts';

const MAX_BYTES = 1024 * 1024;

const named = ({ subject, alternativeNames }: NamedFields): RequestedNames => ({
  subject,
  alternativeNames: alternativeNames ?? [],
});

/** The names that a certificate has. @throws AgentError ERR_CERTIFICATE_NOT_FOUND if it can't be read */
export function namesOfCertificate({ raw }: X509Certificate): RequestedNames {
  const fields = certificateFields(raw);
  if (fields) return named(fields);
  throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', 'the certificate has names that can not be read');
}

/**
 * The names of a certificate or request in a file, PEM or DER: for a new one that is to be like it.
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND
 */
export async function readTemplate(path: string): Promise<RequestedNames> {
  const limits = { what: 'the template', code: 'ERR_CERTIFICATE_NOT_FOUND', maxBytes: MAX_BYTES } as const;
  const bytes = await readFileLimited(path, limits);
  const blocks = pemBlocks(bytes.toString('latin1'));
  const request = blocks.find(({ label }) => /^(?:NEW )?CERTIFICATE REQUEST$/.test(label));
  const requested = request && requestFields(pemContent(request));
  if (requested) return named(requested);
  try {
    const [certificate] = parseCertificates(bytes, path);
    if (certificate) return namesOfCertificate(certificate);
  } catch (error) {
    const fields = blocks.length === 0 ? requestFields(bytes) : undefined;
    if (fields) return named(fields);
    throw error;
  }
  throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `neither a certificate nor a request in ${path}`);
}
