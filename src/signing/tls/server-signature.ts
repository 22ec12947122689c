import { constants, verify, type KeyObject } from 'node:crypto';
import type { Transcript } from './transcript.ts';

const HASHES: ReadonlyMap<number, string> = new Map([
  [1, 'md5'],
  [2, 'sha1'],
  [3, 'sha224'],
  [4, 'sha256'],
  [5, 'sha384'],
  [6, 'sha512'],
]);
/** RSASSA-PSS by the codes of TLS: with keys of RSA's own OID, and of that of PSS. */
const PSS: ReadonlyMap<number, string> = new Map([
  [0x0804, 'sha256'],
  [0x0805, 'sha384'],
  [0x0806, 'sha512'],
  [0x0809, 'sha256'],
  [0x080a, 'sha384'],
  [0x080b, 'sha512'],
]);
const EDDSA: readonly number[] = [0x0807, 0x0808];

/** How a scheme's code has it verified; undefined for codes that are not known. */
function verifierOf(scheme: number | undefined, key: KeyObject): [string | null, object] | undefined {
  // before TLS 1.2 the key alone says it
  if (scheme === undefined) return [key.asymmetricKeyType === 'rsa' ? 'md5-sha1' : 'sha1', {}];
  if (EDDSA.includes(scheme)) return [null, {}];
  const pss = PSS.get(scheme);
  if (pss !== undefined)
    return [pss, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }];
  const hash = HASHES.get(scheme >> 8);
  return hash === undefined ? undefined : [hash, {}];
}

/**
 * Did the server with this key take part in the handshake? It signs both ends' random numbers and its share of the secret (RFC 5246
 * section 7.4.3).
 * @returns undefined where the key exchange is RSA, in which a server signs nothing
 */
export function isSignedByServer(transcript: Transcript, key: KeyObject): boolean | undefined {
  const { clientRandom, serverRandom, serverKeyExchange } = transcript;
  if (!serverKeyExchange) return undefined;
  const { params, scheme, signature } = serverKeyExchange;
  const verifier = verifierOf(scheme, key);
  if (!verifier) return false;
  const [hash, options] = verifier;
  try {
    return verify(hash, Buffer.concat([clientRandom, serverRandom, params]), { key, ...options }, signature);
  } catch {
    return false; // the scheme is not one for this key
  }
}
