import { AgentError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { HASHES, hashByName, PLAIN_HASHES, type Hash } from './hashes.ts';

/** The signature schemes by the names that OpenVPN gives them in `>PK_SIGN:`. */
export const SCHEME_NAMES = [
  'RSA_PKCS1_PADDING',
  'RSA_NO_PADDING',
  'RSA_PKCS1_PSS_PADDING',
  'ECDSA',
  'ED25519',
  'ED448',
] as const;
export type SchemeName = (typeof SCHEME_NAMES)[number];

/** Whether the daemon sent something already hashed (or padded), or the whole message. */
export type DataKind = 'digest' | 'message';

/** A salt's length in bytes, or OpenVPN's words for one: as long as the hash, or as long as fits. */
export type SaltLength = 'digest' | 'max' | number;

/** The algorithm text, parsed. */
export interface Algorithm {
  readonly scheme: SchemeName;
  readonly dataKind: DataKind;
  readonly hash?: Hash;
  readonly saltLength?: SaltLength;
}

type Parameter = 'hashalg' | 'saltlen' | 'data';

/** Which parameters each scheme takes, and which hashes. */
const GRAMMAR: Readonly<
  Record<SchemeName, { readonly takes: readonly Parameter[]; readonly hashes: readonly Hash[] }>
> = {
  RSA_PKCS1_PADDING: { takes: ['hashalg', 'data'], hashes: Object.values(HASHES) },
  RSA_NO_PADDING: { takes: [], hashes: [] },
  RSA_PKCS1_PSS_PADDING: { takes: ['hashalg', 'saltlen', 'data'], hashes: PLAIN_HASHES },
  ECDSA: { takes: ['hashalg', 'data'], hashes: PLAIN_HASHES },
  ED25519: { takes: ['data'], hashes: [] },
  ED448: { takes: ['data'], hashes: [] },
};

/** In characters: more than any has. What is longer is repeated nowhere. */
export const MAX_ALGORITHM_TEXT = 100;

function refuse(why: string): never {
  throw new AgentError('ERR_REQUEST_ALGORITHM', why);
}

function parseParameters(name: SchemeName, words: readonly string[]): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const word of words) {
    const [, key, value] = /^([a-z]+)=(.+)$/.exec(word) ?? refuse(`'${word}' is not a parameter of an algorithm text`);
    if (key === undefined || value === undefined) continue;
    if (!GRAMMAR[name].takes.some((known) => known === key)) refuse(`${name} takes no parameter '${key}'`);
    if (parameters.has(key)) refuse(`parameter '${key}' given twice`);
    parameters.set(key, value);
  }
  return parameters;
}

function parseSaltLength(text: string): SaltLength {
  if (text === 'digest' || text === 'max') return text;
  if (!/^\d{1,5}$/.test(text)) throw new AgentError('ERR_REQUEST_SALT', `'${text}' is not a salt length`);
  return Number(text);
}

function parseDataKind(text: string | undefined): DataKind {
  if (text === undefined || text === 'digest') return 'digest';
  return text === 'message' ? text : refuse(`unknown kind of data '${text}'`);
}

/**
 * Parses the algorithm text of a `>PK_SIGN:` notification (management-notes, "COMMAND -- pk-sig"; OpenVPN's
 * xkey_helper.c, xkey_management_sign): a name, then `hashalg=`, `saltlen=`, `data=`, separated by commas.
 * @throws AgentError ERR_REQUEST_ALGORITHM, ERR_REQUEST_HASH, ERR_REQUEST_SALT
 */
export function parseAlgorithmText(text: string): Algorithm {
  if (text.length > MAX_ALGORITHM_TEXT) refuse(`${text.length} characters are no algorithm text`);
  const [name = '', ...words] = text.trim().split(',');
  if (!Object.hasOwn(GRAMMAR, name))
    refuse(`unknown signature algorithm '${name}'${didYouMean(name, Object.keys(GRAMMAR))}`);
  const scheme = name as SchemeName;
  const parameters = parseParameters(scheme, words);
  const hashText = parameters.get('hashalg');
  const saltText = parameters.get('saltlen');
  const hash = hashText === undefined ? undefined : hashByName(hashText);
  if (hash && !GRAMMAR[scheme].hashes.includes(hash)) {
    throw new AgentError('ERR_REQUEST_HASH', `${scheme} does not go with ${hash.name}`);
  }
  const dataKind = parseDataKind(parameters.get('data'));
  if (dataKind === 'message' && !hash && GRAMMAR[scheme].hashes.length > 0) refuse(`${text} names no hash (hashalg=)`);
  if (scheme === 'RSA_PKCS1_PSS_PADDING' && (!hash || saltText === undefined)) {
    refuse(`${scheme} needs hashalg= and saltlen=`);
  }
  return {
    scheme,
    dataKind,
    ...(hash && { hash }),
    ...(saltText !== undefined && { saltLength: parseSaltLength(saltText) }),
  };
}

/** The algorithm text of an algorithm, in OpenVPN's order: the inverse of {@link parseAlgorithmText}. */
export function formatAlgorithm(algorithm: Algorithm): string {
  const { scheme, hash, saltLength, dataKind } = algorithm;
  return [
    scheme,
    ...(hash ? [`hashalg=${hash.name}`] : []),
    ...(saltLength === undefined ? [] : [`saltlen=${saltLength}`]),
    ...(dataKind === 'message' ? ['data=message'] : []),
  ].join(',');
}
