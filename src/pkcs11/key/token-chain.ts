import type { X509Certificate } from 'node:crypto';
import { chainOf } from '../../certificates/chain.ts';
import { certificateFields } from '../../signing/certificate-fields.ts';
import { CKA, CKO } from '../constants.ts';
import type { Attributes } from '../host/protocol.ts';
import type { Session } from '../host/session.ts';
import { find, findCertificates, readCertificate } from './objects.ts';

/** So many certificates are read, one by one, of a token that does not find them by their subjects. */
const FEW = 16;

const bySubject = (subject: Buffer): Attributes => ({ [CKA.SUBJECT]: subject.toString('hex') });

/** CKA_SUBJECT is not told by all modules, and by some not as it lies in the certificate. */
async function findsBySubject(at: Session, { raw }: X509Certificate): Promise<boolean> {
  const subject = certificateFields(raw)?.subject;
  return subject !== undefined && (await find(at, CKO.CERTIFICATE, bySubject(subject), 1)).length > 0;
}

/** All certificates, if they are few. */
async function readFew(at: Session): Promise<X509Certificate[]> {
  const objects = await find(at, CKO.CERTIFICATE, {}, FEW + 1);
  if (objects.length > FEW) return [];
  const certificates: X509Certificate[] = [];
  for (const object of objects) {
    const certificate = await readCertificate(at, object);
    if (certificate) certificates.push(certificate);
  }
  return certificates;
}

/** A certificate of a token, and those on it that lead from there to its root. */
export async function tokenChain(at: Session, leaf: X509Certificate): Promise<[X509Certificate, ...X509Certificate[]]> {
  let few: Promise<X509Certificate[]> | undefined;
  const issuersOf = async (certificate: X509Certificate): Promise<X509Certificate[]> => {
    const subject = certificateFields(certificate.raw)?.issuer;
    const found = subject ? await findCertificates(at, bySubject(subject)) : [];
    if (found.length > 0) return found;
    // a search is three calls, each certificate that is read two: they may take a network HSM their time
    few ??= findsBySubject(at, leaf).then((isFound) => (isFound ? [] : readFew(at)));
    return await few;
  };
  return await chainOf(leaf, issuersOf, Date.now());
}
