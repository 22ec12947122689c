import type { Server, Socket } from 'node:net';
import type { ManagementAddress } from '../sockets/address.ts';
import { BoundServer, type SocketAccess } from '../sockets/bound-server.ts';

/**
 * Listens where the relay's clients connect. A unix socket that nothing listens on is replaced.
 *
 * @throws AgentError ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_LISTEN
 */
export async function listenForClients(
  address: ManagementAddress,
  access: SocketAccess,
  onClient: (socket: Socket) => void,
): Promise<Server> {
  // a client that ends its side (`echo status | nc`) still gets its replies
  const options = { allowHalfOpen: true, noDelay: true };
  return await BoundServer.listen(address, access, options, onClient, "the relay's clients");
}
