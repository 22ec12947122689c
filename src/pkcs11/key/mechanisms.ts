import { AgentError } from '../../errors.ts';
import { encodeEmsaPkcs1 } from '../../signing/emsa-pkcs1.ts';
import { encodeEmsaPss } from '../../signing/emsa-pss.ts';
import { CURVES } from '../../signing/curves.ts';
import type { HashName } from '../../signing/hashes.ts';
import type { KeyKind } from '../../signing/public-key.ts';
import type { SignatureRequest } from '../../signing/request.ts';
import { CKM, PSS_HASHES } from '../constants.ts';
import type { Mechanism, PssParameters } from '../host/protocol.ts';

/** One way to get a signature out of a token. */
export interface SigningWay {
  /** For the log: what pksigd does itself, if anything, and the mechanism's name. */
  readonly name: string;
  /** The same for all that a module can tell no difference between; it may refuse, or get wrong, one and not another. */
  readonly id: string;
  /** The encoding that pksigd does itself. */
  readonly software?: string;
  readonly mechanismName: string;
  readonly mechanism: Mechanism;
  /** What goes to C_Sign; encoded only when the way is taken. */
  readonly data: () => Buffer;
}

type PlainHash = Exclude<HashName, 'MD5-SHA1'>;

/** The mechanisms that hash by themselves (PKCS#11 v3.1 sections 6.1.12, 6.1.13, 6.3.12), where the message is known. */
const HASHING = {
  PKCS1: {
    SHA1: CKM.SHA1_RSA_PKCS,
    SHA224: CKM.SHA224_RSA_PKCS,
    SHA256: CKM.SHA256_RSA_PKCS,
    SHA384: CKM.SHA384_RSA_PKCS,
    SHA512: CKM.SHA512_RSA_PKCS,
  },
  PSS: {
    SHA1: CKM.SHA1_RSA_PKCS_PSS,
    SHA224: CKM.SHA224_RSA_PKCS_PSS,
    SHA256: CKM.SHA256_RSA_PKCS_PSS,
    SHA384: CKM.SHA384_RSA_PKCS_PSS,
    SHA512: CKM.SHA512_RSA_PKCS_PSS,
  },
  ECDSA: {
    SHA1: CKM.ECDSA_SHA1,
    SHA224: CKM.ECDSA_SHA224,
    SHA256: CKM.ECDSA_SHA256,
    SHA384: CKM.ECDSA_SHA384,
    SHA512: CKM.ECDSA_SHA512,
  },
} as const satisfies Record<string, Record<PlainHash, number>>;

const NAMES = new Map<number, string>(Object.entries(CKM).map(([name, type]) => [type, `CKM_${name}`]));

/**
 * @param input what the module can see of the data, and may treat in a way of its own: ykcs11 takes PSS with SHA-1 and not
 *   with SHA-224, others sign MD5-SHA1 as if it were another hash
 */
function way(mechanism: Mechanism, data: () => Buffer, input: string | number = '', software?: string): SigningWay {
  const mechanismName = NAMES.get(mechanism.type) ?? '';
  const name = software === undefined ? mechanismName : `${software} + ${mechanismName}`;
  const id = JSON.stringify([name, mechanism.pss ?? null, input]);
  return { name, id, ...(software !== undefined && { software }), mechanismName, mechanism, data };
}

/** The token hashes the message itself: only where we have it, and where the hash is one of its own. */
function hashingWay(
  mechanisms: Readonly<Record<PlainHash, number>>,
  hash: HashName | undefined,
  message: Buffer | undefined,
  pss?: (hash: PlainHash) => PssParameters,
): SigningWay[] {
  if (!message || hash === undefined || hash === 'MD5-SHA1') return [];
  return [way({ type: mechanisms[hash], ...(pss && { pss: pss(hash) }) }, () => message)];
}

/**
 * Modules of cloud services want a digest as long as the hash that goes with the curve. Zeros before a shorter one do not
 * change its number (FIPS 186-5 section 6.4.1); as long as the order of P-521 they would.
 */
function paddedWay(digest: Buffer, kind: KeyKind): SigningWay[] {
  const lack = kind.type === 'EC' ? CURVES[kind.curve].hash.length - digest.length : 0;
  if (lack <= 0) return [];
  return [way({ type: CKM.ECDSA }, () => Buffer.concat([Buffer.alloc(lack), digest]), digest.length, 'zeros')];
}

/**
 * The ways to sign a request with a key of this kind, best first: a mechanism of its own, one that hashes by itself, then
 * an encoding in software and raw RSA (CKM_RSA_X_509, always with input as long as the modulus: ykcs11 and tpm2-pkcs11
 * take nothing shorter).
 */
export function signingWays(request: SignatureRequest, kind: KeyKind): SigningWay[] {
  const { modulusBits, modulusBytes } = kind.type === 'RSA' ? kind : { modulusBits: 0, modulusBytes: 0 };
  const raw = { type: CKM.RSA_X_509 };
  const { message } = request;
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING': {
      const { encoded, hash } = request.digestInfo;
      return [
        way({ type: CKM.RSA_PKCS }, () => encoded, hash.name),
        ...hashingWay(HASHING.PKCS1, hash.name, message),
        way(raw, () => encodeEmsaPkcs1(encoded, modulusBytes), '', 'EMSA-PKCS1-v1_5'),
      ];
    }
    case 'RSA_PKCS1_PSS_PADDING': {
      const { hash, digest, saltLength } = request;
      const parameters = (name: PlainHash): PssParameters => ({ ...PSS_HASHES[name], saltLen: saltLength });
      const { name } = hash;
      return [
        ...(name === 'MD5-SHA1' ? [] : [way({ type: CKM.RSA_PKCS_PSS, pss: parameters(name) }, () => digest)]),
        way(raw, () => encodeEmsaPss(hash, digest, saltLength, modulusBits), '', 'EMSA-PSS'),
        ...hashingWay(HASHING.PSS, name, message, parameters),
      ];
    }
    case 'RSA_NO_PADDING':
      return [way(raw, () => request.block)];
    case 'ECDSA': {
      const { digest } = request;
      return [
        way({ type: CKM.ECDSA }, () => digest, digest.length),
        ...hashingWay(HASHING.ECDSA, request.hash?.name, message),
        ...paddedWay(digest, kind),
      ];
    }
    case 'ED25519':
    case 'ED448':
      return [way({ type: CKM.EDDSA }, () => request.message)];
  }
}

/** Whether a token that lists these mechanisms (CKM_*) can sign such a request, by what it says of itself. */
export function canSignBy(listed: ReadonlySet<number>, kind: KeyKind, request: SignatureRequest): boolean {
  return signingWays(request, kind).some(({ mechanism }) => listed.has(mechanism.type));
}

/**
 * Whether a key might sign such a request: tokens may do more than they list.
 * @param allowed CKA_ALLOWED_MECHANISMS; undefined where the key does not limit them, or that is not known
 */
export function maySignBy(allowed: ReadonlySet<number> | undefined, kind: KeyKind, request: SignatureRequest): boolean {
  return signingWays(request, kind).some(({ mechanism }) => allowed?.has(mechanism.type) ?? true);
}

/** What the operator can change in the .ovpn so that such a key is asked for something else. */
export function remedy(request: SignatureRequest, listed: ReadonlySet<number>): string | undefined {
  const lists = (mechanisms: Readonly<Record<string, number>>): boolean =>
    Object.values(mechanisms).some((type) => listed.has(type));
  switch (request.scheme) {
    case 'RSA_PKCS1_PSS_PADDING':
      if (!request.message && lists(HASHING.PSS))
        return "add 'digest' to management-external-key: the token hashes itself";
      return listed.has(CKM.RSA_PKCS)
        ? "write 'management-external-key pkcs1' and 'tls-version-max 1.2', if the server takes PKCS #1 v1.5"
        : undefined;
    case 'RSA_PKCS1_PADDING':
      return !request.message && lists(HASHING.PKCS1) ? "add 'digest' to management-external-key" : undefined;
    case 'RSA_NO_PADDING':
      return "leave 'nopadding' out of management-external-key";
    case 'ECDSA':
      return !request.message && lists(HASHING.ECDSA) ? "add 'digest' to management-external-key" : undefined;
    case 'ED25519':
    case 'ED448':
      return undefined;
  }
}

/** The error for a request that none of its ways can serve on this token. */
export function noWay(
  request: SignatureRequest,
  ways: readonly SigningWay[],
  listed: ReadonlySet<number>,
  keyName: string,
): AgentError {
  const wanted = ways.map(({ name }) => name).join(' or ');
  const hint = remedy(request, listed);
  return new AgentError(
    'ERR_SCHEME_UNSUPPORTED',
    `${keyName} can't sign ${request.scheme}: its token does no ${wanted}`,
    {
      ...(hint !== undefined && { hint }),
    },
  );
}
