import { X509Certificate } from 'node:crypto';
import type { SigningContext } from './context.ts';

/** Without the backslashes that node puts before what has a meaning in RFC 2253. */
function plain(text: string): string {
  return text.replaceAll(/\\([ "#+,;<=>\\])/g, '$1');
}

/** A certificate's subject as OpenVPN writes it, such as `C=KG, O=Example, CN=server`. */
export function subjectOf({ subject }: X509Certificate): string {
  return subject.split('\n').map(plain).join(', ');
}

/** The last common name of the subject, which is the one that OpenVPN takes. */
function commonNameOf({ subject }: X509Certificate): string | undefined {
  // node has a part a line, and within one ` + ` between several
  const name = subject
    .split('\n')
    .flatMap((part) => part.split(' + '))
    .findLast((part) => part.startsWith('CN='));
  return name === undefined ? undefined : plain(name.slice(3));
}

/**
 * Is it the certificate of who is called so? A name with `=` is a whole subject as in `verify-x509-name NAME subject`;
 * another is the common name, as in `verify-x509-name NAME name`, or a DNS name of the subjectAltName. No wildcards.
 */
export function hasName(certificate: X509Certificate, name: string): boolean {
  if (name.includes('=')) return subjectOf(certificate) === name;
  if (commonNameOf(certificate) === name) return true;
  return certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined;
}

/** The subject of the server's certificate, where it is seen: with nothing in it that acts on a terminal. */
export function serverIn(context: SigningContext): string | undefined {
  const [certificate] = 'transcript' in context ? context.transcript.serverCertificates : [];
  if (!certificate) return undefined;
  try {
    return subjectOf(new X509Certificate(certificate)).replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?');
  } catch {
    return undefined; // nobody has looked so far whether it is a certificate
  }
}
