import type { Renewed } from '../agent/difference.ts';
import type { Emit } from '../agent/events.ts';
import { errorCode, errorText } from '../errors.ts';
import { formatManagementAddress } from '../management/index.ts';
import { BoundServer } from '../management/internal.ts';

/** Binds those sockets of this process anew whose files have gone, whoever listens there. Never rejects. */
export async function renewSockets(emit: Emit): Promise<Renewed> {
  const renewed: string[] = [];
  for (const { address, error } of await BoundServer.renewGone()) {
    const socket = formatManagementAddress(address);
    if (error === undefined) {
      renewed.push(socket);
      emit({ type: 'socket-renewed', socket });
    } else {
      emit({ type: 'socket-not-renewed', socket, code: errorCode(error), error: errorText(error) });
    }
  }
  return renewed.length > 0 ? { renewed } : {};
}
