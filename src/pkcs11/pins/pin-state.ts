import { CKF } from '../constants.ts';
import type { TokenInfo } from '../host/protocol.ts';

/**
 * - `count low`: a wrong PIN was entered since the last login;
 * - `final try`: the next wrong PIN locks it.
 */
export type PinTries = 'ok' | 'count low' | 'final try' | 'locked';

/** What a token says of its user PIN. */
export interface PinState {
  /** It may show its private keys only to those that logged in. */
  readonly needsLogin: boolean;
  /** It has a keypad of its own, or says so: a person types the PIN there. */
  readonly hasKeypad: boolean;
  readonly tries: PinTries;
}

/** The state of a token's PIN, by the flags of CK_TOKEN_INFO (PKCS#11 v3.1 section 3.2): asking costs no try. */
export function pinState({ flags }: Pick<TokenInfo, 'flags'>): PinState {
  const has = (flag: keyof typeof CKF): boolean => (flags & CKF[flag]) !== 0;
  return {
    needsLogin: has('LOGIN_REQUIRED'),
    hasKeypad: has('PROTECTED_AUTHENTICATION_PATH'),
    tries: has('USER_PIN_LOCKED')
      ? 'locked'
      : has('USER_PIN_FINAL_TRY')
        ? 'final try'
        : has('USER_PIN_COUNT_LOW')
          ? 'count low'
          : 'ok',
  };
}
