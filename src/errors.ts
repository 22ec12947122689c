/**
 * Every code that an {@link AgentError} can carry. They are stable: branch on them, never on the text.
 *
 * - `ERR_REQUEST_*`: what was to be signed is refused; nothing was sent to the key.
 * - `ERR_KEY_*`, `ERR_CERTIFICATE_*`: the key or certificate that was named.
 * - `ERR_PIN_*`: the PIN or passphrase.
 * - `ERR_TOKEN_*`, `ERR_MODULE_*`: the PKCS#11 token, and the module (shared library) that drives it.
 * - `ERR_MANAGEMENT_*`: OpenVPN's management interface.
 */
export type AgentErrorCode =
  | 'ERR_USAGE'
  | 'ERR_CONFIG'
  | 'ERR_CONFIG_NOT_FOUND'
  | 'ERR_ABORTED'
  | 'ERR_STATE_DIRECTORY'
  // the request
  | 'ERR_REQUEST_BASE64'
  | 'ERR_REQUEST_EMPTY'
  | 'ERR_REQUEST_TRUNCATED'
  | 'ERR_REQUEST_ALGORITHM'
  | 'ERR_REQUEST_HASH'
  | 'ERR_REQUEST_LENGTH'
  | 'ERR_REQUEST_DIGEST_INFO'
  | 'ERR_REQUEST_PADDING'
  | 'ERR_REQUEST_SALT'
  | 'ERR_REQUEST_KEY_TYPE'
  // the key
  | 'ERR_KEY_NOT_FOUND'
  | 'ERR_KEY_AMBIGUOUS'
  | 'ERR_KEY_FILE'
  | 'ERR_KEY_PERMISSIONS'
  | 'ERR_KEY_UNSUPPORTED'
  | 'ERR_CERTIFICATE_NOT_FOUND'
  | 'ERR_CERTIFICATE_MISMATCH'
  | 'ERR_CERTIFICATE_DATES'
  | 'ERR_SCHEME_UNSUPPORTED'
  | 'ERR_SIGNATURE_INVALID'
  // the PIN
  | 'ERR_PIN_INCORRECT'
  | 'ERR_PIN_LOCKED'
  | 'ERR_PIN_FINAL_TRY'
  | 'ERR_PIN_REQUIRED'
  | 'ERR_PIN_SOURCE'
  /** The token never told what became of a login; see docs/PIN.md. */
  | 'ERR_PIN_UNSETTLED'
  // the token
  | 'ERR_URI'
  | 'ERR_TOKEN_ABSENT'
  | 'ERR_TOKEN_AMBIGUOUS'
  | 'ERR_TOKEN_FAILED'
  | 'ERR_MODULE_NOT_FOUND'
  | 'ERR_MODULE_LOAD'
  | 'ERR_MODULE_TIMEOUT'
  | 'ERR_MODULE_DIED'
  | 'ERR_MODULE_LIMIT'
  | 'ERR_PKCS11JS_MISSING'
  // the management interface
  | 'ERR_MANAGEMENT_ADDRESS'
  | 'ERR_MANAGEMENT_CONNECT'
  | 'ERR_MANAGEMENT_LISTEN'
  | 'ERR_MANAGEMENT_IN_USE'
  | 'ERR_MANAGEMENT_CLOSED'
  | 'ERR_MANAGEMENT_PASSWORD'
  | 'ERR_MANAGEMENT_PEER'
  | 'ERR_MANAGEMENT_PROTOCOL'
  | 'ERR_MANAGEMENT_COMMAND'
  | 'ERR_MANAGEMENT_TIMEOUT'
  | 'ERR_MANAGEMENT_ARGUMENT'
  | 'ERR_MANAGEMENT_LIMIT';

/** How an {@link AgentError} is made: all but `message` and `code` is optional. */
export interface AgentErrorOptions {
  cause?: unknown;
  /** The return value's name where a token spoke (PKCS#11 v3.1 section 5.1), for example `CKR_PIN_INCORRECT`. */
  ckr?: string;
  /** The function that returned it: `C_Login`. */
  ckrFunction?: string;
  /** What the operator can do about it: one clause. */
  hint?: string;
}

/** An error with a stable code and a message of one line: what failed, on what. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: AgentErrorCode;
  readonly ckr: string | undefined;
  readonly ckrFunction: string | undefined;
  readonly hint: string | undefined;

  constructor(code: AgentErrorCode, message: string, options: AgentErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.ckr = options.ckr;
    this.ckrFunction = options.ckrFunction;
    this.hint = options.hint;
  }

  /** The message and the hint as the one line that an operator reads. */
  get line(): string {
    return this.hint === undefined ? this.message : `${this.message}: ${this.hint}`;
  }
}

/** The code of an AgentError, undefined for anything else. */
export function errorCode(error: unknown): AgentErrorCode | undefined {
  return error instanceof AgentError ? error.code : undefined;
}

/** The text of whatever was thrown, on one line. */
export function errorText(error: unknown): string {
  const text = error instanceof AgentError ? error.line : error instanceof Error ? error.message : String(error);
  return text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .join(' ')
    .trim();
}
