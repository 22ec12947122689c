import { AgentError } from '../errors.ts';
import { formatManagementAddress, type ManagementAddress } from '../management/index.ts';
import { realPath } from '../management/internal.ts';
import type { BrokenTunnel, TunnelSettings } from './settings.ts';

/** One text for one address, however it is written. */
export function placeOf(address: ManagementAddress): string {
  return address.kind === 'unix' ? realPath(address.path) : `${address.host.toLowerCase()} ${address.port}`;
}

/** Tunnels by their names: no two have one name, and no two addresses of them are the same. */
export class Tunnels {
  readonly broken: BrokenTunnel[] = [];
  readonly #settings = new Map<string, TunnelSettings>();
  readonly #places = new Map<string, string>();

  get settings(): Record<string, TunnelSettings> {
    return Object.fromEntries(this.#settings);
  }

  /** @throws AgentError ERR_USAGE */
  add(name: string, tunnel: TunnelSettings): void {
    const addresses = [tunnel.address, ...(tunnel.relay ? [tunnel.relay.address] : [])];
    for (const address of addresses) {
      const other = this.#places.get(placeOf(address));
      if (other !== undefined)
        throw new AgentError('ERR_USAGE', `${formatManagementAddress(address)} is in use by tunnel '${other}'`);
    }
    if (this.#settings.has(name)) throw new AgentError('ERR_USAGE', `there are two tunnels '${name}'`);
    for (const address of addresses) this.#places.set(placeOf(address), name);
    this.#settings.set(name, tunnel);
  }
}
