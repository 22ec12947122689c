import type { TroubleKind } from '../agent/events.ts';
import type { AgentState, CopyState, TokenState } from './agent-state.ts';
import type { OutcomeName, TunnelState } from './tunnel-state.ts';

// What `pksigd status --json` prints: programs read it. docs/STATUS.md has each field. Times are RFC 3339, in UTC.

/** Changes when a field gets another meaning, or goes. */
export const REPORT_VERSION = 1;

export interface TunnelReport {
  readonly name: string;
  readonly key: string | null;
  readonly served: boolean;
  /** Why it is not, if that is a failure. */
  readonly failure: { readonly code: string | null; readonly error: string } | null;
  readonly connected: boolean;
  readonly since: string;
  readonly daemons: number;
  readonly connections: number;
  readonly held: boolean;
  readonly daemon: { readonly state: string; readonly detail: string | null; readonly since: string } | null;
  readonly lastRequest: {
    readonly at: string;
    readonly outcome: OutcomeName;
    readonly scheme: string | null;
    readonly code: string | null;
    readonly error: string | null;
    readonly durationMs: number | null;
  } | null;
  readonly lastSigned: string | null;
  readonly counts: Readonly<Record<OutcomeName, number>>;
  readonly codes: Readonly<Record<string, number>>;
  readonly pending: number;
  readonly trouble: {
    readonly kind: TroubleKind;
    readonly level: 'warn' | 'error';
    readonly error: string | null;
    readonly since: string;
    readonly over: boolean;
  } | null;
  readonly relay: string | null;
}

export interface KeyReport {
  readonly name: string;
  readonly state: 'opening' | 'waiting' | 'open' | 'failed';
  readonly since: string;
  readonly key: string | null;
  readonly certificate: { readonly subject: string; readonly validTo: string | null } | null;
  readonly copies: readonly {
    readonly key: string;
    readonly works: boolean;
    readonly failures: number;
    readonly error: string | null;
  }[];
  readonly error: string | null;
}

export interface TokenReport {
  readonly label: string;
  readonly present: boolean;
  readonly since: string;
  readonly removals: number;
  readonly recoveries: number;
  readonly pin: string | null;
  readonly keypad: boolean;
  readonly loggedIn: boolean;
  readonly error: string | null;
}

export interface HostReport {
  readonly module: string;
  readonly pids: readonly number[];
  readonly starts: number;
  readonly restarts: number;
  readonly lastEnd: { readonly at: string; readonly reason: string } | null;
}

export interface RelayReport {
  readonly address: string;
  readonly rights: string;
  readonly count: number;
  readonly clients: readonly string[];
  readonly refused: number;
}

export interface AuditReport {
  readonly file: string;
  readonly sequence: number;
  readonly failing: boolean;
  readonly error: string | null;
  readonly lostEntries: number;
  readonly lostSignatures: number;
}

export interface StatusReport {
  readonly version: typeof REPORT_VERSION;
  readonly release: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly now: string;
  readonly locked: boolean;
  readonly tunnels: readonly TunnelReport[];
  readonly keys: readonly KeyReport[];
  readonly tokens: readonly TokenReport[];
  readonly hosts: readonly HostReport[];
  readonly relays: readonly RelayReport[];
  /** Null where there is none. */
  readonly audit: AuditReport | null;
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function timeOrNull(milliseconds: number | undefined): string | null {
  return milliseconds === undefined ? null : time(milliseconds);
}

function tunnelReport(name: string, tunnel: TunnelState): TunnelReport {
  const { key, relay, daemons, connections, last, trouble, daemonState, counts, codes, pending, failure } = tunnel;
  return {
    ...{ name, key: key ?? null, served: tunnel.isServed, connected: daemons > 0, since: time(tunnel.since) },
    ...{ daemons, connections, held: tunnel.isHeld, counts, codes, pending, relay: relay ?? null },
    failure: failure ? { code: failure.code ?? null, error: failure.error } : null,
    daemon: daemonState
      ? { state: daemonState.name, detail: daemonState.detail ?? null, since: time(daemonState.since) }
      : null,
    lastRequest: last
      ? {
          ...{ at: time(last.at), outcome: last.outcome, scheme: last.scheme ?? null, code: last.code ?? null },
          ...{ error: last.error ?? null, durationMs: last.durationMs ?? null },
        }
      : null,
    lastSigned: timeOrNull(tunnel.lastSigned),
    trouble: trouble
      ? {
          ...{ kind: trouble.kind, level: trouble.level, error: trouble.error ?? null },
          ...{ since: time(trouble.since), over: trouble.isOver },
        }
      : null,
  };
}

function tokenReport(label: string, token: TokenState): TokenReport {
  const { isPresent, since, removals, recoveries, pin, hasKeypad, isLoggedIn, error } = token;
  return {
    ...{ label, present: isPresent, since: time(since), removals, recoveries, pin: pin ?? null },
    ...{ keypad: hasKeypad, loggedIn: isLoggedIn, error: error ?? null },
  };
}

const NEVER_FAILED: Pick<CopyState, 'works' | 'failures' | 'error'> = { works: true, failures: 0, error: undefined };

/** What is known of the agent, for programs and people. @param now milliseconds since 1970 */
export function statusReport(
  agent: AgentState,
  { release, pid, now }: { readonly release: string; readonly pid: number; readonly now: number },
): StatusReport {
  return {
    ...{ version: REPORT_VERSION, release, pid, startedAt: time(agent.startedAt), now: time(now) },
    locked: agent.isLocked,
    tunnels: [...agent.tunnels].map(([name, tunnel]) => tunnelReport(name, tunnel)),
    keys: [...agent.keys].map(([name, key]) => ({
      ...{ name, state: key.state, since: time(key.since), key: key.key ?? null, error: key.error ?? null },
      certificate:
        key.certificate === undefined ? null : { subject: key.certificate, validTo: timeOrNull(key.validTo) },
      copies: key.copies.map((copy) => {
        const { works, failures, error } = agent.copies.get(copy) ?? NEVER_FAILED;
        return { key: copy, works: works && key.state === 'open', failures, error: error ?? null };
      }),
    })),
    tokens: [...agent.tokens].map(([label, token]) => tokenReport(label, token)),
    hosts: [...agent.hosts].map(([module, { pids, starts, restarts, lastEnd }]) => ({
      ...{ module, pids, starts, restarts },
      lastEnd: lastEnd ? { at: time(lastEnd.at), reason: lastEnd.reason } : null,
    })),
    relays: [...agent.relays].map(([address, { rights, count, clients, refused }]) => ({
      ...{ address, rights, count, clients, refused },
    })),
    audit: agent.audit
      ? { ...agent.audit, failing: agent.audit.error !== undefined, error: agent.audit.error ?? null }
      : null,
  };
}
