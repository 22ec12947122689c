import type { X509Certificate } from 'node:crypto';
import { certificateOf } from './certificate.ts';

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** More certificates than OpenVPN's servers send. */
const MOST_BETWEEN = 10;

function isInDates({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

/** A certificate that says what it is for must say that it is for servers; so must those of the CAs below the trusted one. */
function isForServers({ keyUsage }: X509Certificate): boolean {
  // node calls the extended usages so
  const usages = (keyUsage as readonly string[] | undefined) ?? [];
  return usages.length === 0 || usages.includes(SERVER_AUTH);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate, now: number): boolean {
  return issuer.ca && isInDates(issuer, now) && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/**
 * Does a chain of certificates lead from a server's to one of the authorities? Signatures, dates, who may be a CA, and
 * whether it may be a server are looked at; not revocation, nor constraints on names or lengths.
 * @param sent what the server sent behind its own
 * @param now milliseconds since 1970
 * @returns why not; undefined if it does
 */
export function chainFault(
  server: X509Certificate,
  sent: readonly Buffer[],
  authorities: readonly X509Certificate[],
  now: number,
): string | undefined {
  if (!isInDates(server, now)) return 'it is not valid now';
  if (!isForServers(server)) return 'it is none of a server';
  const between = sent.slice(0, MOST_BETWEEN).map(certificateOf);
  // all that lead up from the server's: of two with one name and key (cross-signed) either may lead to the CA
  const reached = [server];
  for (const below of reached) {
    if (authorities.some((authority) => isIssuedBy(below, authority, now))) return undefined;
    const others = between.filter((other) => !reached.includes(other) && isForServers(other));
    reached.push(...others.filter((other) => isIssuedBy(below, other, now)));
  }
  return 'no chain leads to a CA that is trusted';
}
