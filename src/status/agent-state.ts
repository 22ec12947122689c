import type { AgentEvent } from '../agent/events.ts';
import { clipped, newTunnel, nextTunnel, type TunnelEvent, type TunnelState } from './tunnel-state.ts';

export type PinTries = 'ok' | 'count low' | 'final try' | 'locked';

/** A key that the settings name. Times are milliseconds since 1970. */
export interface KeyState {
  readonly state: 'opening' | 'waiting' | 'open' | 'failed';
  readonly since: number;
  /** As the log calls it, once it is open. */
  readonly key: string | undefined;
  readonly certificate: string | undefined;
  /** End of the certificate. */
  readonly validTo: number | undefined;
  readonly copies: readonly string[];
  readonly error: string | undefined;
}

/** One of several copies of a key. */
export interface CopyState {
  readonly works: boolean;
  readonly since: number;
  readonly failures: number;
  readonly error: string | undefined;
}

export interface TokenState {
  readonly isPresent: boolean;
  readonly since: number;
  readonly removals: number;
  /** As the token's flags said last. */
  readonly pin: PinTries | undefined;
  readonly hasKeypad: boolean;
  readonly isLoggedIn: boolean;
  readonly recoveries: number;
  readonly error: string | undefined;
}

/** The processes that one module is loaded in. */
export interface HostState {
  readonly pids: readonly number[];
  readonly starts: number;
  /** Ends that nobody asked for. */
  readonly restarts: number;
  readonly lastEnd: { readonly at: number; readonly reason: string } | undefined;
}

/** The audit log, if there is one. */
export interface AuditState {
  readonly file: string;
  /** Of its last entry. */
  readonly sequence: number;
  /** Why it can't be written; undefined while it can. */
  readonly error: string | undefined;
  readonly lostEntries: number;
  /** Signatures that left without an entry. */
  readonly lostSignatures: number;
}

export interface RelayState {
  readonly rights: string;
  /** Who is connected, by name; more than are kept are only counted. */
  readonly clients: readonly string[];
  readonly count: number;
  readonly refused: number;
}

/** Labels, addresses and names come from outside: no more than so many of a kind are kept. */
const MOST = 256;
const MOST_CLIENTS = 32;

/** What stands under a name, or what is new there; undefined if there are too many. */
function grow<Value>(all: Map<string, Value>, name: string, fresh: () => Value): Value | undefined {
  return all.get(name) ?? (all.size < MOST ? fresh() : undefined);
}

const NEW_TOKEN: Omit<TokenState, 'since'> = {
  ...{ isPresent: true, removals: 0, pin: undefined, hasKeypad: false },
  ...{ isLoggedIn: false, recoveries: 0, error: undefined },
};
const NEW_HOST: HostState = { pids: [], starts: 0, restarts: 0, lastEnd: undefined };

function keepOnly(all: Map<string, unknown>, names: readonly string[]): void {
  const kept = new Set(names);
  for (const name of all.keys()) if (!kept.has(name)) all.delete(name);
}

type EventOf<Type extends AgentEvent['type']> = Extract<AgentEvent, { readonly type: Type }>;

/** In milliseconds since 1970. */
function timeOf(text: string | undefined): number | undefined {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

function nextKey(key: KeyState | undefined, event: EventOf<'key-state'>, at: number): KeyState {
  const { state, certificate, validTo, copies, error } = event;
  // why it waits may change while it does
  const since = state === 'waiting' && key?.state === state ? key.since : at;
  return {
    ...{ state, since, key: event.key, certificate },
    validTo: timeOf(validTo),
    copies: copies ?? key?.copies ?? [],
    error: error === undefined ? undefined : clipped(error),
  };
}

type OfToken = Extract<AgentEvent, { readonly token: string }>;

function nextToken(token: TokenState, event: OfToken, at: number): TokenState {
  switch (event.type) {
    case 'token-state': {
      const { pin, hasKeypad, isLoggedIn } = event;
      // it was seen: by a session that was opened anew, too, which does not know that it was away
      const { isPresent, since } = token;
      const error = isLoggedIn || !isPresent ? undefined : token.error;
      return { ...token, pin, hasKeypad, isLoggedIn, isPresent: true, since: isPresent ? since : at, error };
    }
    case 'login-failed':
      return { ...token, isLoggedIn: false, error: clipped(event.error) };
    case 'lost':
      return {
        ...token,
        ...{ isPresent: false, isLoggedIn: false, since: at, removals: token.removals + 1 },
        error: clipped(event.error),
      };
    case 'found':
      return { ...token, isPresent: true, since: at, error: undefined };
    case 'recovering':
      return { ...token, recoveries: token.recoveries + 1 };
    case 'pin-count-low':
      return { ...token, pin: token.pin === 'final try' ? token.pin : 'count low' };
    default:
      return token;
  }
}

function nextHost(host: HostState, { event }: EventOf<'module-host'>, at: number): HostState {
  switch (event.type) {
    case 'started':
      return { ...host, pids: [...host.pids, event.pid].slice(-MOST_CLIENTS), starts: host.starts + 1 };
    case 'ended':
      return {
        ...host,
        pids: host.pids.filter((pid) => pid !== event.pid),
        restarts: host.restarts + (event.expected ? 0 : 1),
        lastEnd: { at, reason: clipped(event.reason) },
      };
    default:
      return host;
  }
}

function nextAudit(audit: AuditState | undefined, event: AgentEvent): AuditState | undefined {
  switch (event.type) {
    case 'audit-opened': {
      const { file, sequence } = event;
      const { lostEntries = 0, lostSignatures = 0 } = audit ?? {};
      // it may have failed before it was open
      return { file, sequence, error: audit?.error, lostEntries, lostSignatures };
    }
    case 'audit-closed':
      return audit?.file === event.file ? undefined : audit;
    case 'audit-written': {
      const { sequence, lostEntries, lostSignatures } = event;
      return audit && { ...audit, sequence, lostEntries, lostSignatures };
    }
    case 'audit-failed': {
      const { file, error, entries, signatures } = event;
      const known = audit ?? { file, sequence: 0, lostEntries: entries, lostSignatures: signatures };
      return { ...known, error: clipped(error) };
    }
    case 'audit-works':
      return audit && { ...audit, error: undefined };
    default:
      return audit;
  }
}

function nextRelay(relay: RelayState, { change, client }: EventOf<'relay-client'>): RelayState {
  if (change === 'refused') return { ...relay, refused: relay.refused + 1 };
  const others = relay.clients.filter((name) => name !== client);
  if (change === 'connected')
    return { ...relay, clients: [...others, clipped(client)].slice(-MOST_CLIENTS), count: relay.count + 1 };
  return { ...relay, clients: others, count: Math.max(0, relay.count - 1) };
}

/**
 * The state of an agent, made of its events alone: what they say of each tunnel, key, token, module and relay. Its memory is
 * bounded however many events come.
 */
export class AgentState {
  readonly startedAt: number;
  readonly tunnels: Map<string, TunnelState> = new Map<string, TunnelState>();
  readonly keys: Map<string, KeyState> = new Map<string, KeyState>();
  readonly copies: Map<string, CopyState> = new Map<string, CopyState>();
  readonly tokens: Map<string, TokenState> = new Map<string, TokenState>();
  readonly hosts: Map<string, HostState> = new Map<string, HostState>();
  readonly relays: Map<string, RelayState> = new Map<string, RelayState>();
  #audit: AuditState | undefined;
  #isLocked = false;

  /** @param startedAt milliseconds since 1970 */
  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  get isLocked(): boolean {
    return this.#isLocked;
  }

  get audit(): AuditState | undefined {
    return this.#audit;
  }

  /** Takes an event that happened at a time, in milliseconds since 1970. */
  take(event: AgentEvent, at: number): void {
    if (event.type === 'setup-checked') return;
    if ('tunnel' in event) this.#takeOfTunnel(event, at);
    else if ('token' in event) this.#takeOfToken(event, at);
    else this.#takeOther(event, at);
  }

  #takeOfTunnel(event: TunnelEvent, at: number): void {
    const { tunnel: name } = event;
    const known = this.tunnels.get(name);
    // all events of a tunnel come behind this one: names are those of the settings
    if (known) this.tunnels.set(name, nextTunnel(known, event, at));
    else if (event.type === 'tunnel-opened' || event.type === 'tunnel-failed')
      this.tunnels.set(name, nextTunnel(newTunnel(at), event, at));
  }

  #takeOfToken(event: OfToken, at: number): void {
    const token = grow(this.tokens, event.token, () => ({ ...NEW_TOKEN, since: at }));
    if (token) this.tokens.set(event.token, nextToken(token, event, at));
  }

  #takeOther(event: AgentEvent, at: number): void {
    this.#audit = nextAudit(this.#audit, event);
    switch (event.type) {
      case 'key-state': {
        this.keys.set(event.name, nextKey(this.keys.get(event.name), event, at));
        break;
      }
      case 'certificate-changed': {
        const key = this.keys.get(event.name);
        const { certificate, validTo } = event;
        if (key) this.keys.set(event.name, { ...key, key: event.key, certificate, validTo: timeOf(validTo) });
        break;
      }
      case 'key-changed': {
        const key = this.keys.get(event.name);
        if (key) this.keys.set(event.name, { ...key, key: event.key, certificate: undefined, validTo: undefined });
        break;
      }
      case 'copy-failed':
      case 'copy-works': {
        const { key, error } = event;
        const works = event.type === 'copy-works';
        const fresh = (): CopyState => ({ works: true, since: at, failures: 0, error: undefined });
        const copy = grow(this.copies, key, fresh);
        if (!copy) break;
        const failures = copy.failures + (works ? 0 : 1);
        this.copies.set(key, { works, failures, since: at, error: error === undefined ? undefined : clipped(error) });
        break;
      }
      case 'module-host': {
        const { modulePath } = event.event;
        const host = grow(this.hosts, modulePath, () => NEW_HOST);
        if (host) this.hosts.set(modulePath, nextHost(host, event, at));
        break;
      }
      case 'relay-listening': {
        this.relays.set(event.relay, { rights: event.rights, clients: [], count: 0, refused: 0 });
        break;
      }
      case 'relay-client': {
        const relay = this.relays.get(event.relay);
        if (relay) this.relays.set(event.relay, nextRelay(relay, event));
        break;
      }
      case 'settings-applied': {
        keepOnly(this.tunnels, event.tunnels);
        keepOnly(this.keys, event.keys);
        keepOnly(this.tokens, event.tokens);
        const relays = [...this.tunnels.values()].flatMap(({ relay }) => (relay === undefined ? [] : [relay]));
        keepOnly(this.relays, relays);
        keepOnly(
          this.copies,
          [...this.keys.values()].flatMap(({ copies }) => copies),
        );
        break;
      }
      case 'agent-locked':
      case 'agent-unlocked': {
        this.#isLocked = event.type === 'agent-locked';
        break;
      }
      default:
    }
  }
}
