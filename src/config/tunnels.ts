import { AgentError } from '../errors.ts';
import { formatManagementAddress, type ManagementAddress } from '../management/index.ts';
import { realPath } from '../management/internal.ts';
import type { BrokenTunnel, TunnelSettings } from './settings.ts';

/** One text for one address, however it is written. */
export function placeOf(address: ManagementAddress): string {
  return address.kind === 'unix' ? realPath(address.path) : `${address.host.toLowerCase()} ${address.port}`;
}

/** Where tunnels listen, for daemons and for a relay's clients, as {@link placeOf} says it. */
export function placesOf(tunnels: readonly TunnelSettings[]): Set<string> {
  const addresses = tunnels.flatMap(({ listen, address, relay }) => [
    ...(listen ? [address] : []),
    ...(relay ? [relay.address] : []),
  ]);
  return new Set(addresses.map(placeOf));
}

/** Where the agent itself listens, as the options say. */
export interface OwnPlaces {
  /** A path, or `none`. */
  readonly control?: string | undefined;
  /** ADDRESS PORT, or PATH unix. */
  readonly metrics?: readonly string[] | undefined;
}

/** Tunnels by their names: no two have one name, and no two addresses of them are the same. */
export class Tunnels {
  readonly broken: BrokenTunnel[] = [];
  readonly #settings = new Map<string, TunnelSettings>();
  /** Of addresses. */
  readonly #users = new Map<string, string>();

  get settings(): Record<string, TunnelSettings> {
    return Object.fromEntries(this.#settings);
  }

  /**
   * Keeps tunnels from an address that the agent itself listens on.
   * @param user who has it, as the error calls it
   * @throws AgentError ERR_USAGE
   */
  reserve(user: string, address: ManagementAddress): void {
    this.#refuseTaken(address);
    this.#users.set(placeOf(address), user);
  }

  #refuseTaken(address: ManagementAddress): void {
    const other = this.#users.get(placeOf(address));
    if (other === undefined) return;
    throw new AgentError('ERR_USAGE', `${formatManagementAddress(address)} is in use by ${other}`);
  }

  /** @throws AgentError ERR_USAGE */
  add(name: string, tunnel: TunnelSettings): void {
    const addresses = [tunnel.address, ...(tunnel.relay ? [tunnel.relay.address] : [])];
    for (const address of addresses) this.#refuseTaken(address);
    if (this.#settings.has(name)) throw new AgentError('ERR_USAGE', `there are two tunnels '${name}'`);
    for (const address of addresses) this.#users.set(placeOf(address), `tunnel '${name}'`);
    this.#settings.set(name, tunnel);
  }
}
