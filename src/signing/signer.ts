import type { KeyObject, X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { encodeEcdsaDer } from './ecdsa-der.ts';
import { keyKind } from './public-key.ts';
import type { SignatureRequest } from './request.ts';
import { SIGNATURE_SCHEMES } from './schemes.ts';

/** What a key gives back: the raw signature (r‖s for ECDSA), and how it came about, for the log. */
export interface RawSignature {
  readonly bytes: Buffer;
  /** The PKCS#11 mechanism, or the library that signed. */
  readonly mechanism: string;
}

/** A private key that is ready to sign, wherever it lives. */
export interface Signer extends AsyncDisposable {
  /** The key in log lines and errors: a file's path, or a pkcs11: URI. Never a secret in it. */
  readonly name: string;
  readonly publicKey: KeyObject;
  /** What came with the key (same CKA_ID on the token, or in the same file), its own certificate first; often none. */
  readonly certificates: readonly X509Certificate[];
  /**
   * Signs; the caller verifies.
   * @param signal nobody wants the signature any more: a request that still waits for its turn gives it up
   * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*, ERR_SCHEME_UNSUPPORTED, ERR_ABORTED
   */
  sign(request: SignatureRequest, signal?: AbortSignal): Promise<RawSignature>;
  /** Can it sign such a request, as far as is known without trying? */
  canSign(request: SignatureRequest): boolean;
  /** Resolves when the key can sign: at once, unless its token is away. */
  ready(): Promise<void>;
  /** Calls whenever the key's token goes away, until the key is disposed of. @returns its undoing */
  onLost(listener: () => void): () => void;
}

/** A signature as OpenVPN wants it: DER for ECDSA, as it came for the rest. Verified. */
export interface Signature {
  readonly bytes: Buffer;
  readonly mechanism: string;
}

/**
 * Checks a raw signature: a glitching token, or a certificate of another key, shows as our error and not as a puzzling TLS
 * alert a minute later.
 * @throws AgentError ERR_SIGNATURE_INVALID
 */
export function verifySignature(signer: Signer, request: SignatureRequest, { bytes, mechanism }: RawSignature): void {
  const { publicKey, name } = signer;
  if (SIGNATURE_SCHEMES[request.scheme].verify(request, bytes, publicKey, keyKind(publicKey))) return;
  throw new AgentError('ERR_SIGNATURE_INVALID', `${name} gave a signature that its public key does not verify`, {
    hint: `the token is faulty or does not do ${mechanism} as it says`,
  });
}

/**
 * Signs, checks, and encodes for OpenVPN.
 * @throws AgentError ERR_SIGNATURE_INVALID, and what {@link Signer.sign} throws
 */
export async function createSignature(
  signer: Signer,
  request: SignatureRequest,
  signal?: AbortSignal,
): Promise<Signature> {
  const signature = await signer.sign(request, signal);
  verifySignature(signer, request, signature);
  const { bytes, mechanism } = signature;
  return { bytes: request.scheme === 'ECDSA' ? encodeEcdsaDer(bytes) : bytes, mechanism };
}
