import { type AgentErrorCode, errorCode } from '../errors.ts';

/** The token's trouble, its module's, or that of the program in its place. */
const OF_THE_TOKEN: ReadonlySet<AgentErrorCode> = new Set([
  ...(['ERR_TOKEN_ABSENT', 'ERR_TOKEN_FAILED', 'ERR_KEY_TIMEOUT', 'ERR_KEY_UNAVAILABLE'] as const),
  ...(['ERR_MODULE_TIMEOUT', 'ERR_MODULE_DIED', 'ERR_MODULE_LIMIT'] as const),
  ...(['ERR_EXEC_FAILED', 'ERR_EXEC_TIMEOUT', 'ERR_EXEC_DIED'] as const),
]);
/** Something that was named is not there, and may come: a file that is mounted late, a command that needs the network. */
const NOT_THERE: ReadonlySet<AgentErrorCode> = new Set([
  ...(['ERR_KEY_NOT_FOUND', 'ERR_CERTIFICATE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'] as const),
  ...(['ERR_PIN_SOURCE', 'ERR_CONFIG_NOT_FOUND'] as const),
]);
/** Codes of errno for what the machine lacks at the moment. */
const OF_THE_MACHINE: ReadonlySet<string> = new Set([
  ...['ENOSPC', 'EDQUOT', 'EIO', 'ESTALE', 'ETIMEDOUT'],
  ...['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBUSY'],
]);

/** Whether the token, or what drives it, failed or is not there: what one waits for who waits for a token. */
export function isOfToken(error: unknown): boolean {
  const code = errorCode(error);
  return code !== undefined && OF_THE_TOKEN.has(code);
}

/**
 * Whether what keeps a key from being opened may pass by itself, so that a later try may do better: never what was said of
 * a PIN, nor what a person wrote or must write. Of each of these the exit code tells a supervisor to try again.
 */
export function mayPass(error: unknown): boolean {
  if (isOfToken(error)) return true;
  const code = errorCode(error);
  if (code !== undefined && NOT_THERE.has(code)) return true;
  // an AgentError of the state directory has the system's as its cause
  const reason = code === 'ERR_STATE_DIRECTORY' ? (error as Error).cause : error;
  const errno = reason instanceof Error && 'code' in reason ? reason.code : undefined;
  return (code === undefined || code === 'ERR_STATE_DIRECTORY') && OF_THE_MACHINE.has(String(errno));
}
