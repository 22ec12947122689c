import { AgentError } from '../errors.ts';
import type { DaemonOwner, ManagementAddress } from '../management/index.ts';
import { checkOwnerIsKnowable } from '../management/internal.ts';
import { userId } from './account-id.ts';

/** The options about who may be the daemon. */
export interface PeerFlags {
  readonly managementUser?: string;
  readonly maxDaemons?: number;
}

/**
 * Whose the daemon's end must be.
 *
 * @throws AgentError ERR_USAGE for a user that isn't there, and where the kernel doesn't tell what must be known
 */
export async function daemonOwner(
  flags: PeerFlags,
  address: ManagementAddress,
  how: { readonly listens: boolean; readonly password: boolean },
): Promise<DaemonOwner> {
  const { managementUser } = flags;
  const owner = {
    self: process.geteuid?.() ?? 0,
    ...(managementUser !== undefined && { user: await userId(managementUser, '--management-user') }),
  };
  checkOwnerIsKnowable(address, owner, how);
  return owner;
}

/**
 * How many daemons may be connected at a time. Over TCP one: a second one could be anybody. A relay has one daemon.
 *
 * @throws AgentError ERR_USAGE
 */
export function maxDaemons(
  flags: PeerFlags,
  address: ManagementAddress,
  { listens, relays }: { readonly listens: boolean; readonly relays: boolean },
): number {
  if (flags.maxDaemons !== undefined && !listens)
    throw new AgentError('ERR_USAGE', '--max-daemons is for daemons that connect', {
      hint: 'it goes with --management-client',
    });
  if (relays && flags.maxDaemons !== undefined && flags.maxDaemons > 1)
    throw new AgentError('ERR_USAGE', '--relay relays one daemon', { hint: 'leave --max-daemons out' });
  return flags.maxDaemons ?? (relays || address.kind === 'tcp' ? 1 : Infinity);
}
