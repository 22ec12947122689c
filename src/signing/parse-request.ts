import { AgentError } from '../errors.ts';
import { formatAlgorithm, parseAlgorithmText, type Algorithm } from './algorithm-text.ts';
import { parseDigestInfo } from './emsa-pkcs1.ts';
import { HASHES, hashByLength } from './hashes.ts';
import { keyKindName, type KeyKind } from './public-key.ts';
import type { SignatureRequest } from './request.ts';
import { SIGNATURE_SCHEMES } from './schemes.ts';

/**
 * Strict base64 (RFC 4648 section 4: padded, no spaces, no stray bits).
 * @throws AgentError ERR_REQUEST_EMPTY, ERR_REQUEST_BASE64
 */
function decodeBase64(text: string): Buffer {
  if (text === '') throw new AgentError('ERR_REQUEST_EMPTY', 'nothing to sign: the data are empty');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text)
    throw new AgentError('ERR_REQUEST_BASE64', 'the data to sign are not valid base64');
  return bytes;
}

/** Algorithm texts that were read, as a daemon asks for the same again and again; few, and short. */
const READ = new Map<string, Algorithm & { readonly text: string }>();
const MAX_READ = 64;
const MAX_READ_LENGTH = 100;

/** @throws AgentError ERR_REQUEST_ALGORITHM, ERR_REQUEST_HASH, ERR_REQUEST_SALT */
function readAlgorithm(text: string): Algorithm & { readonly text: string } {
  const known = READ.get(text);
  if (known) return known;
  const algorithm = named(parseAlgorithmText(text));
  if (READ.size < MAX_READ && text.length <= MAX_READ_LENGTH) READ.set(text, algorithm);
  return algorithm;
}

function named(algorithm: Algorithm): Algorithm & { readonly text: string } {
  return { ...algorithm, text: formatAlgorithm(algorithm) };
}

/**
 * What a request without an algorithm text means (`>RSA_SIGN:`, or a management version below 3): the shape of the data
 * says it unambiguously.
 */
function deduceAlgorithm(tbs: Buffer, kind: KeyKind): Algorithm {
  if (kind.type === 'EC') return { scheme: 'ECDSA', dataKind: 'digest' };
  if (kind.type !== 'RSA') return { scheme: kind.type, dataKind: 'message' };
  if (tbs.length === kind.modulusBytes) return { scheme: 'RSA_NO_PADDING', dataKind: 'digest' };
  const hash = hashByLength(tbs.length);
  if (hash) return { scheme: 'RSA_PKCS1_PSS_PADDING', dataKind: 'digest', hash, saltLength: 'digest' };
  if (tbs.length === HASHES['MD5-SHA1'].length || tbs[0] === 0x30) {
    return { scheme: 'RSA_PKCS1_PADDING', dataKind: 'digest', hash: parseDigestInfo(tbs).hash };
  }
  throw new AgentError(
    'ERR_REQUEST_LENGTH',
    `${tbs.length} bytes without an algorithm text fit no RSA signature scheme`,
  );
}

/**
 * Understands one request of the daemon, for one key: base64 and algorithm text in, a request that may be signed out.
 * @param data base64, as in `>PK_SIGN:` and `>RSA_SIGN:`
 * @param algorithmText what follows the data; undefined if nothing did
 * @throws AgentError ERR_REQUEST_* that says what does not fit
 */
export function parseSignatureRequest(
  data: string,
  algorithmText: string | undefined,
  kind: KeyKind,
): SignatureRequest {
  const given = algorithmText === undefined ? undefined : readAlgorithm(algorithmText);
  const tbs = decodeBase64(data);
  const algorithm = given ?? named(deduceAlgorithm(tbs, kind));
  const scheme = SIGNATURE_SCHEMES[algorithm.scheme];
  if (scheme.keyType !== kind.type) {
    throw new AgentError('ERR_REQUEST_KEY_TYPE', `${algorithm.scheme} was asked of a key of type ${keyKindName(kind)}`);
  }
  return scheme.build(tbs, algorithm, kind);
}
