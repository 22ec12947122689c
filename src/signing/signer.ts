// Signing: what may be signed, how it is encoded and verified, without any key or daemon. Pure, for all who have keys.
// This file: the interface of a key, and the one way to a signature that leaves.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { unlessAborted } from '../promises.ts';
import { encodeEcdsaDer } from './ecdsa-der.ts';
import { type KeyKind, keyKind } from './public-key.ts';
import type { SignatureRequest } from './request.ts';
import { SIGNATURE_SCHEMES } from './schemes.ts';

/** A signature as a key gives it: raw (r‖s for ECDSA), and how it came about, for the log. */
export interface RawSignature {
  readonly bytes: Buffer;
  /** The PKCS#11 mechanism, or the library that signed. */
  readonly mechanism: string;
  /** The name of the copy that signed, where the key has several. */
  readonly copy?: string | undefined;
}

/** Whether a key can sign now, for keys that may go away for a while: those in tokens. */
export interface Availability {
  /** Resolves when the key can sign: at once, unless it is away. */
  ready(): Promise<void>;
  /** Calls whenever the key goes away, until the key is disposed of. @returns its undoing */
  onLost(listener: () => void): () => void;
}

/** A private key that is ready to sign, wherever it lives. */
export interface Signer extends AsyncDisposable {
  /** The key in log lines and errors: a file's path, or a pkcs11: URI. Never a secret in it. */
  readonly name: string;
  readonly publicKey: KeyObject;
  /** The certificates that came with the key (same CKA_ID on the token, or in the same file), its own first; often none. */
  readonly certificates: readonly X509Certificate[];
  /**
   * The certificates that come with the key, read anew, with those that lead to its root; absent where they never change.
   * @throws AgentError with reason `key-changed` if the key itself is another one; ERR_CERTIFICATE_*, and what opening throws
   */
  readCertificates?(): Promise<readonly X509Certificate[]>;
  /** Absent for a key that can always sign. */
  readonly availability?: Availability;
  /**
   * Signs; the caller verifies, as {@link createSignature} does.
   * @param signal aborts when the signature is not wanted any more: work that has not begun need not begin
   * @throws AgentError ERR_KEY_*, ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*, ERR_SCHEME_UNSUPPORTED, ERR_ABORTED
   */
  sign(request: SignatureRequest, signal?: AbortSignal): Promise<RawSignature>;
  /** Can it sign such a request, as far as is known without trying? */
  canSign(request: SignatureRequest): boolean;
  /** Might it sign such a request although {@link canSign} says no? Trying tells; absent where that is known. */
  maySign?(request: SignatureRequest): boolean;
}

/** A signature as OpenVPN wants it: DER for ECDSA, as it came for the rest. Verified. */
export interface Signature {
  readonly bytes: Buffer;
  readonly mechanism: string;
  readonly copy?: string | undefined;
}

/** A raw signature that its public key has verified. Only {@link verifySignature} makes them. */
export class VerifiedSignature implements RawSignature {
  readonly bytes: Buffer;
  readonly mechanism: string;
  readonly copy: string | undefined;
  readonly #request: SignatureRequest;
  readonly #publicKey: KeyObject;

  private constructor({ bytes, mechanism, copy }: RawSignature, request: SignatureRequest, publicKey: KeyObject) {
    // a copy: what was verified is what leaves
    this.bytes = Buffer.from(bytes);
    this.mechanism = mechanism;
    this.copy = copy;
    this.#request = request;
    this.#publicKey = publicKey;
  }

  /** @returns undefined if the public key does not verify it */
  static of(signature: RawSignature, request: SignatureRequest, publicKey: KeyObject): VerifiedSignature | undefined {
    const isVerified =
      signature instanceof VerifiedSignature &&
      signature.#request === request &&
      signature.#publicKey.equals(publicKey);
    if (isVerified) return signature;
    const kind = keyKind(publicKey);
    const verified = new VerifiedSignature(wholeSignature(signature, kind), request, publicKey);
    const isGood = SIGNATURE_SCHEMES[request.scheme].verify(request, verified.bytes, publicKey, kind);
    return isGood ? verified : undefined;
  }
}

/** An RSA signature is a number as long as the modulus (RFC 8017 section 4.1). Some tokens and agents leave out its leading zeros. */
function wholeSignature(signature: RawSignature, kind: KeyKind): RawSignature {
  const lacks = kind.type === 'RSA' ? kind.modulusBytes - signature.bytes.length : 0;
  return lacks > 0 ? { ...signature, bytes: Buffer.concat([Buffer.alloc(lacks), signature.bytes]) } : signature;
}

/**
 * Checks a raw signature: a glitching token, or a certificate of another key, shows as our error and not as a puzzling TLS
 * alert a minute later. One that was verified for the same request and key is not verified again.
 * @throws AgentError ERR_SIGNATURE_INVALID
 */
export function verifySignature(
  { publicKey, name }: Pick<Signer, 'publicKey' | 'name'>,
  request: SignatureRequest,
  signature: RawSignature,
): VerifiedSignature {
  const verified = VerifiedSignature.of(signature, request, publicKey);
  if (verified) return verified;
  throw new AgentError('ERR_SIGNATURE_INVALID', `${name} gave a signature that its public key does not verify`, {
    hint: `the token is faulty or does not do ${signature.mechanism} as it says`,
  });
}

/**
 * Signs and verifies, for as long as the signature is wanted: whatever the key is doing then is left to itself.
 * @throws AgentError ERR_SIGNATURE_INVALID, ERR_ABORTED at the signal, and what {@link Signer.sign} throws
 */
export async function signVerified(
  signer: Signer,
  request: SignatureRequest,
  signal?: AbortSignal,
): Promise<VerifiedSignature> {
  const signing = signer.sign(request, signal);
  return verifySignature(signer, request, signal ? await unlessAborted(signing, signal) : await signing);
}

/**
 * Signs, verifies, and encodes for OpenVPN.
 * @throws AgentError as {@link signVerified} does
 */
export async function createSignature(
  signer: Signer,
  request: SignatureRequest,
  signal?: AbortSignal,
): Promise<Signature> {
  return encodeSignature(request, await signVerified(signer, request, signal));
}

/** Encodes a verified signature as OpenVPN wants it. */
export function encodeSignature({ scheme }: SignatureRequest, signature: VerifiedSignature): Signature {
  const { bytes, mechanism, copy } = signature;
  return { bytes: scheme === 'ECDSA' ? encodeEcdsaDer(bytes) : bytes, mechanism, ...(copy !== undefined && { copy }) };
}
