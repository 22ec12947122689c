import type { KeyObject } from 'node:crypto';
import { keyKind } from '../public-key.ts';
import type { SignatureRequest } from '../request.ts';
import { certificateOf } from './certificate.ts';
import { checkTls13, looksLikeTls13 } from './client-certificate-verify.ts';
import { Unfit, unfit } from './reader.ts';
import { checkTls13Scheme, checkTranscriptScheme } from './schemes.ts';
import { looksLikeTranscript, readTranscript, type Transcript, type TranscriptVersion } from './transcript.ts';

/** What can be seen of the use that a signature is for. */
export type SigningContext =
  /** Nothing: a hash, or a block made of one, may be of anything. */
  | { readonly kind: 'bare-digest' }
  /** A TLS 1.3 client's CertificateVerify. Of the handshake only a hash is seen. */
  | { readonly kind: 'client-certificate-verify'; readonly tls: '1.3' }
  /** An older one, of all messages before it. */
  | {
      readonly kind: 'client-certificate-verify';
      readonly tls: TranscriptVersion;
      readonly transcript: Transcript;
    }
  /** A message that no TLS client signs with this key. */
  | { readonly kind: 'other-message'; readonly why: string };

/** Of each key the certificate that was last seen to be of it: a daemon shows the same again and again. */
const OWN = new WeakMap<KeyObject, Buffer>();

function isOwn(certificate: Buffer, key: KeyObject): boolean {
  if (OWN.get(key)?.equals(certificate) === true) return true;
  try {
    if (!certificateOf(certificate).publicKey.equals(key)) return false;
  } catch {
    return false;
  }
  OWN.set(key, Buffer.from(certificate));
  return true;
}

/** @throws Unfit */
function readMessage(message: Buffer, request: SignatureRequest, key: KeyObject): SigningContext {
  if (looksLikeTls13(message)) {
    checkTls13(message);
    checkTls13Scheme(request, keyKind(key));
    return { kind: 'client-certificate-verify', tls: '1.3' };
  }
  if (!looksLikeTranscript(message)) unfit('it does not begin as one');
  const transcript = readTranscript(message);
  checkTranscriptScheme(request, transcript.version, transcript.acceptedSchemes);
  const [own] = transcript.clientCertificates;
  if (!own || !isOwn(own, key)) unfit("the client's certificate is not of this key");
  return { kind: 'client-certificate-verify', tls: transcript.version, transcript };
}

/**
 * What a request is for, as far as it can be seen: in whole messages only.
 * @param key the public key that is to sign
 */
export function contextOf(request: SignatureRequest, key: KeyObject): SigningContext {
  if (request.message === undefined) return { kind: 'bare-digest' };
  try {
    return readMessage(request.message, request, key);
  } catch (error) {
    if (error instanceof Unfit) return { kind: 'other-message', why: error.message };
    throw error;
  }
}
