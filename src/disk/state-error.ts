import { AgentError, errorText, type Explained } from '../errors.ts';

const ANOTHER_FOLDER: Explained = { hint: 'use a folder of your own', reason: 'state-directory' };

/** Makes the error for what can't be used. A cause that is an AgentError is the error itself. */
export type Fail = (what: string, cause?: unknown, hint?: string) => AgentError;

/** Why the state directory, or a file in it, can't be used. */
export function stateError(what: string, cause?: unknown, hint?: string): AgentError {
  if (cause instanceof AgentError) return cause;
  const reason = cause === undefined ? '' : `: ${errorText(cause)}`;
  return new AgentError('ERR_STATE_DIRECTORY', `${what}${reason}`, {
    cause,
    ...(hint === undefined ? ANOTHER_FOLDER : { hint }),
  });
}

/** The code of a failed system call, such as ENOENT. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
