import type { SigningWay } from './mechanisms.ts';

/** What a token and a key in it say of mechanisms (CKM_*): the first may be more than the key does, or less. */
export interface Offer {
  /** What the token lists. */
  readonly listed: ReadonlySet<number>;
  /** CKA_ALLOWED_MECHANISMS; undefined where the key does not limit them. */
  readonly allowed: ReadonlySet<number> | undefined;
}

/** The mechanisms that are listed, and allowed for the key. */
export function offered({ listed, allowed }: Offer): ReadonlySet<number> {
  return allowed ? new Set([...listed].filter((type) => allowed.has(type))) : listed;
}

/** The ways that may be tried, in their order: listed ones, then those that the key does not forbid. */
export function waysInTurn(ways: readonly SigningWay[], offer: Offer): SigningWay[] {
  const isAllowed = ({ mechanism }: SigningWay): boolean => offer.allowed?.has(mechanism.type) ?? true;
  const isListed = ({ mechanism }: SigningWay): boolean => offer.listed.has(mechanism.type);
  const allowed = ways.filter(isAllowed);
  return [...allowed.filter(isListed), ...allowed.filter((way) => !isListed(way))];
}
