import { X509Certificate, type KeyObject } from 'node:crypto';
import { newestFirst } from '../../certificates/choose.ts';
import { AgentError } from '../../errors.ts';
import { CKA, CKK, CKO } from '../constants.ts';
import type { Session } from '../host/session.ts';
import type { Attributes } from '../host/protocol.ts';
import { publicKeyOf } from './public-key.ts';
import { formatPkcs11Uri, idHint, type Pkcs11Uri } from '../uri.ts';

/** A private key on a token, with what belongs to it. */
export interface KeyObjects {
  readonly handle: string;
  readonly id: Buffer;
  readonly label: string;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is wanted with each signature. */
  readonly alwaysAuthenticate: boolean;
  /** CKA_ALLOWED_MECHANISMS (CKM_*); undefined where the key does not limit them. */
  readonly allowedMechanisms: ReadonlySet<number> | undefined;
  /** Undefined where the token tells neither a public key nor a certificate. */
  readonly publicKey: KeyObject | undefined;
  readonly certificates: readonly X509Certificate[];
}

/**
 * Handles of the objects of a class with all these attributes.
 * @param atMost only so many
 * @throws AgentError ERR_MODULE_LIMIT if they have no end, ERR_TOKEN_*, ERR_MODULE_*
 */
export async function find(
  { host, session }: Session,
  objectClass: number,
  attributes: Attributes,
  atMost?: number,
): Promise<string[]> {
  return await host.call('find', { session, class: objectClass, attributes, ...(atMost !== undefined && { atMost }) });
}

/** Reads attributes of an object: those that it lacks are undefined. */
export async function read(
  { host, session }: Session,
  object: string,
  types: readonly number[],
): Promise<(type: number) => Buffer | undefined> {
  const attributes = await host.call('attributes', { session, object, types: [...types] });
  return (type) => {
    const value = attributes[type];
    return value === null || value === undefined || value === '' ? undefined : Buffer.from(value, 'hex');
  };
}

const hexOf = (text: string): string => Buffer.from(text, 'utf8').toString('hex');
/** @returns attributes that tie what belongs together: the CKA_ID, or the label of those that have none */
export const byPartner = ({ id, label }: Pick<KeyObjects, 'id' | 'label'>): Attributes =>
  id.length > 0 ? byId(id) : byLabel(label);
const byId = (id: Buffer): Attributes => ({ [CKA.ID]: id.toString('hex') });
const byLabel = (label: string): Attributes => ({ [CKA.LABEL]: hexOf(label) });

/** What of a URI names objects. */
export function attributesOf(uri: Pkcs11Uri): Attributes {
  return { ...(uri.id && byId(uri.id)), ...(uri.object !== undefined && byLabel(uri.object)) };
}

/**
 * Keys without a label exist (NSS makes them), while the certificate or public key has one: the CKA_ID ties them. Several may
 * have that label, such as a certificate, its renewal with another key, and an authority's.
 */
async function findByLabelOfPartner(at: Session, label: string): Promise<string[]> {
  const keys = new Set<string>();
  for (const partner of [CKO.CERTIFICATE, CKO.PUBLIC_KEY]) {
    const ids = new Set<string>();
    for (const object of await find(at, partner, byLabel(label))) {
      const id = (await read(at, object, [CKA.ID]))(CKA.ID);
      if (id) ids.add(id.toString('hex'));
    }
    for (const id of ids)
      for (const key of await find(at, CKO.PRIVATE_KEY, byId(Buffer.from(id, 'hex')))) keys.add(key);
    if (keys.size > 0) break;
  }
  return [...keys];
}

/** So many objects are named in a hint at most. */
const NAMED = 8;

/** Objects by what a URI would name them with: `object=a;id=%01, object=a;id=%02`. */
async function describe(at: Session, objects: readonly string[]): Promise<string> {
  const names: string[] = [];
  for (const object of objects.slice(0, NAMED)) {
    const value = await read(at, object, [CKA.LABEL, CKA.ID]);
    const label = value(CKA.LABEL)?.toString('utf8');
    const id = value(CKA.ID);
    const attributes = formatPkcs11Uri({ ...(label !== undefined && { object: label }), ...(id && { id }) });
    names.push(attributes.slice('pkcs11:'.length) || 'one without label and id');
  }
  return [...names, ...(objects.length > NAMED ? ['…'] : [])].join(', ');
}

/** The private keys of a token, for who named one that is not there. */
export async function describeKeys(at: Session): Promise<string> {
  const keys = await find(at, CKO.PRIVATE_KEY, {}, NAMED + 1);
  return keys.length === 0 ? 'the token shows no private key' : `the token has ${await describe(at, keys)}`;
}

/** The certificate in an object. */
export async function readCertificate(at: Session, object: string): Promise<X509Certificate | undefined> {
  return certificateOf((await read(at, object, [CKA.VALUE]))(CKA.VALUE));
}

/** The certificate of a CKA_VALUE; undefined for an attribute certificate, or a damaged one. */
export function certificateOf(value: Buffer | undefined): X509Certificate | undefined {
  try {
    return value && new X509Certificate(value);
  } catch {
    return undefined;
  }
}

/** All certificates with these attributes: the newest that is valid first. */
export async function findCertificates(at: Session, attributes: Attributes): Promise<X509Certificate[]> {
  const certificates: X509Certificate[] = [];
  for (const object of await find(at, CKO.CERTIFICATE, attributes)) {
    const certificate = await readCertificate(at, object);
    if (certificate) certificates.push(certificate);
  }
  return newestFirst(certificates, Date.now());
}

/** What a private key says of how it may be used; and CKA_KEY_TYPE, which shows how long a CK_ULONG is. */
export const LIMITS: readonly number[] = [CKA.KEY_TYPE, CKA.ALWAYS_AUTHENTICATE, CKA.ALLOWED_MECHANISMS];

/** The values of {@link LIMITS}, understood. */
export function limitsOf(
  value: (type: number) => Buffer | undefined,
): Pick<KeyObjects, 'alwaysAuthenticate' | 'allowedMechanisms'> {
  const size = value(CKA.KEY_TYPE)?.length === 4 ? 4 : 8;
  const list = value(CKA.ALLOWED_MECHANISMS);
  // not a list of CK_ULONG: it limits nothing that we could tell
  const isList = list !== undefined && list.length % size === 0;
  const allowed = isList
    ? Array.from({ length: list.length / size }, (_, index) => list.readUInt32LE(index * size))
    : undefined;
  return {
    alwaysAuthenticate: value(CKA.ALWAYS_AUTHENTICATE)?.[0] === 1,
    allowedMechanisms: allowed && new Set(allowed),
  };
}

const RSA_ATTRIBUTES = [CKA.MODULUS, CKA.PUBLIC_EXPONENT];
const EC_ATTRIBUTES = [CKA.EC_PARAMS, CKA.EC_POINT];

/**
 * The public key of a public or private key's object; undefined if it does not tell.
 * @param type its CKA_KEY_TYPE, where that was read before
 */
export async function readPublicKey(at: Session, object: string, type?: Buffer): Promise<KeyObject | undefined> {
  const bytes = type ?? (await read(at, object, [CKA.KEY_TYPE]))(CKA.KEY_TYPE);
  if (!bytes) return undefined;
  const keyType = bytes.readUIntLE(0, Math.min(4, bytes.length));
  // only what such a key may have: one attribute that it lacks makes a module refuse all that are read with it
  const value = await read(at, object, keyType === CKK.RSA ? RSA_ATTRIBUTES : EC_ATTRIBUTES);
  return publicKeyOf({
    keyType,
    modulus: value(CKA.MODULUS),
    publicExponent: value(CKA.PUBLIC_EXPONENT),
    ecParameters: value(CKA.EC_PARAMS),
    ecPoint: value(CKA.EC_POINT),
  });
}

/**
 * The public half of a private key, by what its objects tell. Private RSA keys have it in them; others as a rule have not
 * (PKCS#11 v3.1 section 6.3.4), and each call may take a network HSM its time.
 */
async function findPublicKey(
  at: Session,
  privateKey: string,
  partner: Pick<KeyObjects, 'id' | 'label'>,
  type: Buffer | undefined,
): Promise<KeyObject | undefined> {
  const own = (): Promise<KeyObject | undefined> => readPublicKey(at, privateKey, type);
  const isRsa = type?.[0] === CKK.RSA;
  let publicKey = isRsa ? await own() : undefined;
  for (const object of publicKey ? [] : await publicPartners(at, partner)) {
    publicKey ??= await readPublicKey(at, object, type);
  }
  return publicKey ?? (isRsa ? undefined : await own());
}

/** The public keys that belong to a private one: of several of its CKA_ID those of its label, if there are some. */
async function publicPartners(at: Session, { id, label }: Pick<KeyObjects, 'id' | 'label'>): Promise<string[]> {
  const objects = await find(at, CKO.PUBLIC_KEY, byPartner({ id, label }));
  if (objects.length < 2 || id.length === 0 || label === '') return objects;
  const named = await find(at, CKO.PUBLIC_KEY, { ...byId(id), ...byLabel(label) });
  return named.length > 0 ? named : objects;
}

/**
 * The private key that a URI names, by CKA_ID, then label.
 * @throws AgentError ERR_KEY_NOT_FOUND, ERR_KEY_AMBIGUOUS
 */
export async function findKey(at: Session, uri: Pkcs11Uri): Promise<KeyObjects> {
  let handles = await find(at, CKO.PRIVATE_KEY, attributesOf(uri));
  if (handles.length === 0 && uri.id === undefined && uri.object !== undefined) {
    handles = await findByLabelOfPartner(at, uri.object);
  }
  const [handle] = handles;
  if (handle === undefined) {
    throw new AgentError('ERR_KEY_NOT_FOUND', 'no private key that the pkcs11 URI fits', {
      hint: [idHint(uri), await describeKeys(at)].filter((hint) => hint !== undefined).join('; '),
    });
  }
  if (handles.length > 1) {
    throw new AgentError('ERR_KEY_AMBIGUOUS', `the pkcs11 URI fits ${handles.length} private keys`, {
      hint: `say which: ${await describe(at, handles)}`,
    });
  }
  const key = await describeKey(at, handle);
  const certificates = await findCertificates(at, byPartner(key));
  const publicKey = key.publicKey ?? certificates[0]?.publicKey;
  const own = certificates.filter((each) => publicKey && each.publicKey.equals(publicKey));
  return { ...key, publicKey, certificates: own.slice(0, 1) };
}

/** What a private key's objects say of it. */
export async function describeKey(at: Session, handle: string): Promise<Omit<KeyObjects, 'certificates'>> {
  const value = await read(at, handle, [CKA.ID, CKA.LABEL, ...LIMITS]);
  const id = value(CKA.ID) ?? Buffer.alloc(0);
  const label = value(CKA.LABEL)?.toString('utf8') ?? '';
  const publicKey = await findPublicKey(at, handle, { id, label }, value(CKA.KEY_TYPE));
  return { handle, id, label, ...limitsOf(value), publicKey };
}

/**
 * The certificate that a URI names, by CKA_ID, then label; the newest, if all that it fits are of one key.
 * @throws AgentError ERR_CERTIFICATE_NOT_FOUND
 */
export async function findCertificate(at: Session, uri: Pkcs11Uri): Promise<X509Certificate> {
  const certificates = await findCertificates(at, attributesOf(uri));
  const [certificate, ...others] = certificates;
  if (certificate && others.every(({ publicKey }) => publicKey.equals(certificate.publicKey))) return certificate;
  if (!certificate) {
    const hint = idHint(uri);
    throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', 'no certificate that the pkcs11 URI fits', {
      ...(hint !== undefined && { hint }),
    });
  }
  throw new AgentError('ERR_CERTIFICATE_NOT_FOUND', `the pkcs11 URI fits ${certificates.length} certificates`, {
    hint: `say which: ${await describe(at, await find(at, CKO.CERTIFICATE, attributesOf(uri)))}`,
  });
}

/** What is public of a key that a URI names: it can be seen without a login. */
export async function findPublicHalf(
  at: Session,
  uri: Pkcs11Uri,
): Promise<Pick<KeyObjects, 'publicKey' | 'certificates'>> {
  const certificates = await findCertificates(at, attributesOf(uri));
  const [object] = await find(at, CKO.PUBLIC_KEY, attributesOf(uri));
  const publicKey = (object === undefined ? undefined : await readPublicKey(at, object)) ?? certificates[0]?.publicKey;
  return { publicKey, certificates: certificates.slice(0, 1) };
}
