import type { X509Certificate } from 'node:crypto';
import { certificateOf } from './certificate.ts';
import type { SigningContext } from './context.ts';

/** Without the backslashes that node puts before what has a meaning in RFC 2253. */
function plain(text: string): string {
  return text.replaceAll(/\\([ "#+,;<=>\\])/g, '$1');
}

/** A certificate's subject as OpenVPN writes it, such as `C=KG, O=Example, CN=server`. */
export function subjectOf({ subject }: X509Certificate): string {
  return subject.split('\n').map(plain).join(', ');
}

/** The parts of a subject. Node has a line for each, and within one ` + ` between several. */
function partsOf({ subject }: X509Certificate): string[] {
  return subject.split('\n').flatMap((line) => line.split(' + '));
}

/** Has a part in it what looks like further parts? The subject is then spelt like that of somebody else. */
function isAmbiguous(certificate: X509Certificate): boolean {
  return partsOf(certificate).some((part) => /(?:, | \+ )[A-Za-z0-9.-]+=/.test(plain(part)));
}

/** The last common name of the subject, which is the one that OpenVPN takes. */
function commonNameOf(certificate: X509Certificate): string | undefined {
  const name = partsOf(certificate).findLast((part) => part.startsWith('CN='));
  return name === undefined ? undefined : plain(name.slice(3));
}

/**
 * Is it the certificate of who is called so? A name with `=` is a whole subject as in `verify-x509-name NAME subject`;
 * another is the common name, as in `verify-x509-name NAME name`, or a DNS name of the subjectAltName. No wildcards.
 */
export function hasName(certificate: X509Certificate, name: string): boolean {
  if (name.includes('=')) return subjectOf(certificate) === name && !isAmbiguous(certificate);
  if (commonNameOf(certificate) === name) return true;
  // to OpenSSL one that begins with a dot is any below it
  if (name.startsWith('.')) return false;
  return certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined;
}

/** Characters of a subject that are told: more than real ones have, and few enough for a line of the audit log. */
const MOST_TOLD = 1000;

/** A subject for people: with nothing in it that acts on a terminal, and not endless. Whoever made the certificate chose it. */
export function toldSubject(certificate: X509Certificate): string {
  const subject = subjectOf(certificate);
  const told = subject.length > MOST_TOLD ? `${subject.slice(0, MOST_TOLD)}…` : subject;
  return told.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?');
}

/** The subject of the server's certificate, where it is seen. */
export function serverIn(context: SigningContext): string | undefined {
  if (!('transcript' in context)) return undefined;
  const [certificate = Buffer.of()] = context.transcript.serverCertificates;
  try {
    return toldSubject(certificateOf(certificate));
  } catch {
    return undefined; // nobody has looked so far whether it is a certificate
  }
}
