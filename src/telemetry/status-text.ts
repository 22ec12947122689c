import type { AgentEvent } from '../agent/events.ts';

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`;

/** How the agent is, in one line for people, by its events. */
export class StatusText {
  tunnels = 0;
  /** How many connections each tunnel has, of those that have any. */
  readonly #connected = new Map<string, number>();
  readonly #failed = new Map<string, string>();
  /** Those that were here and went. */
  readonly #lost = new Set<string>();
  /** What was said of keys that wait for their token at the start. */
  #awaited: string | undefined;

  /** @returns whether the text may be another now */
  take(event: AgentEvent): boolean {
    switch (event.type) {
      case 'daemon-connected':
        this.#connect(event.tunnel, 1);
        return true;
      case 'daemon-disconnected':
        this.#connect(event.tunnel, -1);
        return true;
      case 'tunnel-failed':
        this.#failed.set(event.tunnel, event.error);
        return true;
      case 'tunnel-listening':
        return this.#failed.delete(event.tunnel);
      case 'tunnel-removed':
      case 'tunnel-changed':
        return this.#failed.delete(event.tunnel);
      case 'reloaded':
        this.tunnels = event.added + event.changed + event.unchanged;
        return true;
      case 'lost':
        this.#lost.add(event.token);
        return true;
      case 'found':
        return this.#lost.delete(event.token);
      case 'trouble':
        if (event.trouble !== 'token-absent') return false;
        this.#awaited = event.details.error ?? 'it is not there';
        return true;
      case 'trouble-over':
        if (event.subject !== 'token') return false;
        this.#awaited = undefined;
        return true;
      default:
        return false;
    }
  }

  get text(): string {
    const parts = [`${count(this.tunnels, 'tunnel')}, ${this.#connected.size} connected`];
    if (this.#lost.size > 0) parts.push(`away: ${[...this.#lost].map((token) => `token '${token}'`).join(', ')}`);
    if (this.#awaited !== undefined) parts.push(`waiting for a token: ${this.#awaited}`);
    const [first] = this.#failed;
    if (first) parts.push(`${count(this.#failed.size, 'tunnel')} failed, '${first[0]}': ${first[1]}`);
    return parts.join('; ');
  }

  #connect(tunnel: string, change: number): void {
    const connections = (this.#connected.get(tunnel) ?? 0) + change;
    if (connections > 0) this.#connected.set(tunnel, connections);
    else this.#connected.delete(tunnel);
  }
}
