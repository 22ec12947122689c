import type { KeyObject, X509Certificate } from 'node:crypto';
import type { Opening } from '../keys/backends.ts';
import { keyKind, keyKindName, weakness } from '../signing/public-key.ts';
import type { Signer } from '../signing/signer.ts';
import type { Abilities } from './can-sign.ts';
import type { Report } from './verdict.ts';

/** How to check a key. */
export interface KeyCheck {
  readonly opening: Opening;
  /** Log in to tokens that want it, and so use a try if the PIN is wrong. */
  readonly login: boolean;
  readonly report: Report;
}

/** A key, as far as a check found it. */
export interface CheckedKey {
  readonly name: string;
  readonly publicKey: KeyObject | undefined;
  readonly certificates: readonly X509Certificate[];
  /** Undefined where signing would take a PIN, and that was not asked for. */
  readonly signer: Signer | undefined;
  /** Its token would not take the PIN, or has not: a login shows no more. */
  readonly isPinRefused?: boolean;
  /** By the mechanisms that its token lists; undefined where that is unknown. */
  readonly abilities?: Abilities;
}

export const AFTER_LOGIN = 'it can be seen after login only, if at all';

/** Warns of a key that servers may refuse. */
export function checkStrength(publicKey: KeyObject, report: Report): void {
  const detail = weakness(keyKind(publicKey));
  if (detail !== undefined) report({ outcome: 'warn', what: 'key', detail, hint: 'use 2048 bits or more' });
}

/** `/etc/key.pem: RSA-2048`. @throws AgentError ERR_KEY_UNSUPPORTED */
export function describeKey(name: string, publicKey: KeyObject): string {
  return `${name}: ${keyKindName(keyKind(publicKey))}`;
}
