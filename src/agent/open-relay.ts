import { groupId } from '../config/account-id.ts';
import { managementPassword } from '../config/secrets.ts';
import type { RelaySettings } from '../config/settings.ts';
import { formatManagementAddress, type ManagementAddress, type Relay } from '../management/index.ts';
import { ownAccess, whoReaches } from '../management/internal.ts';
import type { Secret } from '../secret.ts';
import { secretsSurroundings, type Surroundings } from './surroundings.ts';

/**
 * Listens for the relay's clients.
 * @param signal gives up reading its password
 * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_LISTEN, ERR_MANAGEMENT_PASSWORD, ERR_ABORTED
 */
export async function openRelay(
  settings: RelaySettings,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<Relay> {
  const { address, password: word } = settings;
  if (word === undefined) return await listen(settings, surroundings, undefined);
  const what = `password of the relay ${place(address)}`;
  const password = await managementPassword(word, what, secretsSurroundings(surroundings, signal));
  try {
    return await listen(settings, surroundings, password);
  } finally {
    // the relay goes by its hash
    password.destroy();
  }
}

async function listen(
  settings: RelaySettings,
  surroundings: Surroundings,
  password: Secret | undefined,
): Promise<Relay> {
  const { address, rights, group, keep } = settings;
  const { emit } = surroundings;
  const name = formatManagementAddress(address);
  const id = group === undefined ? undefined : await groupId(group, '--relay-group');
  const mode = settings.mode ?? ownAccess(id).mode;
  const { Relay } = await import('../management/index.ts');
  const relay = await Relay.listen({
    ...{ address, password, rights, mode, keep },
    ...(id !== undefined && { group: id }),
    onEvent: ({ type, ...fields }) => {
      emit({ type: 'relay-client', relay: name, change: type, ...fields });
    },
  });
  emit({ type: 'relay-listening', relay: name, rights });
  if (password === undefined && (await whoReaches(address, mode)) !== 'nobody')
    emit({ type: 'relay-reachable', relay: name });
  return relay;
}

/** An address without its port, for prompts. */
export function place(address: ManagementAddress): string {
  return address.kind === 'unix' ? address.path : address.host;
}
