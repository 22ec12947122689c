import { AgentError, errorText } from '../../errors.ts';
import type { Fail } from '../../disk/state-error.ts';

/** Why an audit log can't be used. */
export const auditError: Fail = (what, cause, hint) => {
  if (cause instanceof AgentError) return cause;
  const why = cause === undefined ? '' : `: ${errorText(cause)}`;
  return new AgentError('ERR_AUDIT_FILE', `${what}${why}`, { cause, hint });
};
