import type { HashName } from '../hashes.ts';
import type { CurveName, KeyKind } from '../public-key.ts';
import type { SignatureRequest } from '../request.ts';
import { unfit } from './reader.ts';
import type { TranscriptVersion } from './transcript.ts';

/** The low byte or the high one of a signature scheme's code, by hash (RFC 5246 section 7.4.1.4.1, RFC 8446 section 4.2.3). */
const HASH_CODES: Readonly<Partial<Record<HashName, number>>> = { SHA1: 2, SHA224: 3, SHA256: 4, SHA384: 5, SHA512: 6 };
const RSA = 1;
const ECDSA = 3;
const PSS_CODES: Readonly<Partial<Record<HashName, number>>> = { SHA256: 0x0804, SHA384: 0x0805, SHA512: 0x0806 };
/** TLS 1.3 binds the curve to the hash (of Brainpool's curves RFC 8734), and has no secp256k1. */
const CURVE_HASHES: Readonly<Record<CurveName, HashName | 'none'>> = {
  'P-256': 'SHA256',
  'P-384': 'SHA384',
  'P-521': 'SHA512',
  secp256k1: 'none',
  brainpoolP256r1: 'SHA256',
  brainpoolP384r1: 'SHA384',
  brainpoolP512r1: 'SHA512',
};

/** The code of the scheme that a request is for, in TLS 1.2 and 1.3; undefined if TLS has none for it. */
function schemeCode(request: SignatureRequest): number | undefined {
  const coded = (hash: HashName | undefined, low: number): number | undefined => {
    const high = hash && HASH_CODES[hash];
    return high === undefined ? undefined : (high << 8) | low;
  };
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING':
      return coded(request.digestInfo.hash.name, RSA);
    case 'RSA_PKCS1_PSS_PADDING':
      return request.saltLength === request.hash.length ? PSS_CODES[request.hash.name] : undefined;
    case 'ECDSA':
      return coded(request.hash?.name, ECDSA);
    case 'ED25519':
      return 0x0807;
    case 'ED448':
      return 0x0808;
    case 'RSA_NO_PADDING':
      return undefined;
  }
}

/** @throws Unfit if a client does not sign so in TLS 1.3 (RFC 8446 section 4.2.3) */
export function checkTls13Scheme(request: SignatureRequest, kind: KeyKind): void {
  const isRight =
    request.scheme !== 'RSA_PKCS1_PADDING' &&
    schemeCode(request) !== undefined &&
    (request.scheme !== 'ECDSA' || (kind.type === 'EC' && request.hash?.name === CURVE_HASHES[kind.curve]));
  if (!isRight) unfit(`${request.algorithmText} is no scheme of TLS 1.3 for this key`);
}

/**
 * @param accepted codes of what the server takes; undefined before TLS 1.2, where the key says what is signed (RFC 4346 section 7.4.8)
 * @throws Unfit if a client does not sign so
 */
export function checkTranscriptScheme(
  request: SignatureRequest,
  version: TranscriptVersion,
  accepted: readonly number[] | undefined,
): void {
  if (accepted === undefined) {
    const isRight =
      request.scheme === 'RSA_PKCS1_PADDING'
        ? request.digestInfo.hash.name === 'MD5-SHA1'
        : request.scheme === 'ECDSA' && request.hash?.name === 'SHA1';
    if (!isRight) unfit(`${request.algorithmText} is no scheme of TLS ${version}`);
    return;
  }
  const code = schemeCode(request);
  if (code === undefined || !accepted.includes(code))
    unfit(`${request.algorithmText} is no scheme that the server takes`);
}
