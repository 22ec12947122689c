import type { PolicySettings } from '../../config/settings.ts';
import { AgentError } from '../../errors.ts';
import type { Asked } from './asked.ts';

/** Is it for a TLS client's handshake, as far as that is asked for? @throws AgentError ERR_POLICY_CONTEXT */
export function checkContext({ context }: Asked, { context: asked }: PolicySettings): void {
  if (asked === 'off') return;
  if (context.kind === 'other-message') {
    throw new AgentError('ERR_POLICY_CONTEXT', `the message is no TLS client's handshake: ${context.why}`, {
      reason: 'foreign-message',
    });
  }
  if (asked === 'require' && context.kind === 'bare-digest') {
    const text = "a hash does not show that it is of a TLS client's handshake, which the key's policy requires";
    throw new AgentError('ERR_POLICY_CONTEXT', text, { reason: 'hash-without-context' });
  }
}
