import type { DaemonOwner } from '../management/index.ts';
import { checkOwnerIsKnowable } from '../management/internal.ts';
import { userId } from './account-id.ts';
import type { ManagementSettings } from './settings.ts';

/**
 * Whose the daemon's end of a management connection must be.
 * @param self our own user ID
 * @throws AgentError ERR_USAGE for a user that is not there, and where the kernel does not tell what must be known
 */
export async function daemonOwner(settings: ManagementSettings, self: number): Promise<DaemonOwner> {
  const { address, user, listen, password } = settings;
  const owner = { self, ...(user !== undefined && { user: await userId(user, '--management-user') }) };
  checkOwnerIsKnowable(address, owner, { listens: listen, password: password !== undefined });
  return owner;
}
