import { AgentError } from '../errors.ts';
import { encodeEmsaPkcs1 } from '../signing/emsa-pkcs1.ts';
import { encodeEmsaPss } from '../signing/emsa-pss.ts';
import type { KeyKind } from '../signing/public-key.ts';
import type { SignatureRequest } from '../signing/request.ts';
import { CKM, PSS_HASHES } from './constants.ts';
import type { Mechanism } from './protocol.ts';

/** One way to get a signature out of a token. */
export interface SigningWay {
  /** For the log: the mechanism's name, and what pksigd does itself. */
  readonly name: string;
  readonly mechanism: Mechanism;
  /** What goes to C_Sign; encoded only when the way is taken. */
  readonly data: () => Buffer;
}

/**
 * The ways to sign a request with a key of this kind, best first: a mechanism of its own, then an encoding in software and
 * raw RSA (CKM_RSA_X_509, always with input as long as the modulus: ykcs11 and tpm2-pkcs11 take nothing shorter).
 */
export function signingWays(request: SignatureRequest, kind: KeyKind): SigningWay[] {
  const raw = (name: string, data: () => Buffer): SigningWay => ({ name, mechanism: { type: CKM.RSA_X_509 }, data });
  const { modulusBits, modulusBytes } = kind.type === 'RSA' ? kind : { modulusBits: 0, modulusBytes: 0 };
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING': {
      const { encoded } = request.digestInfo;
      return [
        { name: 'CKM_RSA_PKCS', mechanism: { type: CKM.RSA_PKCS }, data: () => encoded },
        raw('EMSA-PKCS1-v1_5 + CKM_RSA_X_509', () => encodeEmsaPkcs1(encoded, modulusBytes)),
      ];
    }
    case 'RSA_PKCS1_PSS_PADDING': {
      const { hash, digest, saltLength } = request;
      const software = raw('EMSA-PSS + CKM_RSA_X_509', () => encodeEmsaPss(hash, digest, saltLength, modulusBits));
      if (hash.name === 'MD5-SHA1') return [software];
      const pss = { ...PSS_HASHES[hash.name], saltLen: saltLength };
      return [{ name: 'CKM_RSA_PKCS_PSS', mechanism: { type: CKM.RSA_PKCS_PSS, pss }, data: () => digest }, software];
    }
    case 'RSA_NO_PADDING':
      return [raw('CKM_RSA_X_509', () => request.block)];
    case 'ECDSA':
      return [{ name: 'CKM_ECDSA', mechanism: { type: CKM.ECDSA }, data: () => request.digest }];
    case 'ED25519':
    case 'ED448':
      return [{ name: 'CKM_EDDSA', mechanism: { type: CKM.EDDSA }, data: () => request.message }];
  }
}

/** The error for a request that none of its ways can serve on this token. */
export function noWay(request: SignatureRequest, ways: readonly SigningWay[], keyName: string): AgentError {
  const wanted = ways.map(({ name }) => name).join(' or ');
  return new AgentError('ERR_SCHEME_UNSUPPORTED', `${keyName} can't sign ${request.scheme}: its token lacks ${wanted}`);
}
