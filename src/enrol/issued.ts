// What an authority sent back: is it the key's, of whom is it, and is it for a client?
import type { KeyObject, X509Certificate } from 'node:crypto';
import { isIssuedBy, isRoot } from '../certificates/chain.ts';
import { AgentError, errorCode } from '../errors.ts';
import { parseCertificates, nameOnOneLine, pemBlocks } from '../keyfile/pem.ts';
import { readFileLimited } from '../read-file-limited.ts';

const MAX_BYTES = 1024 * 1024;
/** No chain is longer: whatever is may be a circle. */
const MAX_CHAIN = 16;
/** RFC 5280 section 4.2.1.12: id-kp-clientAuth, anyExtendedKeyUsage. */
const FOR_CLIENTS = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/** A key's new certificate, and those that lead from it to an authority. */
export interface Issued {
  readonly own: X509Certificate;
  /** The issuer of `own`, its issuer and so on, as far as they are known; a root last. */
  readonly issuers: readonly X509Certificate[];
}

async function readCertificates(path: string, what: string): Promise<X509Certificate[]> {
  const limits = { what, code: 'ERR_CERTIFICATE_NOT_FOUND', maxBytes: MAX_BYTES } as const;
  const bytes = await readFileLimited(path, limits);
  try {
    return parseCertificates(bytes, path);
  } catch (error) {
    const [block] = pemBlocks(bytes.toString('latin1'));
    if (errorCode(error) !== 'ERR_CERTIFICATE_NOT_FOUND' || block?.label !== 'PKCS7') throw error;
    throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `${path} is a PKCS #7 bundle`, {
      hint: "take the certificates out of it with 'openssl pkcs7 -print_certs'",
    });
  }
}

function issuersOf(own: X509Certificate, known: readonly X509Certificate[]): X509Certificate[] {
  const issuers: X509Certificate[] = [];
  for (let last = own; issuers.length < MAX_CHAIN && !isRoot(last); ) {
    const found = known.find((candidate) => candidate.ca && isIssuedBy(last, candidate));
    if (!found) break;
    issuers.push(found);
    last = found;
  }
  return issuers;
}

/**
 * Reads what an authority sent: the key's certificate, maybe with those of its authorities, in any order.
 * @param authorities a file of certificates that the chain is to end at
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND; ERR_CERTIFICATE_MISMATCH if none is the key's
 */
export async function readIssued(
  path: string,
  publicKey: KeyObject,
  authorities: string | undefined,
): Promise<Issued & { readonly trusted: readonly X509Certificate[] }> {
  const sent = await readCertificates(path, 'the certificate');
  const trusted = authorities === undefined ? [] : await readCertificates(authorities, 'the authorities');
  const own = sent.find((certificate) => certificate.publicKey.equals(publicKey));
  if (own) return { own, issuers: issuersOf(own, [...sent, ...trusted]), trusted };
  const names = sent.map(({ subject }) => nameOnOneLine(subject) || 'no subject').join('; ');
  throw new AgentError('ERR_CERTIFICATE_MISMATCH', `${path} has no certificate of this key, but of ${names}`, {
    hint: 'give the certificate that was made from the request of this key',
  });
}

/**
 * Is one of the authorities at the end of the chain, and are all of it valid?
 * @returns the chain in words
 * @throws AgentError ERR_CERTIFICATE_CHAIN, ERR_CERTIFICATE_DATES
 */
export function checkChain({ own, issuers }: Issued, trusted: readonly X509Certificate[], now: number): string {
  const chain = [own, ...issuers];
  const at = chain.findIndex((certificate) => trusted.some(({ raw }) => raw.equals(certificate.raw)));
  const names = chain.map(({ subject }) => nameOnOneLine(subject) || 'no subject');
  if (at < 0) {
    const last = chain.at(-1) ?? own;
    const text = `the chain ends at ${names.at(-1)}, issued by ${nameOnOneLine(last.issuer)}: none of the authorities`;
    throw new AgentError('ERR_CERTIFICATE_CHAIN', text, {
      hint: 'is a certificate of an authority in between missing?',
    });
  }
  for (const [index, { validFrom, validTo }] of issuers.slice(0, at).entries()) {
    if (now >= Date.parse(validFrom) && now <= Date.parse(validTo)) continue;
    throw new AgentError('ERR_CERTIFICATE_DATES', `the authority ${names[index + 1]} is not valid now`);
  }
  return names.slice(0, at + 1).join(' < ');
}

/** @throws AgentError ERR_CERTIFICATE_PURPOSE if servers refuse it whatever they are told */
export function checkPurpose({ keyUsage, ca }: X509Certificate): void {
  // node's types say string[] where the extension is absent, too
  const purposes = keyUsage as string[] | undefined;
  if (ca) throw new AgentError('ERR_CERTIFICATE_PURPOSE', "it is an authority's, not a client's");
  if (purposes === undefined || purposes.some((purpose) => FOR_CLIENTS.includes(purpose))) return;
  throw new AgentError('ERR_CERTIFICATE_PURPOSE', 'its extended key usage has no clientAuth: servers refuse it', {
    hint: 'have it issued for a client',
  });
}
