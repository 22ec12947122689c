import type { AgentEvent } from '../agent/events.ts';
import { SYSTEM_CLOCK } from '../clock.ts';
import { AgentState } from '../status/agent-state.ts';
import { statusReport, type StatusReport } from '../status/report.ts';
import { AgentError } from '../errors.ts';
import { withResolvers, type Resolvers } from '../promises.ts';
import type { Logger } from './standard-streams.ts';
import { version } from './version.ts';

/** Tunnels that get a line of their own in the log: thousands would fill it. */
const MOST_LINES = 100;
/** Milliseconds between two reports in the log, however often they are asked for. */
const QUIET = 1_000;

/** What an event says of a part of a reload that failed. */
function reloadFailure(event: AgentEvent): AgentError | undefined {
  switch (event.type) {
    case 'tunnel-failed':
      return new AgentError(event.code ?? 'ERR_CONFIG', `tunnel '${event.tunnel}' failed: ${event.error}`);
    case 'key-kept':
      return new AgentError(event.code ?? 'ERR_CONFIG', `key '${event.key}' stays as it was: ${event.error}`);
    case 'audit-kept':
      return new AgentError('ERR_AUDIT_FILE', `the audit log stays as it was: ${event.error}`);
    case 'socket-not-renewed':
      return new AgentError(event.code ?? 'ERR_MANAGEMENT_LISTEN', event.error);
    default:
      return undefined;
  }
}

/** What this process's agent is doing, for those who ask. */
export class AgentStatus {
  readonly state: AgentState = new AgentState(Date.now());
  /** Who waits for the reload that is under way, and for the next one: that one reads what is there then. */
  #reload: Resolvers<unknown> | undefined;
  #nextReload: Resolvers<unknown> | undefined;
  #lacks: AgentError[] = [];
  #reportedAt = Number.NEGATIVE_INFINITY;

  readonly take = (event: AgentEvent): void => {
    this.state.take(event, Date.now());
    const failure = reloadFailure(event);
    if (failure) this.reloadLacks(failure);
    if (event.type === 'reloaded') this.#reloaded(event);
    if (event.type === 'reload-failed')
      this.#endReload()?.reject(new AgentError(event.code ?? 'ERR_CONFIG', event.error));
  };

  /** A reload begins: what fails from now on is its. */
  beginReload(): void {
    this.#lacks = [];
    this.#reload = this.#nextReload;
    this.#nextReload = undefined;
  }

  /** Part of the reload failed; the rest goes on. */
  reloadLacks(failure: AgentError): void {
    this.#lacks.push(failure);
  }

  #reloaded(event: AgentEvent): void {
    const [first, ...others] = this.#lacks;
    if (!first) {
      this.#endReload()?.resolve(event);
      return;
    }
    const more = others.length === 0 ? '' : ` (and ${others.length} more: see the log)`;
    this.#endReload()?.reject(new AgentError(first.code, `reloaded, but not all of it: ${first.line}${more}`));
  }

  #endReload(): Resolvers<unknown> | undefined {
    const reload = this.#reload;
    this.#reload = undefined;
    return reload;
  }

  /** What becomes of the next reload to begin. @throws AgentError why it failed */
  nextReload(): Promise<unknown> {
    this.#nextReload ??= withResolvers<unknown>();
    return this.#nextReload.promise;
  }

  report(): StatusReport {
    return statusReport(this.state, { release: version, pid: process.pid, now: Date.now() });
  }

  /** Writes a report to the log: a line for the whole, and one each for tunnels, keys, tokens, modules and relays. */
  log(log: Logger): void {
    const now = SYSTEM_CLOCK.now();
    if (now - this.#reportedAt < QUIET) return;
    this.#reportedAt = now;
    const { tunnels, keys, tokens, hosts, relays, ...rest } = this.report();
    const connected = tunnels.filter((tunnel) => tunnel.connected).length;
    log.info({ ...rest, tunnels: tunnels.length, connected }, 'status');
    // those that something is wrong with are worth their lines most
    const byWorth = [...tunnels].sort((one, other) => Number(one.connected) - Number(other.connected));
    for (const { name, ...tunnel } of byWorth.slice(0, MOST_LINES))
      log.info({ tunnel: name, ...tunnel }, 'status of a tunnel');
    if (tunnels.length > MOST_LINES)
      log.info({ tunnels: tunnels.length - MOST_LINES }, 'status of further tunnels is left out');
    for (const { name, key, ...about } of keys)
      log.info({ name, ...(key !== null && { key }), ...about }, 'status of a key');
    for (const { label, pin, ...token } of tokens)
      log.info({ token: label, tries: pin, ...token }, 'status of a token');
    for (const host of hosts) log.info(host, 'status of a module');
    for (const { address, ...relay } of relays) log.info({ relay: address, ...relay }, 'status of a relay');
  }
}
