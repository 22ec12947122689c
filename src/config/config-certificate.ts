import type { X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { readCertificateFile } from '../keyfile/certificate-file.ts';
import { parseCertificates } from '../keyfile/pem.ts';
import type { OpenVpnConfig } from './openvpn-config.ts';

/**
 * How to read the certificate that OpenVPN presents by itself: `cert FILE` or a block `<cert>`; undefined if there is
 * none. What is returned throws AgentError ERR_CERTIFICATE_NOT_FOUND.
 */
export function configCertificate(config: OpenVpnConfig): (() => Promise<X509Certificate[]>) | undefined {
  const { path, directives, inline, folder } = config;
  const text = inline.get('cert');
  if (text !== undefined)
    return () => Promise.resolve().then(() => parseCertificates(Buffer.from(text, 'latin1'), path));
  const [file] = directives.get('cert') ?? [];
  return file === undefined ? undefined : () => readCertificateFile(resolve(folder, file));
}
