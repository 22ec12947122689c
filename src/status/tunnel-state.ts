import type { AgentEvent, TroubleKind, TroubleSubject } from '../agent/events.ts';

/** What happens to tunnels. */
export type TunnelEvent = Extract<AgentEvent, { readonly tunnel: string; readonly type: string }>;

/** How a request ended. */
export type OutcomeName = 'signed' | 'refused' | 'failed' | 'dropped';

/** The last request that was answered, or dropped. */
export interface LastRequest {
  readonly at: number;
  readonly outcome: OutcomeName;
  readonly scheme: string | undefined;
  readonly code: string | undefined;
  readonly error: string | undefined;
  readonly durationMs: number | undefined;
}

/** What keeps a tunnel from working, or did so last. */
export interface LastTrouble {
  readonly kind: TroubleKind;
  readonly level: 'warn' | 'error';
  readonly error: string | undefined;
  readonly since: number;
  readonly isOver: boolean;
}

/** The daemon's own state, of its `>STATE`. */
export interface DaemonState {
  readonly name: string;
  readonly detail: string | undefined;
  readonly since: number;
}

/** What is known of one tunnel. Times are milliseconds since 1970. */
export interface TunnelState {
  /** The name that the settings give its key. */
  readonly key: string | undefined;
  readonly listens: boolean;
  /** The relay's address, if there is one. */
  readonly relay: string | undefined;
  readonly isServed: boolean;
  /** Why it can't be served. */
  readonly failure: { readonly code: string | undefined; readonly error: string } | undefined;
  /** Connections that stand; several only where daemons connect to us. */
  readonly daemons: number;
  /** Since when that is so: connected, or not. */
  readonly since: number;
  /** Connections so far. */
  readonly connections: number;
  readonly daemonState: DaemonState | undefined;
  readonly isHeld: boolean;
  readonly last: LastRequest | undefined;
  readonly lastSigned: number | undefined;
  readonly counts: Readonly<Record<OutcomeName, number>>;
  /** Requests that were not signed, by code. */
  readonly codes: Readonly<Record<string, number>>;
  readonly trouble: LastTrouble | undefined;
  /** Requests under way. */
  readonly pending: number;
}

/** A text of somebody else's is kept no longer than this. */
const LONGEST_TEXT = 200;

export function clipped(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}

/** The end of the last year that RFC 3339 can write. */
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z');

/** A tunnel of which nothing is known yet. */
export function newTunnel(at: number): TunnelState {
  return {
    ...{ key: undefined, listens: false, relay: undefined, isServed: false, failure: undefined },
    ...{ daemons: 0, since: at, connections: 0, daemonState: undefined, isHeld: false },
    ...{ last: undefined, lastSigned: undefined, trouble: undefined, pending: 0 },
    counts: { signed: 0, refused: 0, failed: 0, dropped: 0 },
    codes: {},
  };
}

const SUBJECTS: Readonly<Record<TroubleKind, TroubleSubject>> = {
  unreachable: 'connection',
  'closed-before-greeting': 'connection',
  'seat-taken': 'connection',
  'short-lived': 'connection',
  'no-greeting': 'greeting',
  'no-daemon': 'daemon',
  'key-not-ready': 'key',
  'fruitless-release': 'release',
  'no-certificate': 'answer',
  'certificate-not-chosen': 'answer',
  'password-asked': 'answer',
  'question-asked': 'answer',
  'answer-missing': 'answer',
  'answer-refused': 'answer',
  'certificate-unanswered': 'answer',
  'password-unanswered': 'answer',
  'question-unanswered': 'answer',
  'token-absent': 'token',
  'key-not-open': 'opening',
};

/** The trouble, over if it was about one of these. */
function over(trouble: LastTrouble | undefined, subjects: readonly TroubleSubject[]): LastTrouble | undefined {
  return trouble && subjects.includes(SUBJECTS[trouble.kind]) ? { ...trouble, isOver: true } : trouble;
}

/** What is over as soon as a daemon is connected, and as soon as none is. */
const OF_THE_WAY: readonly TroubleSubject[] = ['connection', 'greeting', 'daemon'];
const OF_A_CONNECTION: readonly TroubleSubject[] = ['greeting', 'answer', 'release', 'key'];

type RequestDone = Extract<TunnelEvent, { type: 'request-done' }>;

function answered(tunnel: TunnelState, { outcome }: RequestDone, at: number): TunnelState {
  const { outcome: name, scheme, durationMs } = outcome;
  const isRefused = name === 'refused' || name === 'failed';
  const code = isRefused ? (outcome.code ?? 'other') : undefined;
  return {
    ...tunnel,
    last: {
      ...{ at, outcome: name, scheme, durationMs },
      code: isRefused ? outcome.code : undefined,
      error: isRefused ? clipped(outcome.error) : undefined,
    },
    lastSigned: name === 'signed' ? at : tunnel.lastSigned,
    counts: { ...tunnel.counts, [name]: tunnel.counts[name] + 1 },
    codes: code === undefined ? tunnel.codes : { ...tunnel.codes, [code]: (tunnel.codes[code] ?? 0) + 1 },
    pending: Math.max(0, tunnel.pending - 1),
  };
}

function disconnected(tunnel: TunnelState, at: number): TunnelState {
  const daemons = Math.max(0, tunnel.daemons - 1);
  if (daemons > 0) return { ...tunnel, daemons };
  const trouble = over(tunnel.trouble, OF_A_CONNECTION);
  return { ...tunnel, daemons, since: at, daemonState: undefined, isHeld: false, pending: 0, trouble };
}

/** What is known of a tunnel after an event of its own. Pure. */
export function nextTunnel(tunnel: TunnelState, event: TunnelEvent, at: number): TunnelState {
  switch (event.type) {
    case 'tunnel-opened': {
      const { key, listens, relay } = event;
      return { ...tunnel, key, listens, relay, isServed: true, failure: undefined };
    }
    case 'tunnel-closed':
      return { ...tunnel, isServed: false };
    case 'tunnel-failed': {
      const { code, error } = event;
      return { ...tunnel, isServed: false, failure: { code, error: clipped(error) } };
    }
    case 'daemon-connected': {
      const { daemons, connections, since } = tunnel;
      return {
        ...tunnel,
        daemons: daemons + 1,
        connections: connections + 1,
        since: daemons === 0 ? at : since,
        trouble: over(tunnel.trouble, OF_THE_WAY),
      };
    }
    case 'daemon-disconnected':
      return disconnected(tunnel, at);
    case 'daemon-state': {
      const { state, detail } = event;
      // its own word: of what is no time the whole report could not be written
      const since = event.since <= LAST_TIME ? event.since : at;
      return { ...tunnel, daemonState: { name: clipped(state), detail: detail && clipped(detail), since } };
    }
    case 'daemon-held':
      return { ...tunnel, isHeld: true };
    case 'hold-released':
      return { ...tunnel, isHeld: false };
    case 'request-received':
      return { ...tunnel, isHeld: false, pending: tunnel.pending + 1 };
    case 'request-done':
      return answered(tunnel, event, at);
    case 'trouble': {
      const { trouble: kind, level, details, seconds } = event;
      const error = details.error === undefined ? undefined : clipped(details.error);
      return { ...tunnel, trouble: { kind, level, error, since: at - seconds * 1000, isOver: false } };
    }
    case 'trouble-over':
      return { ...tunnel, trouble: over(tunnel.trouble, [event.subject]) };
    default:
      return tunnel;
  }
}
