/**
 * Every code that an {@link AgentError} can carry. They are stable: branch on them, never on the text.
 *
 * - `ERR_REQUEST_*`: what was to be signed is refused; nothing was sent to the key.
 * - `ERR_POLICY_*`: the same, by the policy of the key or the tunnel.
 * - `ERR_KEY_*`, `ERR_CERTIFICATE_*`: the key or certificate that was named.
 * - `ERR_PIN_*`: the PIN or passphrase.
 * - `ERR_TOKEN_*`, `ERR_MODULE_*`: the PKCS#11 token, and the module (shared library) that drives it.
 * - `ERR_EXEC_*`: the program of an `exec:` key.
 * - `ERR_AUDIT_*`: the log of requests and signatures.
 * - `ERR_MANAGEMENT_*`: OpenVPN's management interface.
 */
export type AgentErrorCode =
  | 'ERR_USAGE'
  | 'ERR_CONFIG'
  | 'ERR_CONFIG_NOT_FOUND'
  | 'ERR_ABORTED'
  /** The agent is locked: it signs nothing. */
  | 'ERR_LOCKED'
  // the audit log
  /** It can't be used at all. */
  | 'ERR_AUDIT_FILE'
  /** Another agent writes it. */
  | 'ERR_AUDIT_IN_USE'
  /** An entry could not be written: what it was to tell of does not happen. */
  | 'ERR_AUDIT_WRITE'
  /** It is not as it was written. */
  | 'ERR_AUDIT_CHAIN'
  // the control socket
  | 'ERR_CONTROL_CONNECT'
  | 'ERR_CONTROL_PROTOCOL'
  | 'ERR_CONTROL_BUSY'
  | 'ERR_PASSPHRASE_INCORRECT'
  | 'ERR_STATE_DIRECTORY'
  // answers to a daemon's questions
  /** What it is to be answered can't be had: a source that can't be read, a command that failed. */
  | 'ERR_ANSWER'
  /** The answer was refused before: it is not sent again. */
  | 'ERR_ANSWER_REFUSED'
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
  // what its key's policy forbids
  | 'ERR_POLICY_SCHEME'
  | 'ERR_POLICY_HASH'
  | 'ERR_POLICY_SALT'
  | 'ERR_POLICY_CONTEXT'
  | 'ERR_POLICY_SERVER'
  | 'ERR_POLICY_RATE'
  | 'ERR_POLICY_USES'
  | 'ERR_POLICY_CONFIRM'
  /** The key's lifetime is over. */
  | 'ERR_POLICY_LIFETIME'
  // the key
  | 'ERR_KEY_NOT_FOUND'
  | 'ERR_KEY_AMBIGUOUS'
  /** A key that is to be made is there already. */
  | 'ERR_KEY_EXISTS'
  | 'ERR_KEY_FILE'
  | 'ERR_KEY_PERMISSIONS'
  | 'ERR_KEY_UNSUPPORTED'
  /** No signature came in time, whatever kept it. */
  | 'ERR_KEY_TIMEOUT'
  /** The key is not open, or no longer. */
  | 'ERR_KEY_UNAVAILABLE'
  | 'ERR_CERTIFICATE_NOT_FOUND'
  | 'ERR_CERTIFICATE_MISMATCH'
  | 'ERR_CERTIFICATE_DATES'
  /** Who issued a certificate can't be followed to an authority. */
  | 'ERR_CERTIFICATE_CHAIN'
  /** It is for something else than a client. */
  | 'ERR_CERTIFICATE_PURPOSE'
  /** A file that is to hold a certificate or request holds something else, or can't be written. */
  | 'ERR_OUTPUT_FILE'
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
  // the program of an exec: key
  /** It says that it did not do what it was asked. */
  | 'ERR_EXEC_FAILED'
  /** It says what it must not, or not what it must. */
  | 'ERR_EXEC_PROTOCOL'
  | 'ERR_EXEC_TIMEOUT'
  /** It ended without an answer. */
  | 'ERR_EXEC_DIED'
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

/**
 * Why something does not work, where the help lies in the program around the library: a setting to make. What that is
 * called only the program knows ({@link explainBy}).
 */
export type Reason =
  /** An encrypted key file, and nothing that gives its passphrase. */
  | 'no-passphrase'
  | 'certificate-as-key'
  | 'public-key-as-key'
  /** Others can read the key file. */
  | 'readable-key'
  /** A key that tells no public key, and no certificate was given for it. */
  | 'no-public-key'
  /** A pkcs11: URI without a module, and no module for such URIs. */
  | 'no-module'
  /** Keys of one token whose PIN comes from two places. */
  | 'two-pin-sources'
  | 'final-pin-try'
  /** A state directory that can't be used. */
  | 'state-directory'
  | 'too-many-daemons'
  /** `user` has the daemon's end, or could. */
  | 'foreign-daemon'
  /** Whose the daemon's end is can't be told, and it must be `user`. */
  | 'unknown-daemon'
  /** Every user of this host can connect where a daemon is to. */
  | 'open-listener'
  | 'no-certificate'
  /** The key is another one than when it was opened: it is to be opened anew. */
  | 'key-changed'
  /** Username and password that were refused. */
  | 'refused-login'
  /** A challenge, and nothing that gives the response. */
  | 'no-challenge-command'
  | 'scheme-not-allowed'
  | 'hash-not-allowed'
  | 'old-hash-not-allowed'
  /** A message that no TLS client signs. */
  | 'foreign-message'
  /** A hash, where the policy wants to see what it is of. */
  | 'hash-without-context'
  /** A handshake that does not show its server, where the policy wants one. */
  | 'server-not-seen'
  /** A key that is to be made, and is there. */
  | 'key-exists'
  /** A request for a key that has no certificate, and no name to write into it. */
  | 'no-subject'
  /** A chain that could be followed, if it were known where to. */
  | 'no-authorities'
  /** The token does not store certificates. */
  | 'certificate-not-kept'
  /** Nothing says which key of a token is meant. */
  | 'no-key'
  /** A PIN, if the token wants one, is asked for at the terminal. */
  | 'pin-at-terminal'
  /** A login would tell. */
  | 'no-login'
  /** A login would tell, or else the certificate. */
  | 'no-login-nor-certificate';

/** The part of an error that helps: what to do about it. */
export interface Explained {
  /** The remedy, in words that fit any program: one clause. */
  readonly hint?: string | undefined;
  readonly reason?: Reason | undefined;
  /** User ID that the reason is about. */
  readonly user?: number | undefined;
}

/** How an {@link AgentError} is made: all but `message` and `code` is optional. */
export interface AgentErrorOptions extends Explained {
  cause?: unknown;
  /** The return value's name where a token spoke (PKCS#11 v3.1 section 5.1), for example `CKR_PIN_INCORRECT`. */
  ckr?: string;
  /** The function that returned it: `C_Login`. */
  ckrFunction?: string;
  /** Lines that say more, such as each mistake of a file. */
  details?: readonly string[];
}

/** A program's own hint; undefined where the error's is right. */
export type Explain = (error: Explained) => string | undefined;
let explain: Explain = () => undefined;

/** Has the errors of this process explained in the program's words, such as its options, wherever they become text. */
export function explainBy(program: Explain): void {
  explain = program;
}

/** An error with a stable code and a message of one line: what failed, on what. */
export class AgentError extends Error implements Explained {
  override readonly name = 'AgentError';
  readonly code: AgentErrorCode;
  readonly ckr: string | undefined;
  readonly ckrFunction: string | undefined;
  readonly hint: string | undefined;
  readonly reason: Reason | undefined;
  readonly user: number | undefined;
  readonly details: readonly string[];

  constructor(code: AgentErrorCode, message: string, options: AgentErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.ckr = options.ckr;
    this.ckrFunction = options.ckrFunction;
    this.hint = options.hint;
    this.reason = options.reason;
    this.user = options.user;
    this.details = options.details ?? [];
  }

  /** The message and the hint as the one line that an operator reads. */
  get line(): string {
    const hint = explain(this) ?? this.hint;
    return hint === undefined ? this.message : `${this.message}: ${hint}`;
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

/**
 * The error of a call or request that whoever it was for (a module, a program) never got: it had ended, or it was given up before its
 * turn. A PIN in it was not tried.
 */
export class NotSent extends AgentError {}

/**
 * Whether a failed system call says that there is nothing of that name. Any other error leaves open what is there: strangers and load
 * can bring about EMFILE, ENOMEM and their like.
 */
export function isAbsence(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
