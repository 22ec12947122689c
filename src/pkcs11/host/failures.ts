import { AgentError, errorCode, type AgentErrorCode } from '../../errors.ts';
import { UnsettledLogin } from './login-outcome.ts';
import type { HostFailure } from './protocol.ts';

const CODES: Readonly<Record<string, AgentErrorCode>> = {
  CKR_PIN_INCORRECT: 'ERR_PIN_INCORRECT',
  CKR_PIN_INVALID: 'ERR_PIN_INCORRECT',
  CKR_PIN_LEN_RANGE: 'ERR_PIN_INCORRECT',
  CKR_PIN_TOO_WEAK: 'ERR_PIN_INCORRECT',
  CKR_PIN_LOCKED: 'ERR_PIN_LOCKED',
  CKR_PIN_EXPIRED: 'ERR_PIN_LOCKED',
  CKR_TOKEN_NOT_PRESENT: 'ERR_TOKEN_ABSENT',
  CKR_TOKEN_NOT_RECOGNIZED: 'ERR_TOKEN_ABSENT',
  CKR_DEVICE_REMOVED: 'ERR_TOKEN_ABSENT',
  CKR_SLOT_ID_INVALID: 'ERR_TOKEN_ABSENT',
};

/**
 * What modules answer when a key can't do a mechanism, at C_SignInit or only at C_Sign: the next way of signing may do.
 * FUNCTION_FAILED and ARGUMENTS_BAD are what ykcs11 and SoftHSM say of parameters that they don't take.
 */
const UNSUITED = new Set([
  'CKR_MECHANISM_INVALID',
  'CKR_MECHANISM_PARAM_INVALID',
  'CKR_KEY_TYPE_INCONSISTENT',
  'CKR_KEY_FUNCTION_NOT_PERMITTED',
  'CKR_FUNCTION_NOT_SUPPORTED',
  'CKR_FUNCTION_FAILED',
  'CKR_ARGUMENTS_BAD',
  // our data are as the mechanism wants them: a module that says so wants them otherwise (digests as long as the curve)
  'CKR_DATA_INVALID',
  'CKR_DATA_LEN_RANGE',
  'CKR_KEY_SIZE_RANGE',
]);

const OF_THE_SESSION = /^$|^CKR_(?:SESSION_|DEVICE_|USER_|OBJECT_HANDLE_|CRYPTOKI_|TOKEN_)/;

export function isMechanismUnsuited(error: unknown): boolean {
  if (!(error instanceof AgentError) || error.ckr === undefined) return false;
  // said of the PIN, not of the mechanism: the next way of signing would try the PIN again
  if (error.ckrFunction === 'C_Login') return false;
  // tpm2-pkcs11 says so of curves that its TPM does not have
  if (error.ckr === 'CKR_HOST_MEMORY') return error.ckrFunction === 'C_SignInit';
  return UNSUITED.has(error.ckr);
}

/**
 * What a mechanism that the token does not list may be answered beside that: anything that is said of the call, and not of
 * session, token or PIN. A module that ended, or hangs, is left to recover: it is not asked again.
 */
export function isUnlistedRefused(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'ERR_TOKEN_FAILED' && !OF_THE_SESSION.test(error.ckr ?? '');
}

/** Is this the token's (or its module's) trouble, so that opening it anew may help? */
export function isWorthReopening(error: unknown): boolean {
  if (!(error instanceof AgentError)) return false;
  // a login that hung has taken the request's whole time: the next one may try
  if (error instanceof UnsettledLogin) return error.mayTryAgain && errorCode(error.cause) !== 'ERR_MODULE_TIMEOUT';
  return error.code === 'ERR_MODULE_DIED' || error.code === 'ERR_TOKEN_ABSENT' || error.code === 'ERR_TOKEN_FAILED';
}

function codeOf(ckr: string, functionName: string): AgentErrorCode {
  // a PIN is sent by C_Login alone: whatever else says so is broken, and may recover. That it has expired, all may say
  if (ckr.startsWith('CKR_PIN_') && ckr !== 'CKR_PIN_EXPIRED' && functionName !== 'C_Login') return 'ERR_TOKEN_FAILED';
  // ykcs11's answer to a PIN that is too short
  if (ckr === 'CKR_ARGUMENTS_BAD' && functionName === 'C_Login') return 'ERR_PIN_INCORRECT';
  return CODES[ckr] ?? 'ERR_TOKEN_FAILED';
}

/**
 * npm leaves an optional dependency out where it can't be compiled, and leaves it as it came where install scripts don't run.
 * Installing pksigd anew mends both: `npm rebuild` passes over what was left out.
 */
function withoutPkcs11js(text: string): AgentError {
  const state = /^Cannot find (?:module|package) 'pkcs11js'/.test(text) ? 'installed' : 'compiled for this Node';
  return new AgentError('ERR_PKCS11JS_MISSING', `tokens need pkcs11js, which is not ${state}`, {
    hint: 'install python3, make and g++, then pksigd anew: npm install --global --allow-scripts=pkcs11js pksigd',
    cause: text,
  });
}

/** The error of a call that the module host answered with a failure. */
export function hostFailure(failure: HostFailure, modulePath: string): AgentError {
  switch (failure.kind) {
    case 'ckr':
      return new AgentError(codeOf(failure.ckr, failure.function), `${failure.function} returned ${failure.ckr}`, {
        ckr: failure.ckr,
        ckrFunction: failure.function,
      });
    case 'load':
      return new AgentError('ERR_MODULE_LOAD', `can't load the PKCS#11 module ${modulePath}: ${failure.text}`);
    case 'limit':
      return new AgentError('ERR_MODULE_LIMIT', `the PKCS#11 module ${modulePath} ${failure.text}`);
    case 'pkcs11js':
      return withoutPkcs11js(failure.text);
    case 'internal':
      return new AgentError('ERR_TOKEN_FAILED', `the module host failed: ${failure.text}`);
  }
}
