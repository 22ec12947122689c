import type { X509Certificate } from 'node:crypto';
import { newestFirst } from './choose.ts';

/** A chain is no longer: more is a circle, or somebody's joke. */
const MOST = 10;

/** Whether one certificate was issued by the owner of another: by names and key identifiers, and by its signature. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // by a key that can't be read
  }
}

/** Whether it is a root: servers know it, or it is of no use to them. */
export function isRoot(certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

/**
 * A certificate and those that lead from it to its root, each issued by the next; the root is left out.
 * @param issuersOf certificates that may be the issuer's; others do no harm
 */
export async function chainOf(
  leaf: X509Certificate,
  issuersOf: (certificate: X509Certificate) => Promise<readonly X509Certificate[]>,
  now: number,
): Promise<[X509Certificate, ...X509Certificate[]]> {
  const chain: [X509Certificate, ...X509Certificate[]] = [leaf];
  for (let last = leaf; chain.length < MOST && !isRoot(last); ) {
    const candidates = newestFirst(await issuersOf(last), now);
    const issuer = candidates.find((each) => isIssuedBy(last, each));
    if (!issuer || isRoot(issuer) || chain.some((each) => each.raw.equals(issuer.raw))) break;
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}
