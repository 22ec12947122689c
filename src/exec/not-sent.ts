import { AgentError, NotSent } from '../errors.ts';

/** The same error, of a request that was not sent. */
export function notSent(error: unknown): unknown {
  if (!(error instanceof AgentError)) return error;
  const { code, message, hint, reason, user, details } = error;
  return new NotSent(code, message, {
    ...{ cause: error, details },
    ...(hint !== undefined && { hint }),
    ...(reason !== undefined && { reason }),
    ...(user !== undefined && { user }),
  });
}
