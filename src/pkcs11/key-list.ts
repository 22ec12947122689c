import { X509Certificate, type KeyObject } from 'node:crypto';
import { CKA, CKO } from './constants.ts';
import { find, read, readPublicKey, type Session } from './objects.ts';
import type { Pkcs11Uri } from './uri.ts';
import { withoutPadding } from './padding.ts';

/** A key as far as its token shows it. */
export interface ListedKey {
  /** `unseen`: its public key or certificate is there; the private key may be, and takes a login to be seen. */
  readonly privateKey: 'present' | 'absent' | 'unseen';
  /** CKA_ID; may be empty. */
  readonly id: Buffer;
  /** CKA_LABEL: the private key's, else of what there is. */
  readonly label: string;
  /** CKA_ALWAYS_AUTHENTICATE; undefined where the private key was not seen. */
  readonly alwaysAuthenticate: boolean | undefined;
  readonly publicKey: KeyObject | undefined;
  /** With the key's CKA_ID, the one that ends last first. */
  readonly certificates: readonly X509Certificate[];
  /** What of the URI names this key and its certificate, and nothing else on the token. */
  readonly uri: Pick<Pkcs11Uri, 'object' | 'id'>;
}

interface ListedObject {
  readonly handle: string;
  readonly id: Buffer;
  readonly label: string;
}

interface Group {
  readonly privateKey: ListedObject | undefined;
  readonly publicKeys: readonly ListedObject[];
  readonly certificates: readonly (ListedObject & { readonly certificate: X509Certificate })[];
}

async function list(at: Session, objectClass: number): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for (const handle of await find(at, objectClass, {})) {
    const value = await read(at, handle, [CKA.ID, CKA.LABEL]);
    objects.push({
      handle,
      id: value(CKA.ID) ?? Buffer.alloc(0),
      label: withoutPadding(value(CKA.LABEL)?.toString('utf8') ?? '', '\0'),
    });
  }
  return objects;
}

async function listCertificates(at: Session): Promise<Group['certificates'][number][]> {
  const certificates: Group['certificates'][number][] = [];
  for (const object of await list(at, CKO.CERTIFICATE)) {
    const value = (await read(at, object.handle, [CKA.VALUE]))(CKA.VALUE);
    try {
      if (value) certificates.push({ ...object, certificate: new X509Certificate(value) });
    } catch {
      // an attribute certificate, or a damaged one: as good as none
    }
  }
  return certificates;
}

/** What belongs together has one CKA_ID, or one label where there is none. */
const tie = ({ id, label }: ListedObject): string => (id.length > 0 ? id.toString('hex') : `label ${label}`);

function groupsOf(
  privateKeys: readonly ListedObject[],
  publicKeys: readonly ListedObject[],
  certificates: Group['certificates'],
): Group[] {
  const tied = (name: string): Omit<Group, 'privateKey'> => ({
    publicKeys: publicKeys.filter((object) => tie(object) === name),
    certificates: certificates.filter((object) => tie(object) === name),
  });
  const owned = new Set(privateKeys.map(tie));
  const others = new Set([...publicKeys, ...certificates].map(tie).filter((name) => !owned.has(name)));
  return [
    ...privateKeys.map((privateKey) => ({ privateKey, ...tied(tie(privateKey)) })),
    ...[...others].map((name) => ({ privateKey: undefined, ...tied(name) })),
  ];
}

function objectsOf({ privateKey, publicKeys, certificates }: Group): ListedObject[] {
  return [...(privateKey ? [privateKey] : []), ...publicKeys, ...certificates];
}

function fits(uri: Pkcs11Uri, group: Group): boolean {
  return objectsOf(group).some(
    ({ id, label }) => (uri.id?.equals(id) ?? true) && (uri.object === undefined || uri.object === label),
  );
}

function orderOf(group: Group): string {
  const [{ id, label } = { id: Buffer.alloc(0), label: '' }] = objectsOf(group);
  return `${id.toString('hex')} ${label}`;
}

/** Whether a URI can say a label: one that is no UTF-8 is not found again by it. */
export const isText = (label: string): boolean => label !== '' && !label.includes('\uFFFD');

function uriOf(group: Group, groups: readonly Group[]): ListedKey['uri'] {
  const own = objectsOf(group);
  const others = groups.filter((other) => other !== group).flatMap(objectsOf);
  const [{ id, label } = { id: Buffer.alloc(0), label: '' }] = own;
  const isNamed = isText(label) && own.every((object) => object.label === label);
  // the label of a private key that nobody saw may be another
  if (group.privateKey && isNamed && !others.some((object) => object.label === label)) return { object: label };
  if (id.length > 0 && !others.some((object) => object.id.equals(id))) return { id };
  return { ...(isNamed && { object: label }), ...(id.length > 0 && { id }) };
}

async function describe(at: Session, group: Group, groups: readonly Group[], isComplete: boolean): Promise<ListedKey> {
  const { privateKey, publicKeys } = group;
  const certificates = group.certificates
    .map(({ certificate }) => certificate)
    .sort((a, b) => Date.parse(b.validTo) - Date.parse(a.validTo));
  let publicKey: KeyObject | undefined;
  for (const object of [...(privateKey ? [privateKey] : []), ...publicKeys]) {
    publicKey ??= await readPublicKey(at, object.handle);
  }
  publicKey ??= certificates[0]?.publicKey;
  const always = privateKey && (await read(at, privateKey.handle, [CKA.ALWAYS_AUTHENTICATE]));
  const { id, label } = privateKey ?? publicKeys[0] ?? group.certificates[0] ?? { id: Buffer.alloc(0), label: '' };
  return {
    privateKey: privateKey ? 'present' : isComplete ? 'absent' : 'unseen',
    id,
    label: label === '' ? (publicKeys[0]?.label ?? group.certificates[0]?.label ?? '') : label,
    alwaysAuthenticate: always && always(CKA.ALWAYS_AUTHENTICATE)?.[0] === 1,
    publicKey,
    certificates,
    uri: uriOf(group, groups),
  };
}

/**
 * The keys on a token that a URI fits, as far as the session shows them; 100 of each class of objects at most.
 * @param isComplete it shows all: somebody has logged in, or need not
 * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*
 */
export async function listKeys(at: Session, uri: Pkcs11Uri, isComplete: boolean): Promise<ListedKey[]> {
  const groups = groupsOf(await list(at, CKO.PRIVATE_KEY), await list(at, CKO.PUBLIC_KEY), await listCertificates(at));
  const keys: ListedKey[] = [];
  // modules give their objects in any order
  groups.sort((one, other) => (orderOf(one) < orderOf(other) ? -1 : 1));
  for (const group of groups.filter((candidate) => fits(uri, candidate)))
    keys.push(await describe(at, group, groups, isComplete));
  return keys;
}
