import type { AgentEvent } from '../agent/events.ts';
import type { Outcome } from '../agent/answer.ts';
import type { ProgramEvent } from '../exec/index.ts';
import type { ModuleHostEvent } from '../pkcs11/index.ts';
import { LimitedLog, type Level, type Line, type Log } from './limited-log.ts';
import { logAsOf } from './log.ts';
import { TROUBLE_OVER, TROUBLE_TEXTS } from './trouble-lines.ts';

type EventOf<Type extends AgentEvent['type']> = Extract<AgentEvent, { readonly type: Type }>;
/** How an event becomes a line, if it does; `fields` are all that it has but its type. */
type Writer<Type extends AgentEvent['type']> = (event: EventOf<Type>, fields: object) => Line | undefined;

/** A line with all of an event's fields. */
const say =
  (level: Level, text: string) =>
  (_: unknown, fields: object): Line => ({ level, fields, text });

/** For those that only status and metrics want. */
const silent = (): undefined => undefined;

function outcomeLine(outcome: Outcome, tunnel: string): Line {
  const { key, scheme, durationMs } = outcome;
  const about = { tunnel, ...(key !== undefined && { key }), ...(scheme !== undefined && { scheme }) };
  switch (outcome.outcome) {
    case 'signed': {
      const { mechanism, copy } = outcome;
      const by = { ...(copy !== undefined && { copy }), mechanism };
      return { level: 'info', fields: { ...about, ...by, outcome: 'signed', durationMs }, text: 'signed' };
    }
    case 'dropped': {
      const text = 'dropped: nobody waits for it any more';
      return { level: 'info', fields: { ...about, outcome: 'dropped', durationMs }, text };
    }
    default: {
      const { code, error } = outcome;
      const fields = { ...about, outcome: outcome.outcome, code, error, durationMs };
      return { level: 'error', fields, text: outcome.outcome };
    }
  }
}

function hostLine({ type, ...fields }: ModuleHostEvent): Line | undefined {
  if (type === 'signed') return undefined; // its request has a line
  if (type === 'output') {
    if ('text' in fields) return { level: 'info', fields, text: 'module output' };
    return { level: 'debug', fields, text: 'the module prints something: --module-output logs it, a PIN too' };
  }
  const level = 'expected' in fields && !fields.expected ? 'warn' : 'debug';
  return { level, fields, text: `module host ${type}` };
}

function programLine({ type, ...fields }: ProgramEvent): Line {
  if (type === 'output') return { level: 'info', fields, text: 'the program says' };
  const level = 'expected' in fields && !fields.expected ? 'warn' : 'debug';
  return { level, fields, text: `program ${type}` };
}

const SLOW_TEXTS: Readonly<Record<EventOf<'request-slow'>['waitsFor'], string>> = {
  confirmation: 'still waiting for a yes of the confirming command',
  key: 'still waiting for the key, which is not ready',
  signature: 'still signing: touch your token if it wants that',
};

/** The line of each event. Texts and fields are read by people and programs: they stay. */
const LINES: { readonly [Type in AgentEvent['type']]: Writer<Type> } = {
  'tunnel-opened': silent,
  'tunnel-closed': silent,
  'tunnel-listening': say('info', 'listening for the daemon'),
  'tunnel-reachable': ({ by, tunnel }) => ({
    level: 'warn',
    fields: { tunnel },
    text:
      by === 'network'
        ? 'whoever reaches this address can pass for the daemon: use a unix socket'
        : 'every user of this host can connect here, or take the port first: name --management-user, or use a unix socket',
  }),
  'tunnel-replaceable': ({ tunnel, text }) => ({ level: 'warn', fields: { tunnel }, text }),
  'daemon-awaited': say('info', 'waiting for the daemon'),
  'daemon-rejected': ({ isStranger, tunnel, code, error, count }) => ({
    level: isStranger ? 'warn' : 'error',
    fields: { tunnel, code, error, ...(count > 1 && { count }) },
    text: 'a daemon was turned away',
  }),
  'daemon-connected': say('info', 'connected to the daemon'),
  'daemon-disconnected': ({ isFailure, tunnel, reason }) => ({
    level: isFailure ? 'error' : 'info',
    fields: { tunnel, reason },
    text: 'disconnected from the daemon',
  }),
  'daemon-state': ({ tunnel, state, detail }) => ({
    level: 'debug',
    fields: { tunnel, state, ...(detail !== undefined && { detail }) },
    text: "the daemon's state",
  }),
  'daemon-ended': say('error', 'the daemon ended'),
  'daemon-held': say('debug', 'the daemon is held'),
  'hold-paused': (_, fields) => ({
    level: 'warn',
    fields: { ...fields, hint: "its last tries failed, so it makes a pause: see the daemon's log" },
    text: 'the daemon is held for a while',
  }),
  'hold-released': say('info', 'hold released'),
  notification: ({ tunnel, notification }) => ({
    level: 'debug',
    fields: { tunnel, type: notification },
    text: 'notification',
  }),
  'request-received': say('debug', 'a signature is asked for'),
  'request-slow': ({ tunnel, key, scheme, waitedMs, waitsFor }) => ({
    level: 'warn',
    fields: { tunnel, ...(key !== undefined && { key }), ...(scheme !== undefined && { scheme }), waitedMs },
    text: SLOW_TEXTS[waitsFor],
  }),
  'request-done': ({ tunnel, outcome }) => outcomeLine(outcome, tunnel),
  'question-answered': say('info', "answered the daemon's question"),
  'login-refused': say('warn', 'a password was refused'),
  'answer-refused': say('error', 'the daemon takes no signature'),
  'answer-failed': ({ isExpected, tunnel, notification, error }) => ({
    level: isExpected ? 'debug' : 'warn',
    fields: { tunnel, notification, error },
    text: 'no answer was possible',
  }),
  'daemon-signalled': say('warn', 'token lost: the daemon gets a signal'),
  'daemon-outdated': say('warn', 'the certificate has changed: the daemon gets a signal'),
  'daemon-stuck': ({ tunnel, notification, signal }) => ({
    level: signal === undefined ? 'error' : 'warn',
    fields: {
      tunnel,
      notification,
      ...(signal === undefined
        ? {
            hint: `a connection that broke inside an answer leaves it so: ${notification === 'NEED-CERTIFICATE' ? 'start the daemon anew' : 'send the daemon SIGUSR1'}`,
          }
        : { signal }),
    },
    text:
      signal === undefined
        ? 'the daemon waits for an answer, and takes none'
        : 'the daemon waits for an answer, and takes none: it gets a signal',
  }),
  'signal-failed': say('warn', 'the daemon took no signal'),
  'tunnel-failed': say('error', 'the tunnel is not served'),
  'tunnel-added': say('info', 'tunnel added'),
  'tunnel-changed': say('info', 'tunnel changed'),
  'tunnel-removed': say('info', 'tunnel removed'),

  trouble: (event) => {
    const { text, hint } = TROUBLE_TEXTS[event.trouble];
    const { level, details, seconds } = event;
    const tunnel = 'tunnel' in event ? { tunnel: event.tunnel } : {};
    return {
      level,
      fields: { ...tunnel, ...details, ...(hint !== undefined && { hint }), ...(seconds > 0 && { seconds }) },
      text,
    };
  },
  'trouble-over': (event) => ({
    level: 'info',
    fields: { ...('tunnel' in event && { tunnel: event.tunnel }), seconds: event.seconds },
    text: TROUBLE_OVER[event.subject],
  }),

  'key-ready': say('info', 'key ready'),
  'certificate-changed': ({ key, certificate, validTo, daysLeft }) => ({
    level: 'info',
    fields: { key, certificate, validTo, daysLeft },
    text: 'the key has another certificate',
  }),
  'certificate-ending': ({ key, certificate, validTo, daysLeft = 0 }) => ({
    level: daysLeft < 0 ? 'error' : 'warn',
    fields: { key, certificate, validTo, daysLeft },
    text: daysLeft < 0 ? 'the certificate has ended' : 'the certificate ends soon: have it renewed',
  }),
  'certificate-kept': ({ key, code, error }) => ({
    level: 'warn',
    fields: { key, ...(code !== undefined && { code }), error },
    text: 'the certificate could not be read anew: the one from before stays',
  }),
  'key-changed': ({ key }) => ({
    level: 'warn',
    fields: { key, hint: 'daemons that have the certificate of the key before must ask anew' },
    text: 'another key pair is in its place: it is used from now on',
  }),
  'key-state': silent,
  'key-given-up': say('debug', 'the key was given up'),
  recovering: say('warn', 'the token failed: trying to recover'),
  lost: say('error', 'the token is away'),
  found: say('info', 'the token is back'),
  'login-failed': say('error', "the token can't be logged in to"),
  'token-state': silent,
  'pin-count-low': say('warn', 'a wrong PIN was entered since the last login: few tries are left'),
  'pin-wait': say('warn', 'waiting for another login with this PIN to end'),
  'pin-record-failed': say('error', 'what the token said of the PIN could not be written down'),
  'pin-pad': say('warn', "enter the PIN on the token's own keypad"),
  'copy-failed': say('warn', 'a copy of the key failed'),
  'copy-works': say('info', 'a copy of the key works again'),

  'relay-listening': ({ relay, rights }) => ({
    level: 'info',
    fields: { relay, allow: rights },
    text: 'listening for management clients',
  }),
  'relay-reachable': say(
    'warn',
    'every user of this host can use the relay: name a password file, or use a unix socket',
  ),
  'relay-client': ({ relay, change, client, reason }) => ({
    level: change === 'dropped' || change === 'refused' ? 'warn' : 'info',
    fields: { relay, client, ...(reason !== undefined && { reason }) },
    text: `management client ${change}`,
  }),

  'audit-opened': say('info', 'requests and signatures are written into the audit log'),
  'audit-closed': say('info', 'the audit log is closed'),
  'audit-written': silent,
  'audit-checkpoint': say('info', 'the audit log was signed'),
  'audit-recovered': say('warn', 'the audit log ended in what is no entry: an agent was cut off while it wrote'),
  'audit-missing': ({ file, until, change, aside }) => ({
    level: 'error',
    fields: { file, until, change, aside },
    text: 'entries of the audit log are gone: somebody took them away',
  }),
  'audit-disturbed': ({ file, change }) => ({
    level: change === 'moved' || change === 'truncated' ? 'warn' : 'error',
    fields: { file },
    text: `another program ${change} the audit log${change === 'appended to' ? '' : ': a further file is begun'}`,
  }),
  'audit-rotated': say('info', 'the audit log goes on in a further file'),
  'audit-not-rotated': say('error', 'the audit log can not go on in a further file: it stays in this one'),
  'audit-not-recorded': say('warn', 'the state directory can not be told how far the audit log is'),
  'audit-failed': ({ refuses }, fields) => ({
    level: 'error',
    fields,
    text: refuses
      ? 'the audit log can not be written: no request is signed'
      : 'the audit log can not be written: requests are signed without an entry',
  }),
  'audit-works': say('warn', 'the audit log can be written again'),
  'audit-kept': say('error', 'the audit log stays as it is: what it is to be can not be used'),
  'module-host': ({ event }) => hostLine(event),
  'key-program': ({ event }) => programLine(event),
  'module-output-shown': say(
    'warn',
    "the log gets what the module prints, and some print PINs: don't leave --module-output on",
  ),
  'settings-applied': silent,
  reloaded: ({ added, changed, removed }, fields) => ({
    level: 'info',
    fields,
    text: `reloaded: ${added} added, ${changed} changed, ${removed} removed`,
  }),
  'socket-renewed': say('warn', 'the socket had gone: it is bound anew'),
  'socket-not-renewed': say('error', 'the socket has gone, and can not be bound anew: nobody can connect there'),
  'reload-failed': say('error', 'not reloaded: all stays as it is'),
  'nothing-to-serve': say('warn', 'there is no tunnel to serve: waiting for a configuration that has one'),
  'configuration-fault': ({ text }) => ({ level: 'error', fields: {}, text }),
  'key-expired': say('warn', 'the lifetime of the key is over: requests are refused until a reload'),
  'key-kept': say('error', 'the key stays as it is: what it is to be can not be opened'),
  'pins-forgotten': say('warn', 'told to forget: PINs are gone, tokens are logged out until the next use'),
  'secret-asked': silent,
  'agent-locked': say('warn', 'locked: every request is refused'),
  'agent-unlocked': say('warn', 'unlocked: requests are signed again'),
  'setup-checked': ({ tunnel, key, outcome, what, detail, hint, code }) => ({
    level: outcome === 'fail' ? 'error' : outcome === 'warn' ? 'warn' : 'debug',
    fields: {
      ...(tunnel !== undefined && { tunnel }),
      ...(key !== undefined && { key }),
      ...(code !== undefined && { code }),
    },
    text: `${what}: ${hint === undefined ? detail : `${detail}: ${hint}`}`,
  }),
  warning: ({ text, variable }) => ({
    level: 'warn',
    fields: variable === undefined ? {} : { variable },
    text,
  }),
};

/** The line of an event; undefined if it has none. */
export function eventLine(event: AgentEvent): Line | undefined {
  const { type, ...fields } = event;
  // the table has a writer for just this type: TypeScript can't follow that through a union
  return (LINES[type] as (event: AgentEvent, fields: object) => Line | undefined)(event, fields);
}

function atOnce(write: () => void): void {
  write();
}

/** Each request of many may have one. */
const CAUSED_BY_TOKENS: ReadonlySet<AgentEvent['type']> = new Set(['recovering', 'pin-count-low', 'login-failed']);

/** What can cause such lines without end: a daemon; a program; a token that fails while many wait for it. */
function causeOf(event: AgentEvent): string | undefined {
  if ('tunnel' in event) return `tunnel ${event.tunnel}`;
  if (event.type === 'key-program') return `program ${event.event.program}`;
  return 'token' in event && CAUSED_BY_TOKENS.has(event.type) ? `token ${event.token}` : undefined;
}

/** Where lines come from, and when. */
export interface EventLogOptions {
  readonly log: Log;
  /** Milliseconds, as a {@link Clock} has them. */
  readonly now: () => number;
  /** Does that a moment later, before anything else is logged. */
  readonly soon?: (write: () => void) => void;
}

/**
 * Makes lines of a log from events. What a daemon can cause more often than it gets signatures is limited, for each tunnel
 * by itself. The lines of signatures come a moment later: those who wait for the next one don't wait for them.
 */
export function logEvents({ log, now, soon = atOnce }: EventLogOptions): (event: AgentEvent) => void {
  const limited = new Map<string, LimitedLog>();
  return (event) => {
    if (event.type === 'request-done' && event.outcome.outcome === 'signed') {
      const time = Date.now();
      soon(() => {
        const line = eventLine(event);
        if (!line) return;
        const { level, fields, text } = line;
        logAsOf(time, () => {
          log[level](fields, text);
        });
      });
      return;
    }
    const line = eventLine(event);
    if (!line) return;
    const cause = causeOf(event);
    if (cause === undefined) {
      log[line.level](line.fields, line.text);
      return;
    }
    const ofCause = limited.get(cause) ?? new LimitedLog(log, now);
    limited.set(cause, ofCause);
    ofCause.write(line);
    if (event.type === 'tunnel-removed') limited.delete(cause);
  };
}
