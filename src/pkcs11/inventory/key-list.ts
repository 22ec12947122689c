import type { KeyObject, X509Certificate } from 'node:crypto';
import { newestFirst } from '../../certificates/choose.ts';
import { SYSTEM_CLOCK, type Clock } from '../../clock.ts';
import { AgentError } from '../../errors.ts';
import { CKA, CKO } from '../constants.ts';
import { find, LIMITS, limitsOf, read, readCertificate, readPublicKey } from '../key/objects.ts';
import type { Session } from '../host/session.ts';
import type { Pkcs11Uri } from '../uri.ts';
import { withoutPadding } from '../padding.ts';

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
  /** CKA_ALLOWED_MECHANISMS (CKM_*); undefined where the key does not limit them, or was not seen. */
  readonly allowedMechanisms: ReadonlySet<number> | undefined;
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

interface ListedCertificate extends ListedObject {
  readonly certificate: X509Certificate;
}

/** Objects that belong together: of one CKA_ID, or of one label where there is none. A token may have several private keys so. */
interface Bundle {
  readonly privateKeys: ListedObject[];
  readonly publicKeys: ListedObject[];
  readonly certificates: ListedCertificate[];
}

/** A private key, or public halves without one, in its bundle. */
interface Group {
  readonly privateKey: ListedObject | undefined;
  readonly bundle: Bundle;
}

async function list(at: Session, objectClass: number, patience: Patience): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for (const handle of await find(at, objectClass, {})) {
    patience.check(at);
    const value = await read(at, handle, [CKA.ID, CKA.LABEL]);
    objects.push({
      handle,
      id: value(CKA.ID) ?? Buffer.alloc(0),
      label: withoutPadding(value(CKA.LABEL)?.toString('utf8') ?? '', '\0'),
    });
  }
  return objects;
}

async function listCertificates(at: Session, patience: Patience): Promise<ListedCertificate[]> {
  const certificates: ListedCertificate[] = [];
  for (const object of await list(at, CKO.CERTIFICATE, patience)) {
    patience.check(at);
    const certificate = await readCertificate(at, object.handle);
    if (certificate) certificates.push({ ...object, certificate });
  }
  return certificates;
}

const tie = ({ id, label }: ListedObject): string => (id.length > 0 ? id.toString('hex') : `label ${label}`);

function bundlesOf(
  privateKeys: readonly ListedObject[],
  publicKeys: readonly ListedObject[],
  certificates: readonly ListedCertificate[],
): Bundle[] {
  const bundles = new Map<string, Bundle>();
  const at = (object: ListedObject): Bundle => {
    const name = tie(object);
    const bundle = bundles.get(name) ?? { privateKeys: [], publicKeys: [], certificates: [] };
    bundles.set(name, bundle);
    return bundle;
  };
  for (const object of privateKeys) at(object).privateKeys.push(object);
  for (const object of publicKeys) at(object).publicKeys.push(object);
  for (const object of certificates) at(object).certificates.push(object);
  return [...bundles.values()];
}

const publicHalf = ({ publicKeys, certificates }: Bundle): ListedObject[] => [...publicKeys, ...certificates];

/** Linear in all objects: a bundle's public half is looked at once, not for each of its private keys. */
function groupsThatFit(uri: Pkcs11Uri, bundles: readonly Bundle[]): Group[] {
  const fits = ({ id, label }: ListedObject): boolean =>
    (uri.id?.equals(id) ?? true) && (uri.object === undefined || uri.object === label);
  return bundles.flatMap((bundle): Group[] => {
    const halfFits = publicHalf(bundle).some(fits);
    if (bundle.privateKeys.length === 0) return halfFits ? [{ privateKey: undefined, bundle }] : [];
    return bundle.privateKeys
      .filter((object) => halfFits || fits(object))
      .map((privateKey) => ({ privateKey, bundle }));
  });
}

function firstOf({ privateKey, bundle }: Group): ListedObject {
  return privateKey ?? publicHalf(bundle)[0] ?? { handle: '', id: Buffer.alloc(0), label: '' };
}

function orderOf(group: Group): string {
  const { id, label } = firstOf(group);
  return `${id.toString('hex')} ${label}`;
}

/** Whether labels and ids stand for one key only, among all of a token. */
class Names {
  readonly #bundlesOfLabel = new Map<string, Set<Bundle>>();
  readonly #bundlesOfId = new Map<string, Set<Bundle>>();
  readonly #halfLabels = new Map<Bundle, ReadonlySet<string>>();
  readonly #keysOfLabel = new Map<Bundle, Map<string, number>>();

  constructor(bundles: readonly Bundle[]) {
    const note = (of: Map<string, Set<Bundle>>, name: string, bundle: Bundle): void => {
      const known = of.get(name) ?? new Set();
      of.set(name, known.add(bundle));
    };
    for (const bundle of bundles) {
      const keys = new Map<string, number>();
      for (const { label } of bundle.privateKeys) keys.set(label, (keys.get(label) ?? 0) + 1);
      this.#keysOfLabel.set(bundle, keys);
      this.#halfLabels.set(bundle, new Set(publicHalf(bundle).map(({ label }) => label)));
      for (const { id, label } of [...bundle.privateKeys, ...publicHalf(bundle)]) {
        note(this.#bundlesOfLabel, label, bundle);
        note(this.#bundlesOfId, id.toString('hex'), bundle);
      }
    }
  }

  /** All of a group's objects have this label. */
  isLabelOf(label: string, { bundle }: Group): boolean {
    return [...(this.#halfLabels.get(bundle) ?? [])].every((each) => each === label);
  }

  /** No other group's object has it. */
  isUniqueLabel(label: string, { bundle }: Group): boolean {
    if (this.#bundlesOfLabel.get(label)?.size !== 1) return false;
    if (bundle.privateKeys.length <= 1) return true;
    // the public half is that of the others too
    return this.#keysOfLabel.get(bundle)?.get(label) === 1 && this.#halfLabels.get(bundle)?.has(label) !== true;
  }

  isUniqueId(id: Buffer, { bundle }: Group): boolean {
    return this.#bundlesOfId.get(id.toString('hex'))?.size === 1 && bundle.privateKeys.length <= 1;
  }
}

/** Whether a URI can say a label: one that is not UTF-8 is not found again by it. */
export const isText = (label: string): boolean => label !== '' && !label.includes('\uFFFD');

function uriOf(group: Group, names: Names): ListedKey['uri'] {
  const { id, label } = firstOf(group);
  const isNamed = isText(label) && names.isLabelOf(label, group);
  // the label of a private key that was not seen may be another
  if (group.privateKey && isNamed && names.isUniqueLabel(label, group)) return { object: label };
  if (id.length > 0 && names.isUniqueId(id, group)) return { id };
  return { ...(isNamed && { object: label }), ...(id.length > 0 && { id }) };
}

/** The public half that is this key's: of several keys in a bundle only what the key's own public key tells. */
function halfOf(
  { privateKey, bundle }: Group,
  own: KeyObject | undefined,
): Pick<Bundle, 'publicKeys' | 'certificates'> {
  const { privateKeys, publicKeys, certificates } = bundle;
  if (!privateKey || privateKeys.length <= 1) return { publicKeys, certificates };
  if (publicKeys.length <= 1 && certificates.length <= 1) return { publicKeys, certificates };
  if (!own) return { publicKeys: [], certificates: [] };
  return { publicKeys: [], certificates: certificatesByKey(bundle).get(spkiOf(own)) ?? [] };
}

const spkiOf = (key: KeyObject): string => key.export({ type: 'spki', format: 'der' }).toString('base64');
const byKey = new WeakMap<Bundle, Map<string, ListedCertificate[]>>();

function certificatesByKey(bundle: Bundle): Map<string, ListedCertificate[]> {
  const known = byKey.get(bundle);
  if (known) return known;
  const made = new Map<string, ListedCertificate[]>();
  for (const object of bundle.certificates) {
    const name = spkiOf(object.certificate.publicKey);
    made.set(name, [...(made.get(name) ?? []), object]);
  }
  byKey.set(bundle, made);
  return made;
}

async function describe(at: Session, group: Group, names: Names, isComplete: boolean): Promise<ListedKey> {
  const { privateKey } = group;
  const value = privateKey && (await read(at, privateKey.handle, LIMITS));
  const limits = value && limitsOf(value);
  let publicKey = privateKey && (await readPublicKey(at, privateKey.handle, value?.(CKA.KEY_TYPE)));
  const half = halfOf(group, publicKey);
  for (const object of half.publicKeys) publicKey ??= await readPublicKey(at, object.handle);
  const certificates = newestFirst(
    half.certificates.map(({ certificate }) => certificate),
    Date.now(),
  );
  publicKey ??= certificates[0]?.publicKey;
  const { id, label } = firstOf(group);
  return {
    privateKey: privateKey ? 'present' : isComplete ? 'absent' : 'unseen',
    id,
    label: label === '' ? ([...half.publicKeys, ...half.certificates][0]?.label ?? '') : label,
    alwaysAuthenticate: limits?.alwaysAuthenticate,
    allowedMechanisms: limits?.allowedMechanisms,
    publicKey,
    certificates,
    uri: uriOf(group, names),
  };
}

/** Milliseconds that reading all of a token may take: one with thousands of objects behind a slow line. */
const PATIENCE = 120_000;

class Patience {
  readonly #clock: Clock;
  readonly #end: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#end = clock.now() + PATIENCE;
  }

  /** @throws AgentError ERR_MODULE_TIMEOUT if it is at its end */
  check({ host }: Session): void {
    if (this.#clock.now() < this.#end) return;
    throw new AgentError(
      'ERR_MODULE_TIMEOUT',
      `listing a token took the PKCS#11 module ${host.modulePath} longer than ${PATIENCE} ms`,
      { hint: 'name the key by its id= or object=' },
    );
  }
}

/**
 * The keys on a token that a URI fits, as far as the session shows them.
 * @param isComplete it shows all: this process is logged in, or need not be
 * @throws AgentError ERR_MODULE_LIMIT, ERR_MODULE_TIMEOUT if the list has no end that is near; ERR_TOKEN_*, ERR_MODULE_*
 */
export async function listKeys(
  at: Session,
  uri: Pkcs11Uri,
  isComplete: boolean,
  clock: Clock = SYSTEM_CLOCK,
): Promise<ListedKey[]> {
  const patience = new Patience(clock);
  const bundles = bundlesOf(
    await list(at, CKO.PRIVATE_KEY, patience),
    await list(at, CKO.PUBLIC_KEY, patience),
    await listCertificates(at, patience),
  );
  const names = new Names(bundles);
  const groups = groupsThatFit(uri, bundles).map((group) => ({ group, order: orderOf(group) }));
  // modules give their objects in any order
  groups.sort((one, other) => (one.order < other.order ? -1 : 1));
  const keys: ListedKey[] = [];
  for (const { group } of groups) {
    patience.check(at);
    keys.push(await describe(at, group, names, isComplete));
  }
  return keys;
}
