import { constants, publicDecrypt, verify, type KeyObject } from 'node:crypto';
import { AgentError } from '../errors.ts';
import type { Algorithm, SchemeName } from './algorithm-text.ts';
import { verifyEcdsaDigest } from './ecdsa.ts';
import { decodeEmsaPkcs1, encodeDigestInfo, encodeEmsaPkcs1, parseDigestInfo, type DigestInfo } from './emsa-pkcs1.ts';
import { maxSaltLength, readEmsaPss, verifyEmsaPss } from './emsa-pss.ts';
import type { Hash } from './hashes.ts';
import type { KeyKind } from './public-key.ts';
import type { EddsaRequest, SignatureRequest } from './request.ts';

type RequestOf<Name extends SignatureRequest['scheme']> = Extract<SignatureRequest, { scheme: Name }>;
type KindOf<Type extends KeyKind['type']> = Extract<KeyKind, { type: Type }>;
/** The algorithm as parsed or deduced, with its text for the request. */
type NamedAlgorithm = Algorithm & { readonly text: string };

/** Everything that pksigd knows about one signature scheme. */
interface SchemeEntry<Name extends SchemeName, Type extends KeyKind['type'], Built extends SignatureRequest> {
  readonly keyType: Type;
  /** Checks what the daemon sent; throws AgentError ERR_REQUEST_*. */
  build(tbs: Buffer, algorithm: NamedAlgorithm, kind: KindOf<Type>): Built;
  /** Does this raw signature (r‖s for ECDSA) fit the request and the key? */
  verify(request: RequestOf<Name>, signature: Buffer, key: KeyObject, kind: KindOf<Type>): boolean;
}

function common(tbs: Buffer, { dataKind, text }: NamedAlgorithm) {
  return { tbs, dataKind, algorithmText: text, ...(dataKind === 'message' && { message: tbs }) } as const;
}

/** The digest to sign: of the message, or as given, with the length that its hash has. */
function digestOf(tbs: Buffer, hash: Hash, dataKind: Algorithm['dataKind']): Buffer {
  if (dataKind === 'message') return hash.digest(tbs);
  if (tbs.length !== hash.length) {
    throw new AgentError(
      'ERR_REQUEST_LENGTH',
      `${tbs.length} bytes are not a ${hash.name} digest (${hash.length} bytes)`,
    );
  }
  return tbs;
}

function digestInfoOf(tbs: Buffer, { hash, dataKind }: Algorithm): DigestInfo {
  // a bare digest of MD5-SHA1 is its own DigestInfo, and looked at as such
  const isBare = tbs.length === hash?.length && hash.digestInfoPrefix.length > 0;
  if (hash && (dataKind === 'message' || isBare)) return encodeDigestInfo(hash, digestOf(tbs, hash, dataKind));
  const digestInfo = parseDigestInfo(tbs);
  if (hash && digestInfo.hash !== hash) {
    throw new AgentError(
      'ERR_REQUEST_DIGEST_INFO',
      `hashalg=${hash.name}, but the DigestInfo is of ${digestInfo.hash.name}`,
    );
  }
  return digestInfo;
}

/** The RSA public operation, not unpadded; undefined where the signature can't be one (wrong length, too large). */
function rsaRecover(key: KeyObject, signature: Buffer, modulusBytes: number): Buffer | undefined {
  // OpenSSL takes one whose leading zeros are missing
  if (signature.length !== modulusBytes) return undefined;
  try {
    return publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, signature);
  } catch {
    return undefined;
  }
}

const rsaPkcs1: SchemeEntry<'RSA_PKCS1_PADDING', 'RSA', RequestOf<'RSA_PKCS1_PADDING'>> = {
  keyType: 'RSA',
  build(tbs, algorithm, kind) {
    const digestInfo = digestInfoOf(tbs, algorithm);
    encodeEmsaPkcs1(digestInfo.encoded, kind.modulusBytes); // refuses a modulus that is too short
    return { scheme: 'RSA_PKCS1_PADDING', digestInfo, ...common(tbs, algorithm) };
  },
  verify({ digestInfo }, signature, key, { modulusBytes }) {
    return rsaRecover(key, signature, modulusBytes)?.equals(encodeEmsaPkcs1(digestInfo.encoded, modulusBytes)) ?? false;
  },
};

const rsaPss: SchemeEntry<'RSA_PKCS1_PSS_PADDING', 'RSA', RequestOf<'RSA_PKCS1_PSS_PADDING'>> = {
  keyType: 'RSA',
  build(tbs, algorithm, { modulusBits }) {
    const { hash, saltLength: asked } = algorithm;
    if (!hash || asked === undefined)
      throw new AgentError('ERR_REQUEST_ALGORITHM', 'PSS needs a hash and a salt length');
    const max = maxSaltLength(hash, modulusBits);
    const saltLength = asked === 'digest' ? hash.length : asked === 'max' ? max : asked;
    if (saltLength > max || max < 0) {
      throw new AgentError(
        'ERR_REQUEST_SALT',
        `saltlen=${asked} with ${hash.name} does not fit a ${modulusBits}-bit modulus`,
      );
    }
    const digest = digestOf(tbs, hash, algorithm.dataKind);
    return { scheme: 'RSA_PKCS1_PSS_PADDING', hash, digest, saltLength, ...common(tbs, algorithm) };
  },
  verify({ hash, digest, saltLength }, signature, key, { modulusBits, modulusBytes }) {
    const block = rsaRecover(key, signature, modulusBytes);
    return block !== undefined && verifyEmsaPss(hash, digest, saltLength, block, modulusBits);
  },
};

const rsaBlock: SchemeEntry<'RSA_NO_PADDING', 'RSA', RequestOf<'RSA_NO_PADDING' | 'RSA_PKCS1_PADDING'>> = {
  keyType: 'RSA',
  build(tbs, algorithm, { modulusBits, modulusBytes }) {
    if (tbs.length !== modulusBytes) {
      throw new AgentError(
        'ERR_REQUEST_LENGTH',
        `RSA_NO_PADDING with ${tbs.length} bytes, the modulus has ${modulusBytes}`,
      );
    }
    // the same signature by the operation that every token offers
    const digestInfo = decodeEmsaPkcs1(tbs);
    if (digestInfo) return { scheme: 'RSA_PKCS1_PADDING', digestInfo, ...common(tbs, algorithm) };
    const madeWith = readEmsaPss(tbs, modulusBits);
    if (!madeWith) {
      throw new AgentError(
        'ERR_REQUEST_PADDING',
        'RSA_NO_PADDING with a block that is neither EMSA-PKCS1-v1_5 nor EMSA-PSS',
      );
    }
    return { scheme: 'RSA_NO_PADDING', block: tbs, ...madeWith, ...common(tbs, algorithm) };
  },
  verify: ({ block }, signature, key, { modulusBytes }) =>
    rsaRecover(key, signature, modulusBytes)?.equals(block) ?? false,
};

const ecdsa: SchemeEntry<'ECDSA', 'EC', RequestOf<'ECDSA'>> = {
  keyType: 'EC',
  build(tbs, algorithm, { orderBytes }) {
    const { hash, dataKind } = algorithm;
    if (!hash && (tbs.length < 20 || tbs.length > 64)) {
      throw new AgentError('ERR_REQUEST_LENGTH', `${tbs.length} bytes are not a digest for ECDSA (20 to 64 bytes)`);
    }
    // FIPS 186-5 section 6.4.1: the leftmost bits. Some tokens don't truncate, or sign the wrong ones
    const digest = (hash ? digestOf(tbs, hash, dataKind) : tbs).subarray(0, orderBytes);
    return { scheme: 'ECDSA', digest, ...(hash && { hash }), ...common(tbs, algorithm) };
  },
  verify({ digest, hash, message }, signature, key, kind) {
    if (signature.length !== 2 * kind.orderBytes) return false;
    return hash && message
      ? verify(hash.name, message, { key, dsaEncoding: 'ieee-p1363' }, signature)
      : verifyEcdsaDigest(kind.curve, digest, signature, key);
  },
};

type EddsaName = EddsaRequest['scheme'];
function eddsa<Name extends EddsaName>(name: Name): SchemeEntry<EddsaName, Name, EddsaRequest> {
  return {
    keyType: name,
    build: (tbs, algorithm) => ({ scheme: name, ...common(tbs, { ...algorithm, dataKind: 'message' }), message: tbs }),
    verify: ({ message }, signature, key) => verify(null, message, key, signature),
  };
}

/** The scheme as callers see it: one type for all, the kinds matched by the caller that looks it up. */
export interface SignatureScheme {
  readonly keyType: KeyKind['type'];
  build(tbs: Buffer, algorithm: NamedAlgorithm, kind: KeyKind): SignatureRequest;
  verify(request: SignatureRequest, signature: Buffer, key: KeyObject, kind: KeyKind): boolean;
}

/** All signature schemes, by OpenVPN's names. Look up only names that {@link SchemeName} allows. */
export const SIGNATURE_SCHEMES: Readonly<Record<SchemeName, SignatureScheme>> = {
  RSA_PKCS1_PADDING: rsaPkcs1,
  RSA_NO_PADDING: rsaBlock,
  RSA_PKCS1_PSS_PADDING: rsaPss,
  ECDSA: ecdsa,
  ED25519: eddsa('ED25519'),
  ED448: eddsa('ED448'),
};
