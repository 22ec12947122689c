import type { RelayClient } from './relay-client.ts';

/** More at once are turned away: descriptors that they hold would be missing for the daemon. */
const MAX_CLIENTS = 500;
/** Clients that haven't given the password yet, beside those. */
const MAX_STRANGERS = 32;

/**
 * Who may be connected. Those that still owe the password have few places, all of their own: however many there are,
 * they do not keep out a client that knows it.
 */
export class Places {
  readonly clients: Set<RelayClient> = new Set<RelayClient>();
  /** In the order in which they came. */
  readonly #strangers = new Set<RelayClient>();

  /** All that are connected. */
  get all(): readonly RelayClient[] {
    return [...this.#strangers, ...this.clients];
  }

  /**
   * A place for one that owes the password. If there is none, the one that has kept its place longest without a word
   * goes; one that awaits its answer stays.
   *
   * @returns who has to go: possibly the new one itself
   */
  takeStranger(client: RelayClient): RelayClient | undefined {
    if (this.#strangers.size < MAX_STRANGERS) {
      this.#strangers.add(client);
      return undefined;
    }
    const oldest = [...this.#strangers].find((each) => !each.awaitsAnswer);
    if (oldest === undefined) return client;
    this.#strangers.delete(oldest);
    this.#strangers.add(client);
    return oldest;
  }

  /**
   * The client has given the password, or needn't. If there is no place for it, the first goes that has sent all that it ever
   * will, and waits for a daemon: such clients may have left long ago, which nothing shows as long as they are told nothing.
   *
   * @returns who has to go: possibly the new one itself
   */
  admit(client: RelayClient): RelayClient | undefined {
    this.#strangers.delete(client);
    const isFull = this.clients.size >= MAX_CLIENTS;
    const out = isFull ? [...this.clients].find((each) => each.inputEnded && !each.greeted) : undefined;
    if (isFull && out === undefined) return client;
    if (out !== undefined) this.clients.delete(out);
    this.clients.add(client);
    return out;
  }

  leave(client: RelayClient): void {
    this.#strangers.delete(client);
    this.clients.delete(client);
  }
}
