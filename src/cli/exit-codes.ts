import { errorCode, type AgentErrorCode } from '../errors.ts';

/** The process's exit codes, as README.md and the man page document them. */
export const EXIT = { done: 0, failed: 1, usage: 2, absent: 3, pin: 4 } as const;

type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * For a supervisor, the codes say whether another start may do better (`RestartPreventExitStatus=2 4`):
 * - `usage`: a person must change what was written or installed; trying again changes nothing.
 * - `pin`: trying again may cost one of the PIN's tries, or waits for an answer that nobody gives.
 * - `absent`: something that was named is not there, and may come: a token, a module or file that is mounted late.
 * - `failed`: all else, which may pass by itself.
 */
const BY_CODE: Readonly<Record<AgentErrorCode, ExitCode>> = {
  ERR_USAGE: EXIT.usage,
  ERR_CONFIG: EXIT.usage,
  ERR_CONFIG_NOT_FOUND: EXIT.absent,
  ERR_STATE_DIRECTORY: EXIT.usage,
  ERR_ABORTED: EXIT.failed,
  ERR_ANSWER: EXIT.failed,
  ERR_ANSWER_REFUSED: EXIT.failed,
  ERR_LOCKED: EXIT.failed,
  ERR_AUDIT_FILE: EXIT.usage,
  // the other agent may end
  ERR_AUDIT_IN_USE: EXIT.failed,
  ERR_AUDIT_WRITE: EXIT.failed,
  ERR_AUDIT_CHAIN: EXIT.failed,
  // no agent that could be asked
  ERR_CONTROL_CONNECT: EXIT.absent,
  ERR_CONTROL_PROTOCOL: EXIT.failed,
  ERR_CONTROL_BUSY: EXIT.failed,
  ERR_PASSPHRASE_INCORRECT: EXIT.pin,
  ERR_REQUEST_BASE64: EXIT.failed,
  ERR_REQUEST_EMPTY: EXIT.failed,
  ERR_REQUEST_TRUNCATED: EXIT.failed,
  ERR_REQUEST_ALGORITHM: EXIT.failed,
  ERR_REQUEST_HASH: EXIT.failed,
  ERR_REQUEST_LENGTH: EXIT.failed,
  ERR_REQUEST_DIGEST_INFO: EXIT.failed,
  ERR_REQUEST_PADDING: EXIT.failed,
  ERR_REQUEST_SALT: EXIT.failed,
  ERR_REQUEST_KEY_TYPE: EXIT.failed,
  ERR_POLICY_SCHEME: EXIT.failed,
  ERR_POLICY_HASH: EXIT.failed,
  ERR_POLICY_SALT: EXIT.failed,
  ERR_POLICY_CONTEXT: EXIT.failed,
  ERR_POLICY_SERVER: EXIT.failed,
  ERR_POLICY_RATE: EXIT.failed,
  ERR_POLICY_USES: EXIT.failed,
  ERR_POLICY_CONFIRM: EXIT.failed,
  ERR_POLICY_LIFETIME: EXIT.failed,
  ERR_KEY_NOT_FOUND: EXIT.absent,
  ERR_KEY_AMBIGUOUS: EXIT.usage,
  ERR_KEY_EXISTS: EXIT.usage,
  ERR_KEY_FILE: EXIT.usage,
  ERR_KEY_PERMISSIONS: EXIT.usage,
  ERR_KEY_UNSUPPORTED: EXIT.usage,
  ERR_KEY_TIMEOUT: EXIT.failed,
  ERR_KEY_UNAVAILABLE: EXIT.failed,
  ERR_CERTIFICATE_NOT_FOUND: EXIT.absent,
  ERR_CERTIFICATE_MISMATCH: EXIT.usage,
  ERR_CERTIFICATE_DATES: EXIT.usage,
  ERR_CERTIFICATE_CHAIN: EXIT.usage,
  ERR_CERTIFICATE_PURPOSE: EXIT.usage,
  ERR_OUTPUT_FILE: EXIT.usage,
  ERR_SCHEME_UNSUPPORTED: EXIT.failed,
  ERR_SIGNATURE_INVALID: EXIT.failed,
  ERR_PIN_INCORRECT: EXIT.pin,
  ERR_PIN_LOCKED: EXIT.pin,
  ERR_PIN_FINAL_TRY: EXIT.pin,
  ERR_PIN_REQUIRED: EXIT.pin,
  ERR_PIN_UNSETTLED: EXIT.pin,
  // nobody was asked yet: a file that is mounted late, a command that needs the network
  ERR_PIN_SOURCE: EXIT.absent,
  ERR_URI: EXIT.usage,
  ERR_TOKEN_ABSENT: EXIT.absent,
  ERR_TOKEN_AMBIGUOUS: EXIT.usage,
  ERR_TOKEN_FAILED: EXIT.failed,
  ERR_MODULE_NOT_FOUND: EXIT.absent,
  ERR_MODULE_LOAD: EXIT.usage,
  ERR_MODULE_TIMEOUT: EXIT.failed,
  ERR_MODULE_DIED: EXIT.failed,
  ERR_MODULE_LIMIT: EXIT.failed,
  ERR_PKCS11JS_MISSING: EXIT.usage,
  ERR_EXEC_FAILED: EXIT.failed,
  // another program, or another release of it
  ERR_EXEC_PROTOCOL: EXIT.usage,
  ERR_EXEC_TIMEOUT: EXIT.failed,
  ERR_EXEC_DIED: EXIT.failed,
  ERR_MANAGEMENT_ADDRESS: EXIT.usage,
  ERR_MANAGEMENT_CONNECT: EXIT.failed,
  ERR_MANAGEMENT_PEER: EXIT.failed,
  ERR_MANAGEMENT_LISTEN: EXIT.failed,
  ERR_MANAGEMENT_IN_USE: EXIT.failed,
  ERR_MANAGEMENT_CLOSED: EXIT.failed,
  ERR_MANAGEMENT_PASSWORD: EXIT.failed,
  ERR_MANAGEMENT_PROTOCOL: EXIT.failed,
  ERR_MANAGEMENT_COMMAND: EXIT.failed,
  ERR_MANAGEMENT_TIMEOUT: EXIT.failed,
  ERR_MANAGEMENT_ARGUMENT: EXIT.usage,
  ERR_MANAGEMENT_LIMIT: EXIT.failed,
};

/** The exit code for an error's code; for errors without one, and for codes of another release's agent, too. */
export function exitCode(code: AgentErrorCode | undefined): ExitCode {
  return code !== undefined && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : EXIT.failed;
}

/** The exit code for whatever was thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  return exitCode(errorCode(error));
}
