import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { dayOf } from './dates.ts';
import type { CertificateWords } from './words.ts';

/** Milliseconds. */
const DAY = 86_400_000;
/** So many are named in a hint at most. */
const NAMED = 8;

/** Whole days until a certificate ends, less than 0 if it has; NaN if it does not say. */
export function daysLeft({ validTo }: X509Certificate, now: number): number {
  return Math.floor((Date.parse(validTo) - now) / DAY);
}

/** Whether it is valid at a time, in milliseconds since 1970. */
function isValidAt({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

const end = ({ validTo }: X509Certificate): number => Date.parse(validTo);
const begin = ({ validFrom }: X509Certificate): number => Date.parse(validFrom);

/** Those that are valid now first; of them the one that ends last: a renewed one often stands beside the old one. */
export function newestFirst(certificates: readonly X509Certificate[], now: number): X509Certificate[] {
  const rank = (certificate: X509Certificate): number => Number(isValidAt(certificate, now));
  return certificates.toSorted((a, b) => rank(b) - rank(a) || end(b) - end(a) || begin(b) - begin(a));
}

/** `CN=Jane, O=Corp (issued by CN=CA, until 2027-01-31)`. */
function describe(certificate: X509Certificate, now: number): string {
  const oneLine = (name: string): string => name.replaceAll('\n', ', ');
  const { subject, issuer, validFrom, validTo } = certificate;
  const when = Date.parse(validFrom) > now ? `from ${dayOf(validFrom)}` : `until ${dayOf(validTo)}`;
  return `${oneLine(subject) || 'one without a subject'} (issued by ${oneLine(issuer)}, ${when})`;
}

/** What is there, for who named what is not. */
function describeAll(certificates: readonly X509Certificate[], now: number): string {
  if (certificates.length === 0) return 'there is none at all';
  const named = certificates.slice(0, NAMED).map((each) => describe(each, now));
  return `there is ${[...named, ...(certificates.length > NAMED ? ['…'] : [])].join('; ')}`;
}

/**
 * Those that words fit and that are valid now, the one that ends last first.
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_CERTIFICATE_DATES if there is none: it says what there is
 */
export function chosen(
  certificates: readonly X509Certificate[],
  words: CertificateWords,
  now: number,
): [X509Certificate, ...X509Certificate[]] {
  const fitting = newestFirst(certificates.filter(words.fits), now);
  const [first, ...others] = fitting.filter((certificate) => isValidAt(certificate, now));
  if (first) return [first, ...others];
  if (fitting.length > 0) {
    const text = `no certificate that '${words.text}' fits is valid now`;
    throw new AgentError('ERR_CERTIFICATE_DATES', text, { hint: describeAll(fitting, now) });
  }
  throw notChosen(certificates, words, now);
}

/** The error for words that fit none of some certificates. */
function notChosen(certificates: readonly X509Certificate[], words: CertificateWords, now: number): AgentError {
  return new AgentError('ERR_CERTIFICATE_NOT_FOUND', `no certificate that '${words.text}' fits`, {
    hint: describeAll(newestFirst(certificates, now), now),
  });
}
