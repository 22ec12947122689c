// Enrolment: a key is made, a certificate asked for, and taken in when it comes. For the command.
import type { X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { pemOf } from '../keyfile/new-key-file.ts';
import type { Signer } from '../signing/signer.ts';
import { parseAlternativeName } from './alternative-names.ts';
import { signedRequest, type RequestedNames } from './request.ts';
import { parseSubject } from './subject.ts';
import { namesOfCertificate, readTemplate } from './template.ts';

/** The names to ask for, as a person says them. */
export interface WantedNames {
  readonly subject: string | undefined;
  /** In place of the template's. */
  readonly alternativeNames: readonly string[] | undefined;
  /** A file: a certificate or request that has them. */
  readonly template: string | undefined;
}

/**
 * The names to ask for: what was said, else what stands in the template, else what the key's certificate has.
 * @throws AgentError ERR_USAGE, ERR_CERTIFICATE_NOT_FOUND
 */
export async function namesFor(wanted: WantedNames, certificate: X509Certificate | undefined): Promise<RequestedNames> {
  const { subject, alternativeNames, template } = wanted;
  const given = {
    ...(subject !== undefined && { subject: parseSubject(subject) }),
    ...(alternativeNames && { alternativeNames: alternativeNames.map(parseAlternativeName) }),
  };
  const base = template === undefined ? certificate && namesOfCertificate(certificate) : await readTemplate(template);
  const names = { alternativeNames: [], ...base, ...given };
  const { subject: found } = names as Partial<RequestedNames>;
  if (!found) throw new AgentError('ERR_USAGE', 'whom the certificate is for was not said', { reason: 'no-subject' });
  return { ...names, subject: found };
}

/** A request in PEM. @throws AgentError what {@link signedRequest} throws */
export async function requestPem(signer: Signer, names: RequestedNames): Promise<Buffer> {
  return pemOf('CERTIFICATE REQUEST', await signedRequest(signer, names));
}
