import { lookup } from 'node:dns/promises';
import { isIP, SocketAddress } from 'node:net';
import type { ManagementAddress } from './address.ts';
import { type Descriptor, InheritedSocket } from './inherited-socket.ts';
import { realPath } from './real-path.ts';

/**
 * The sockets that this process was given when it started, found by the address that each has. While settings are taken
 * ({@link hold}) connections wait for who will serve them; afterwards ({@link settle}) those that nobody serves are ended.
 */
export class InheritedSockets {
  #sockets: readonly InheritedSocket[] = [];
  /** Those of which it is told that nobody serves them. */
  readonly #told = new Set<InheritedSocket>();

  /** @throws AgentError ERR_USAGE for what is no listening stream socket */
  async adopt(descriptors: readonly Descriptor[]): Promise<void> {
    const sockets: InheritedSocket[] = [];
    for (const descriptor of descriptors) sockets.push(await InheritedSocket.adopt(descriptor));
    this.#sockets = sockets;
  }

  /** The one at this address, if it is free. */
  async find(asked: ManagementAddress): Promise<InheritedSocket | undefined> {
    if (this.#sockets.length === 0) return undefined;
    const found = asked.kind === 'unix' ? this.#at(asked.path) : await this.#atPort(asked);
    return found?.isTaken === false ? found : undefined;
  }

  hasPath(path: string): boolean {
    return this.#sockets.length > 0 && this.#at(path) !== undefined;
  }

  #at(path: string): InheritedSocket | undefined {
    const place = realPath(path);
    return this.#sockets.find(({ address }) => address?.kind === 'unix' && address.path === place);
  }

  async #atPort(asked: { readonly host: string; readonly port: number }): Promise<InheritedSocket | undefined> {
    const sockets = this.#sockets.flatMap((socket) =>
      socket.address?.kind === 'tcp' && socket.address.port === asked.port
        ? [{ socket, host: canonical(socket.address.host) }]
        : [],
    );
    if (sockets.length === 0) return undefined;
    const hosts = await lookup(asked.host, { all: true }).catch(() => []);
    const names = new Set(hosts.map(({ address }) => canonical(address)));
    return sockets.find(({ host }) => names.has(host))?.socket;
  }

  hold(): void {
    for (const socket of this.#sockets) socket.untaken = 'wait';
  }

  /** @returns the labels of those that nobody serves, and of which that was not told yet */
  settle(): string[] {
    const labels: string[] = [];
    for (const socket of this.#sockets) {
      socket.untaken = 'go';
      if (socket.isTaken) this.#told.delete(socket);
      else if (!this.#told.has(socket)) labels.push(socket.label);
      if (!socket.isTaken) this.#told.add(socket);
    }
    return labels;
  }

  /** Listens no more, whoever serves: who comes now waits for the next process that is given the sockets. */
  close(): void {
    for (const socket of this.#sockets) socket.close();
    this.#sockets = [];
  }
}

/** One text for one IP address. */
function canonical(host: string): string {
  return isIP(host) === 6 ? new SocketAddress({ address: host, family: 'ipv6' }).address : host;
}

/** Those of this process. */
export const INHERITED: InheritedSockets = new InheritedSockets();
