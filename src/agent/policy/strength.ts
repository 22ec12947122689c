import type { PolicySettings } from '../../config/settings.ts';
import { AgentError } from '../../errors.ts';
import { hashOfRequest } from '../../signing/request-hash.ts';
import type { Asked } from './asked.ts';

/** What TLS 1.3, and most servers of TLS 1.2, don't ask for. */
const OLD: ReadonlySet<string> = new Set(['SHA1', 'MD5-SHA1']);

/** Are scheme, hash and salt among those that are allowed? @throws AgentError ERR_POLICY_SCHEME, ERR_POLICY_HASH, ERR_POLICY_SALT */
export function checkStrength({ request, kind }: Asked, { schemes, hashes }: PolicySettings): void {
  const { scheme, algorithmText } = request;
  if (schemes?.includes(scheme) === false) {
    throw new AgentError('ERR_POLICY_SCHEME', `the key's policy allows no ${scheme}`, { reason: 'scheme-not-allowed' });
  }
  if (kind.type !== 'RSA' && kind.type !== 'EC') return; // EdDSA has its own
  const { hash, saltLength } = hashOfRequest(request, kind);
  if (!hash) throw new AgentError('ERR_POLICY_HASH', `${request.tbs.length} bytes for ${algorithmText} are no hash`);
  if (!hashes.includes(hash.name)) {
    const reason = OLD.has(hash.name) ? 'old-hash-not-allowed' : 'hash-not-allowed';
    throw new AgentError('ERR_POLICY_HASH', `the key's policy allows no ${hash.name}`, { reason });
  }
  if (saltLength !== undefined && saltLength !== hash.length) {
    const text = `a salt of ${saltLength} bytes with ${hash.name}, where TLS has ${hash.length}`;
    throw new AgentError('ERR_POLICY_SALT', text);
  }
}
