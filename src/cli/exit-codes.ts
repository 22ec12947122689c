import { errorCode, type AgentErrorCode } from '../errors.ts';

/** The process's exit codes, as README.md and the man page document them. */
export const EXIT = { done: 0, failed: 1, usage: 2, absent: 3, pin: 4 } as const;

const BY_CODE: Partial<Record<AgentErrorCode, number>> = {
  ERR_USAGE: EXIT.usage,
  ERR_CONFIG: EXIT.usage,
  ERR_STATE_DIRECTORY: EXIT.usage,
  ERR_URI: EXIT.usage,
  ERR_KEY_FILE: EXIT.usage,
  ERR_KEY_PERMISSIONS: EXIT.usage,
  ERR_KEY_UNSUPPORTED: EXIT.usage,
  ERR_KEY_AMBIGUOUS: EXIT.usage,
  ERR_TOKEN_AMBIGUOUS: EXIT.usage,
  ERR_CERTIFICATE_MISMATCH: EXIT.usage,
  ERR_CERTIFICATE_DATES: EXIT.usage,
  ERR_MODULE_NOT_FOUND: EXIT.usage,
  ERR_MODULE_LOAD: EXIT.usage,
  ERR_PKCS11JS_MISSING: EXIT.usage,
  ERR_MANAGEMENT_ADDRESS: EXIT.usage,
  ERR_MANAGEMENT_ARGUMENT: EXIT.usage,
  ERR_TOKEN_ABSENT: EXIT.absent,
  ERR_KEY_NOT_FOUND: EXIT.absent,
  ERR_CERTIFICATE_NOT_FOUND: EXIT.absent,
  ERR_PIN_INCORRECT: EXIT.pin,
  ERR_PIN_LOCKED: EXIT.pin,
  ERR_PIN_FINAL_TRY: EXIT.pin,
  ERR_PIN_REQUIRED: EXIT.pin,
  ERR_PIN_SOURCE: EXIT.pin,
  ERR_PIN_UNSETTLED: EXIT.pin,
};

/** The exit code for an error's code; for errors without one too. */
export function exitCode(code: AgentErrorCode | undefined): number {
  return (code === undefined ? undefined : BY_CODE[code]) ?? EXIT.failed;
}

/** The exit code for whatever was thrown. */
export function exitCodeOf(error: unknown): number {
  return exitCode(errorCode(error));
}
