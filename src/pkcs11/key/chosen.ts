import type { X509Certificate } from 'node:crypto';
import { chosen } from '../../certificates/choose.ts';
import type { CertificateWords } from '../../certificates/words.ts';
import { AgentError, errorCode } from '../../errors.ts';
import { CKA, CKO } from '../constants.ts';
import type { Session } from '../host/session.ts';
import { fittingTokens, identityOf } from '../token/token.ts';
import type { Tokens } from '../token/tokens.ts';
import type { Pkcs11Uri } from '../uri.ts';
import {
  attributesOf,
  byPartner,
  certificateOf,
  describeKey,
  describeKeys,
  find,
  findCertificate,
  findCertificates,
  findKey,
  findPublicHalf,
  read,
  type KeyObjects,
} from './objects.ts';

/** Certificates that say by themselves which is meant; undefined: the URI does. */
export type Words = CertificateWords | undefined;

interface ShownCertificate extends Pick<KeyObjects, 'id' | 'label'> {
  readonly certificate: X509Certificate;
}

/** All certificates that the URI's id fits. By its label the key may be meant, too. */
async function shown(at: Session, { id }: Pkcs11Uri): Promise<ShownCertificate[]> {
  const found: ShownCertificate[] = [];
  for (const object of await find(at, CKO.CERTIFICATE, attributesOf(id ? { id } : {}))) {
    const value = await read(at, object, [CKA.VALUE, CKA.ID, CKA.LABEL]);
    const certificate = certificateOf(value(CKA.VALUE));
    const label = value(CKA.LABEL)?.toString('utf8') ?? '';
    if (certificate) found.push({ certificate, id: value(CKA.ID) ?? Buffer.alloc(0), label });
  }
  return found;
}

/** The private key of a certificate: there may be several of one CKA_ID. */
async function keyOf(
  at: Session,
  { certificate, ...partner }: ShownCertificate,
  uri: Pkcs11Uri,
): Promise<KeyObjects | undefined> {
  for (const handle of await find(at, CKO.PRIVATE_KEY, byPartner(partner))) {
    const key = await describeKey(at, handle);
    const publicKey = key.publicKey ?? certificate.publicKey;
    const isNamed = uri.object === undefined || uri.object === key.label || uri.object === partner.label;
    if (isNamed && publicKey.equals(certificate.publicKey)) return { ...key, publicKey, certificates: [certificate] };
  }
  return undefined;
}

/**
 * The private key that a URI names; of several the one whose certificate the words fit: the newest that is valid.
 * @throws AgentError ERR_KEY_NOT_FOUND, ERR_KEY_AMBIGUOUS, ERR_CERTIFICATE_NOT_FOUND, ERR_CERTIFICATE_DATES
 */
export async function findChosenKey(at: Session, uri: Pkcs11Uri, words: Words): Promise<KeyObjects> {
  if (!words) return await findKey(at, uri);
  const present = await shown(at, uri);
  const certificates = present.map(({ certificate }) => certificate);
  for (const certificate of chosen(certificates, words, Date.now())) {
    const own = present.find((each) => each.certificate === certificate);
    const key = own && (await keyOf(at, own, uri));
    if (key) return key;
  }
  throw new AgentError('ERR_KEY_NOT_FOUND', `no private key of a certificate that '${words.text}' fits`, {
    hint: await describeKeys(at),
  });
}

/** The certificate that a URI and words name. @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_CERTIFICATE_DATES */
export async function findChosenCertificate(at: Session, uri: Pkcs11Uri, words: Words): Promise<X509Certificate> {
  if (!words) return await findCertificate(at, uri);
  return chosen(await findCertificates(at, attributesOf(uri)), words, Date.now())[0];
}

/** What is public of the key that a URI and words name. @throws AgentError ERR_CERTIFICATE_NOT_FOUND, ERR_CERTIFICATE_DATES */
export async function findChosenHalf(
  at: Session,
  uri: Pkcs11Uri,
  words: Words,
): Promise<Pick<KeyObjects, 'publicKey' | 'certificates'>> {
  if (!words) return await findPublicHalf(at, uri);
  const [certificate] = chosen(await findCertificates(at, attributesOf(uri)), words, Date.now());
  return { publicKey: certificate.publicKey, certificates: [certificate] };
}

/**
 * A URI that fits several tokens, narrowed to the one that shows the certificate which the words choose: a reissued card has
 * another serial number, and another label. What a token shows after a login only does not count.
 * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*
 */
export async function narrowed(uri: Pkcs11Uri, modulePath: string, tokens: Tokens, words: Words): Promise<Pkcs11Uri> {
  if (!words) return uri;
  const { fitting } = await fittingTokens(uri, await tokens.module(modulePath));
  if (fitting.length < 2) return uri;
  const all: { readonly certificate: X509Certificate; readonly uri: Pkcs11Uri }[] = [];
  let failure: unknown;
  for (const seen of fitting) {
    try {
      const certificates = await tokens.read(modulePath, seen, (at) => findCertificates(at, {}));
      all.push(...certificates.map((certificate) => ({ certificate, uri: { ...uri, ...identityOf(seen.info) } })));
    } catch (error) {
      if (!isOfOneToken(error)) throw error;
      failure ??= error;
    }
  }
  const best = bestOf(all, words, failure);
  return all.find(({ certificate }) => certificate === best)?.uri ?? uri;
}

/** One that can't be read (pulled at this moment, without a session to spare) keeps no other from being chosen. */
const isOfOneToken = (error: unknown): boolean =>
  ['ERR_TOKEN_ABSENT', 'ERR_TOKEN_FAILED'].includes(errorCode(error) ?? '');

/** @param failure of a token that could not be read: what is looked for may be there */
function bestOf(
  all: readonly { readonly certificate: X509Certificate }[],
  words: CertificateWords,
  failure: unknown,
): X509Certificate {
  try {
    return chosen(
      all.map(({ certificate }) => certificate),
      words,
      Date.now(),
    )[0];
  } catch (error) {
    throw failure ?? error;
  }
}
