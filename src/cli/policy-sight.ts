import type { Sight } from '../check/advice.ts';
import type { PolicySettings } from '../config/settings.ts';

/** What a key's policy wants to see of each handshake. */
export function sightOf(policy: PolicySettings | undefined): Sight {
  if (policy?.serverCa !== undefined || policy?.serverName !== undefined) return 'server';
  return policy?.context === 'require' ? 'client' : 'nothing';
}
