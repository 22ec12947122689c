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
/** Which keys have the schemes of RFC 5246 (section 7.4.1.4.1), by the low byte of their codes. */
const KEYS: ReadonlyMap<number, KeyObject['asymmetricKeyType']> = new Map([
  [1, 'rsa'],
  [2, 'dsa'],
  [3, 'ec'],
]);
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
/** Those of RFC 8446 (section 4.2.3): RSASSA-PSS with keys of RSA's own OID, and of that of PSS; EdDSA. */
const OTHERS: ReadonlyMap<number, readonly [KeyObject['asymmetricKeyType'], string | null, object]> = new Map([
  [0x0804, ['rsa', 'sha256', PSS]],
  [0x0805, ['rsa', 'sha384', PSS]],
  [0x0806, ['rsa', 'sha512', PSS]],
  [0x0809, ['rsa-pss', 'sha256', PSS]],
  [0x080a, ['rsa-pss', 'sha384', PSS]],
  [0x080b, ['rsa-pss', 'sha512', PSS]],
  [0x0807, ['ed25519', null, {}]],
  [0x0808, ['ed448', null, {}]],
]);
/** Before TLS 1.2 the key alone says it (RFC 4346 section 7.4.3, RFC 8422 section 5.4). */
const BEFORE: ReadonlyMap<KeyObject['asymmetricKeyType'], string> = new Map([
  ['rsa', 'md5-sha1'],
  ['dsa', 'sha1'],
  ['ec', 'sha1'],
]);

/** How a scheme's code has it verified; undefined for codes that are not known, and those of other kinds of keys. */
function verifierOf(
  scheme: number | undefined,
  { asymmetricKeyType: type }: KeyObject,
): readonly [string | null, object] | undefined {
  if (scheme === undefined) {
    const hash = BEFORE.get(type);
    return hash === undefined ? undefined : [hash, {}];
  }
  const other = OTHERS.get(scheme);
  if (other) return other[0] === type ? [other[1], other[2]] : undefined;
  const hash = KEYS.get(scheme & 0xff) === type ? HASHES.get(scheme >> 8) : undefined;
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
  // OpenSSL takes one by PSS whose leading zeros are missing
  const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (options === PSS && signature.length !== Math.ceil(modulusLength / 8)) return false;
  try {
    return verify(hash, Buffer.concat([clientRandom, serverRandom, params]), { key, ...options }, signature);
  } catch {
    return false; // the scheme is not one for this key
  }
}
