import { SCHEME_NAMES, type SchemeName } from '../signing/algorithm-text.ts';
import { HASH_NAMES, hashByLength, type HashName } from '../signing/hashes.ts';
import type { SignatureRequest } from '../signing/request.ts';

/** Requests that a program can sign. */
interface Ability {
  readonly scheme: SchemeName;
  /** Only over this hash. */
  readonly hash?: HashName;
  /** Only if the whole message is known. */
  readonly needsMessage: boolean;
}

/** The hash that a digest to be signed is of; undefined where there is none, or where it is not known. */
export function hashOf(request: SignatureRequest): HashName | undefined {
  switch (request.scheme) {
    case 'RSA_PKCS1_PADDING':
      return request.digestInfo.hash.name;
    case 'RSA_PKCS1_PSS_PADDING':
    case 'RSA_NO_PADDING':
      return request.hash.name;
    case 'ECDSA':
      return (request.hash ?? hashByLength(request.tbs.length))?.name;
    case 'ED25519':
    case 'ED448':
      return undefined;
  }
}

/** Reads `SCHEME[,hashalg=HASH][,data=message]`; undefined if it is something else. */
export function parseAbility(text: string): Ability | undefined {
  const [name = '', ...parameters] = text.split(',');
  const scheme = SCHEME_NAMES.find((known) => known === name);
  if (scheme === undefined) return undefined;
  let hash: HashName | undefined;
  let needsMessage = false;
  for (const parameter of parameters) {
    if (parameter === 'data=message') needsMessage = true;
    else if (!(hash = HASH_NAMES.find((known) => parameter === `hashalg=${known}`))) return undefined;
  }
  return { scheme, needsMessage, ...(hash !== undefined && { hash }) };
}

/** Whether any of the abilities fits a request. */
export function isAble(abilities: readonly Ability[], request: SignatureRequest): boolean {
  return abilities.some(
    ({ scheme, hash, needsMessage }) =>
      scheme === request.scheme &&
      (hash === undefined || hash === hashOf(request)) &&
      (!needsMessage || request.message !== undefined),
  );
}

export type { Ability };
