import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AgentEvent } from '../agent/events.ts';
import type { AgentState, AuditState, PinTries } from '../status/agent-state.ts';
import { RequestCounts, schemeOf } from './request-counts.ts';

/** Where the values come from. */
export interface MetricsSource {
  readonly state: AgentState;
  readonly release: string;
  /** Lines of the log that were lost so far. */
  readonly lostLines: () => number;
  /** Bytes of memory that the process takes. */
  readonly memory: () => number;
}

/** Seconds: from a software key to a card that waits for a finger, and to `--deadline`'s default. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

const TRIES: readonly PinTries[] = ['ok', 'count low', 'final try', 'locked'];

/** OpenVPN's words (management-notes); a daemon could say anything. */
const DAEMON_STATES: ReadonlySet<string> = new Set([
  ...['CONNECTING', 'WAIT', 'AUTH', 'GET_CONFIG', 'ASSIGN_IP', 'ADD_ROUTES', 'CONNECTED', 'RECONNECTING', 'EXITING'],
  ...['RESOLVE', 'TCP_CONNECT', 'AUTH_PENDING'],
]);

type Labels = Readonly<Record<string, string>>;
/** Labels and a value each, as they are when they are asked for. */
type Values = () => Iterable<readonly [Labels, number]>;

function* mapped<Value>(
  all: ReadonlyMap<string, Value>,
  label: string,
  valueOf: (value: Value) => number | undefined,
): Iterable<readonly [Labels, number]> {
  for (const [name, each] of all) {
    const value = valueOf(each);
    if (value !== undefined) yield [{ [label]: name }, value];
  }
}

const seconds = (milliseconds: number | undefined): number | undefined =>
  milliseconds === undefined ? undefined : milliseconds / 1000;

/** The agent in numbers, for Prometheus: docs/METRICS.md has each. */
export class AgentMetrics {
  readonly #registry = new Registry();
  readonly #source: MetricsSource;
  readonly #requests = new RequestCounts();
  readonly #durations: Histogram<'key' | 'scheme'>;
  readonly #modules: Histogram<'module'>;
  readonly #waits: Histogram<'module'>;
  readonly #queued = new Map<string, number>();
  #authenticationFailures = 0;

  constructor(source: MetricsSource) {
    this.#source = source;
    const registers = [this.#registry];
    const histogram = <Name extends string>(name: string, help: string, labelNames: Name[]): Histogram<Name> =>
      new Histogram({ name, help, labelNames, registers, buckets: BUCKETS });
    this.#durations = histogram('pksigd_request_duration_seconds', 'Time from a request to its signature.', [
      'key',
      'scheme',
    ]);
    this.#modules = histogram(
      'pksigd_module_sign_duration_seconds',
      'Time that a PKCS#11 module took for one call to sign.',
      ['module'],
    );
    this.#waits = histogram(
      'pksigd_module_wait_seconds',
      'Time that a call to sign waited for its turn at the module.',
      ['module'],
    );
    this.#addRequests();
    this.#addTunnels();
    this.#addKeys();
    this.#addTokens();
    this.#addAgent();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** Takes an event, which the state has taken before. */
  readonly take = (event: AgentEvent): void => {
    if (event.type === 'request-done') {
      const { tunnel, outcome } = event;
      const key = this.#source.state.tunnels.get(tunnel)?.key ?? 'none';
      this.#requests.add(tunnel, key, outcome);
      if (outcome.outcome === 'signed' && outcome.durationMs !== undefined)
        this.#durations.observe({ key, scheme: schemeOf(outcome) }, outcome.durationMs / 1000);
    } else if (event.type === 'module-host' && event.event.type === 'signed') {
      const { modulePath: module, durationMs, waitedMs, queued } = event.event;
      this.#modules.observe({ module }, durationMs / 1000);
      this.#waits.observe({ module }, waitedMs / 1000);
      this.#queued.set(module, queued);
    } else if (event.type === 'settings-applied') {
      this.#requests.keepOnly(event.tunnels);
    } else if (event.type === 'daemon-rejected') {
      this.#authenticationFailures += event.count;
    }
  };

  #gauge(name: string, help: string, labelNames: readonly string[], values: Values): void {
    new Gauge({
      ...{ name, help, labelNames, registers: [this.#registry] },
      collect() {
        this.reset();
        for (const [labels, value] of values()) this.set(labels, value);
      },
    });
  }

  #counter(name: string, help: string, labelNames: readonly string[], values: Values): void {
    new Counter({
      ...{ name, help, labelNames, registers: [this.#registry] },
      collect() {
        this.reset();
        for (const [labels, value] of values()) this.inc(labels, value);
      },
    });
  }

  #addRequests(): void {
    const labels = ['tunnel', 'key', 'outcome', 'scheme', 'code'];
    const requests = this.#requests;
    this.#counter(
      'pksigd_requests_total',
      'Requests for signatures that ended, by what became of them.',
      labels,
      function* () {
        for (const { labels: each, count } of requests) yield [{ ...each }, count];
      },
    );
    this.#gauge('pksigd_module_queue_length', 'Calls that waited behind the last call to sign.', ['module'], () =>
      mapped(this.#queued, 'module', (value) => value),
    );
    this.#counter('pksigd_rejected_connections_total', 'Connections that were turned away.', [], () => [
      [{}, this.#authenticationFailures],
    ]);
  }

  #addTunnels(): void {
    const { tunnels, keys, relays } = this.#source.state;
    const gauge = (name: string, help: string, valueOf: Parameters<typeof mapped<TunnelOf>>[2]): void => {
      this.#gauge(name, help, ['tunnel'], () => mapped(tunnels, 'tunnel', valueOf));
    };
    gauge('pksigd_tunnel_served', 'Whether the tunnel is served at all.', ({ isServed }) => Number(isServed));
    gauge('pksigd_tunnel_connected', 'Whether a daemon is connected.', ({ daemons }) => Number(daemons > 0));
    gauge('pksigd_tunnel_held', 'Whether the daemon waits in its hold.', ({ isHeld }) => Number(isHeld));
    gauge('pksigd_tunnel_trouble', 'Whether something keeps the tunnel from working.', ({ trouble, failure, key }) =>
      Number(failure !== undefined || trouble?.isOver === false || keys.get(key ?? '')?.state === 'waiting'),
    );
    gauge('pksigd_requests_pending', 'Requests for signatures that are under way.', ({ pending }) => pending);
    gauge('pksigd_tunnel_last_signature_timestamp_seconds', 'When the last signature was made.', ({ lastSigned }) =>
      seconds(lastSigned),
    );
    this.#counter('pksigd_tunnel_connections_total', 'Connections to the daemon so far.', ['tunnel'], () =>
      mapped(tunnels, 'tunnel', ({ connections }) => connections),
    );
    this.#gauge('pksigd_tunnel_state', "1 for the daemon's own state.", ['tunnel', 'state'], function* () {
      for (const [tunnel, { daemonState }] of tunnels) {
        if (!daemonState) continue;
        yield [{ tunnel, state: DAEMON_STATES.has(daemonState.name) ? daemonState.name : 'other' }, 1];
      }
    });
    this.#gauge('pksigd_relay_clients', 'Management clients behind the relay.', ['relay'], () =>
      mapped(relays, 'relay', ({ count }) => count),
    );
  }

  #addKeys(): void {
    const { keys, copies } = this.#source.state;
    this.#gauge('pksigd_key_open', 'Whether the key is open.', ['key'], () =>
      mapped(keys, 'key', ({ state }) => Number(state === 'open')),
    );
    this.#gauge('pksigd_certificate_end_timestamp_seconds', "When the key's certificate ends.", ['key'], () =>
      mapped(keys, 'key', ({ validTo }) => seconds(validTo)),
    );
    this.#gauge('pksigd_key_copies', 'Copies of the key.', ['key'], () =>
      mapped(keys, 'key', (key) => key.copies.length),
    );
    this.#gauge(
      'pksigd_key_copies_working',
      'Copies of the key that did not fail last and are not away.',
      ['key'],
      () =>
        mapped(keys, 'key', (key) =>
          key.state === 'open' ? key.copies.filter((copy) => copies.get(copy)?.works !== false).length : 0,
        ),
    );
    this.#counter(
      'pksigd_failovers_total',
      'How often a copy of a key failed and others took its place.',
      ['copy'],
      () => mapped(copies, 'copy', ({ failures }) => failures),
    );
  }

  #addTokens(): void {
    const { tokens, hosts } = this.#source.state;
    this.#gauge('pksigd_token_present', 'Whether the token is there.', ['token'], () =>
      mapped(tokens, 'token', ({ isPresent }) => Number(isPresent)),
    );
    this.#gauge('pksigd_token_logged_in', 'Whether the token is logged in to.', ['token'], () =>
      mapped(tokens, 'token', ({ isLoggedIn }) => Number(isLoggedIn)),
    );
    this.#counter('pksigd_token_removals_total', 'How often the token went away.', ['token'], () =>
      mapped(tokens, 'token', ({ removals }) => removals),
    );
    this.#counter('pksigd_token_recoveries_total', 'Steps that were taken to recover the token.', ['token'], () =>
      mapped(tokens, 'token', ({ recoveries }) => recoveries),
    );
    const help = "1 for what the token's flags say of the tries of its PIN.";
    this.#gauge('pksigd_token_pin_tries', help, ['token', 'state'], function* () {
      for (const [token, { pin }] of tokens) {
        if (pin === undefined) continue;
        for (const state of TRIES) yield [{ token, state }, Number(state === pin)];
      }
    });
    this.#gauge('pksigd_module_processes', 'Processes that the module is loaded in.', ['module'], () =>
      mapped(hosts, 'module', ({ pids }) => pids.length),
    );
    this.#counter(
      'pksigd_module_restarts_total',
      "Ends of the module's processes that nobody asked for.",
      ['module'],
      () => mapped(hosts, 'module', ({ restarts }) => restarts),
    );
  }

  #addAgent(): void {
    const { state, release, lostLines, memory } = this.#source;
    this.#gauge('pksigd_info', 'The release.', ['release'], () => [[{ release }, 1]]);
    this.#gauge('pksigd_start_time_seconds', 'When the agent started.', [], () => [[{}, state.startedAt / 1000]]);
    this.#gauge('pksigd_locked', 'Whether the agent refuses all requests.', [], () => [[{}, Number(state.isLocked)]]);
    this.#counter('pksigd_lost_log_lines_total', 'Lines of the log that could not be written.', [], () => [
      [{}, lostLines()],
    ]);
    const ofAudit = (valueOf: (audit: AuditState) => number): Values =>
      function* () {
        if (state.audit) yield [{}, valueOf(state.audit)];
      };
    this.#gauge(
      'pksigd_audit_failing',
      'Whether the audit log can not be written.',
      [],
      ofAudit(({ error }) => Number(error !== undefined)),
    );
    this.#gauge(
      'pksigd_audit_sequence',
      'Sequence number of the last entry of the audit log.',
      [],
      ofAudit(({ sequence }) => sequence),
    );
    this.#counter(
      'pksigd_audit_lost_entries_total',
      'Entries of the audit log that could not be written.',
      [],
      ofAudit(({ lostEntries }) => lostEntries),
    );
    this.#counter(
      'pksigd_audit_lost_signatures_total',
      'Signatures that left without an entry in the audit log.',
      [],
      ofAudit(({ lostSignatures }) => lostSignatures),
    );
    this.#gauge('pksigd_resident_memory_bytes', 'Memory of the agent, without its modules.', [], () => [
      [{}, memory()],
    ]);
  }
}

type TunnelOf = AgentState['tunnels'] extends Map<string, infer Value> ? Value : never;
