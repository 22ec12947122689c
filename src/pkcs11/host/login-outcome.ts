import { AgentError, NotSent } from '../../errors.ts';

/**
 * What became of a PIN that was sent to a token:
 * - `accepted`, `refused`: the token said so;
 * - `untried`: the token certainly did not look at it;
 * - `unknown`: anything else. It may have cost a try.
 */
export type LoginOutcome = 'accepted' | 'refused' | 'untried' | 'unknown';

/**
 * Return values of C_Login (PKCS#11 v3.1 section 5.6.8) that come before the token looks at a PIN: there is no token, no
 * session, no operation, no PIN to compare with, or the session is logged in. All others may come from what happened behind it:
 * DEVICE_REMOVED and SESSION_CLOSED are said of what happens during a call (section 5.1.2), HOST_MEMORY and DEVICE_MEMORY too,
 * and OpenSC turns every error of the card that it does not know into GENERAL_ERROR.
 */
const UNTRIED = new Set([
  'CKR_TOKEN_NOT_PRESENT',
  'CKR_TOKEN_NOT_RECOGNIZED',
  'CKR_SLOT_ID_INVALID',
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_SESSION_READ_ONLY_EXISTS',
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  'CKR_FUNCTION_NOT_SUPPORTED',
  'CKR_OPERATION_ACTIVE',
  'CKR_OPERATION_NOT_INITIALIZED',
  'CKR_USER_ALREADY_LOGGED_IN',
  'CKR_USER_ANOTHER_ALREADY_LOGGED_IN',
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_USER_PIN_NOT_INITIALIZED',
  'CKR_USER_TOO_MANY_TYPES',
  'CKR_USER_TYPE_INVALID',
]);

/** The outcome of a login, or of a signature with a login in it, that failed before the PIN was accepted. */
export function outcomeOf(error: unknown): LoginOutcome {
  if (error instanceof NotSent) return 'untried';
  if (!(error instanceof AgentError) || error.ckr === undefined) return 'unknown';
  // C_SignInit, which comes before
  if (error.ckrFunction !== 'C_Login') return 'untried';
  // ERR_PIN_INCORRECT for ARGUMENTS_BAD too: of a call's arguments only the PIN can be bad, and stays so
  if (error.code.startsWith('ERR_PIN_')) return 'refused';
  return UNTRIED.has(error.ckr) ? 'untried' : 'unknown';
}

/** A login whose outcome the token never told. */
export class UnsettledLogin extends AgentError {
  /** It was the first one, so that another may follow, unless the token's flags advise against it. */
  readonly mayTryAgain: boolean;

  constructor(message: string, options: { cause?: unknown; hint: string; mayTryAgain: boolean }) {
    const { cause, hint, mayTryAgain } = options;
    const { ckr, ckrFunction } = cause instanceof AgentError ? cause : {};
    super('ERR_PIN_UNSETTLED', message, {
      cause,
      hint,
      ...(ckr !== undefined && { ckr }),
      ...(ckrFunction !== undefined && { ckrFunction }),
    });
    this.mayTryAgain = mayTryAgain;
  }
}

/**
 * Does something that logs in, once more if the token never told what became of that: a reader that hangs once must not keep
 * a right PIN away. The records see to it that this happens once, over all that may try.
 * @param prepare gets rid of what failed
 */
export async function onceMore<Result>(
  work: () => Promise<Result>,
  prepare: (error: UnsettledLogin) => Promise<void>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UnsettledLogin) || !error.mayTryAgain) throw error;
    await prepare(error);
    return await work();
  }
}
