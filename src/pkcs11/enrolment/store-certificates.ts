import type { X509Certificate } from 'node:crypto';
import { AgentError, errorText } from '../../errors.ts';
import { certificateFields } from '../../signing/certificate-fields.ts';
import { CKA, CKO } from '../constants.ts';
import type { Template } from '../host/protocol.ts';
import { inSession, type Session } from '../host/session.ts';
import { find, findKey, read, readCertificate } from '../key/objects.ts';
import type { TokenUser } from '../token/token-user.ts';
import { formatPkcs11Uri, type Pkcs11Uri } from '../uri.ts';
import { elsewhere } from './elsewhere.ts';

/** CKC_X_509. */
const X_509 = 0;

/** What else is on the token that the new certificate takes the place of: left there. */
export interface Superseded {
  /** Of the same key. */
  readonly certificates: readonly X509Certificate[];
  /** URIs of other keys of the same subject. */
  readonly keys: readonly string[];
}

/** A certificate on a token, and what names it. */
interface StoredCertificate {
  readonly certificate: X509Certificate;
  readonly fields: ReturnType<typeof certificateFields>;
  readonly id: Buffer | undefined;
  readonly label: string | undefined;
}

async function certificatesOn(at: Session): Promise<StoredCertificate[]> {
  const stored: StoredCertificate[] = [];
  for (const object of await find(at, CKO.CERTIFICATE, {})) {
    const certificate = await readCertificate(at, object);
    if (!certificate) continue;
    const value = await read(at, object, [CKA.ID, CKA.LABEL]);
    const fields = certificateFields(certificate.raw);
    stored.push({ certificate, fields, id: value(CKA.ID), label: value(CKA.LABEL)?.toString('utf8') });
  }
  return stored;
}

const hexOf = (text: string): string => Buffer.from(text, 'utf8').toString('hex');

function templateOf(certificate: X509Certificate, label: string, id: Buffer | undefined): Template {
  const fields = certificateFields(certificate.raw);
  if (!fields) throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `the certificate ${label} can't be read`);
  return {
    [CKA.CLASS]: CKO.CERTIFICATE,
    [CKA.CERTIFICATE_TYPE]: X_509,
    [CKA.TOKEN]: true,
    [CKA.PRIVATE]: false,
    [CKA.LABEL]: hexOf(label),
    ...(id && id.length > 0 && { [CKA.ID]: id.toString('hex') }),
    [CKA.SUBJECT]: fields.subject.toString('hex'),
    [CKA.ISSUER]: fields.issuer.toString('hex'),
    [CKA.SERIAL_NUMBER]: fields.serialNumber.toString('hex'),
    [CKA.VALUE]: certificate.raw.toString('hex'),
  };
}

function commonNameOf({ subject }: X509Certificate): string {
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? 'CA';
}

/**
 * Keeps a key's certificate on its token, under the key's id and label, and the rest of its chain beside it. What is there
 * already is not written again, and nothing is removed.
 * @param uri the key's
 * @param chain the key's own first; roots are left out
 * @throws AgentError ERR_KEY_*, ERR_CERTIFICATE_MISMATCH, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function storeCertificates(
  user: TokenUser,
  uri: Pkcs11Uri,
  [own, ...others]: readonly [X509Certificate, ...X509Certificate[]],
): Promise<Superseded> {
  // what is done in it is done again where it fails: this must not be
  const at = await user.run((open) => Promise.resolve(open));
  const { host, token, epoch } = at;
  const { id, label, publicKey } = await findKey(at, uri);
  if (publicKey && !publicKey.equals(own.publicKey)) {
    throw new AgentError('ERR_CERTIFICATE_MISMATCH', `the certificate is not of the key ${formatPkcs11Uri(uri)}`);
  }
  const before = await certificatesOn(at);
  const isThere = (certificate: X509Certificate): boolean =>
    before.some((stored) => stored.certificate.raw.equals(certificate.raw));
  const authorities = others.filter((certificate) => !certificate.checkIssued(certificate));
  const templates = [
    ...(isThere(own) ? [] : [templateOf(own, label === '' ? commonNameOf(own) : label, id)]),
    ...authorities
      .filter((certificate) => !isThere(certificate))
      .map((certificate) => templateOf(certificate, commonNameOf(certificate), undefined)),
  ];
  if (templates.length > 0) {
    const writing = inSession(
      { host, info: token, epoch },
      async ({ session }) => {
        for (const template of templates) await host.call('createObject', { session, template });
      },
      'write',
    );
    await writing.catch((error: unknown) => {
      if (!(error instanceof AgentError) || error.ckr === undefined) throw error;
      const { code, ckr } = error;
      const hint = elsewhere(token, 'storeCertificate');
      const text = `token '${token.label}' does not keep the certificate: ${errorText(error)}`;
      throw new AgentError(code, text, {
        cause: error,
        ckr,
        ...(hint === undefined ? { reason: 'certificate-not-kept' } : { hint }),
      });
    });
  }
  return superseded(own, token.label, before);
}

function superseded(own: X509Certificate, token: string, before: readonly StoredCertificate[]): Superseded {
  const subject = certificateFields(own.raw)?.subject;
  const isOfKey = ({ certificate }: StoredCertificate): boolean => certificate.publicKey.equals(own.publicKey);
  const named = before.filter((stored) => !isOfKey(stored) && subject && stored.fields?.subject.equals(subject));
  const keys = named.map(({ id, label }) =>
    formatPkcs11Uri({ token, ...(label !== undefined && { object: label }), ...(id && { id }) }),
  );
  const older = before.filter((stored) => isOfKey(stored) && !stored.certificate.raw.equals(own.raw));
  return { certificates: older.map(({ certificate }) => certificate), keys: [...new Set(keys)] };
}
