import type { Asker } from '../config/secret-source.ts';
import type { AgentErrorCode } from '../errors.ts';
import type { ProgramEvent } from '../exec/index.ts';
import type { FailoverEvent } from '../keys/key-copy.ts';
import type { DaemonSignal, Notification, RelayEvent, RelayRights } from '../management/index.ts';
import type { ModuleHostEvent, TokenEvent } from '../pkcs11/index.ts';
import type { Outcome, SlowRequest } from './answer.ts';
import type { AuditEvent } from './audit/events.ts';
import type { Renewed } from './difference.ts';

/** Why a tunnel does not work, while that lasts. `hint` and text for each stand in `telemetry/trouble-lines.ts`. */
export type TroubleKind =
  /** No connection to the daemon can be made. */
  | 'unreachable'
  | 'closed-before-greeting'
  /** Another management client has the daemon's only seat: it does not accept ours, or does not greet us. */
  | 'seat-taken'
  | 'no-greeting'
  | 'short-lived'
  /** We listen, and no daemon is connected. */
  | 'no-daemon'
  | 'key-not-ready'
  /** The hold was released, and the daemon is back in it without having asked for a signature. */
  | 'fruitless-release'
  | 'no-certificate'
  /** None fits the words of its hint. */
  | 'certificate-not-chosen'
  | 'password-asked'
  | 'question-asked'
  /** The settings say how a question is answered, and the answer can't be had. */
  | 'answer-missing'
  /** It can be had, and was refused before. */
  | 'answer-refused'
  /** As above, and there is a relay, of whose clients none answers. */
  | 'certificate-unanswered'
  | 'password-unanswered'
  | 'question-unanswered'
  | 'token-absent'
  /** The key could not be opened, and is tried again. */
  | 'key-not-open';

/** What a trouble keeps from working; told when it works again. */
export type TroubleSubject = 'connection' | 'greeting' | 'daemon' | 'answer' | 'release' | 'key' | 'token' | 'opening';

/** What is known of a trouble beyond its kind. */
export interface TroubleDetails {
  readonly code?: AgentErrorCode | undefined;
  readonly error?: string;
  /** What the settings call the key that it is about. */
  readonly key?: string;
  readonly notification?: Notification['type'];
  /** What the daemon's question is about: `Auth`, `Private Key`, … */
  readonly name?: string | undefined;
  /** How often the hold was released in vain. */
  readonly releases?: number;
}

export type TroubleEvent =
  | {
      readonly type: 'trouble';
      readonly trouble: TroubleKind;
      /** `error` where it needs a person. */
      readonly level: 'warn' | 'error';
      readonly details: TroubleDetails;
      /** For how long it has lasted. */
      readonly seconds: number;
    }
  | { readonly type: 'trouble-over'; readonly subject: TroubleSubject; readonly seconds: number };

/** What happens to one tunnel. The agent adds the tunnel's name. */
export type TunnelEvent =
  /** It is served from now on, with the key that the settings call so. */
  | {
      readonly type: 'tunnel-opened';
      readonly key: string;
      /** The daemon connects to us. */
      readonly listens: boolean;
      /** The relay's address. */
      readonly relay: string | undefined;
    }
  | { readonly type: 'tunnel-closed' }
  | { readonly type: 'tunnel-listening' }
  /** Who else than this user and root can connect to the listener. */
  | { readonly type: 'tunnel-reachable'; readonly by: 'network' | 'users' }
  /** Another user can put a socket of his own in the listener's place. */
  | { readonly type: 'tunnel-replaceable'; readonly text: string }
  | { readonly type: 'daemon-awaited'; readonly error: string | undefined }
  | {
      readonly type: 'daemon-rejected';
      readonly code: AgentErrorCode;
      readonly error: string;
      /** How many were turned away for the same reason since that was told last. */
      readonly count: number;
      /** It need not have been the daemon. */
      readonly isStranger: boolean;
    }
  | { readonly type: 'daemon-connected' }
  | { readonly type: 'daemon-disconnected'; readonly reason: string; readonly isFailure: boolean }
  /** The daemon's own state, as its `>STATE` says; `since` is its time, in milliseconds since 1970. */
  | {
      readonly type: 'daemon-state';
      readonly state: string;
      readonly detail: string | undefined;
      readonly since: number;
    }
  /** The daemon's last words, `>FATAL`. */
  | { readonly type: 'daemon-ended'; readonly text: string }
  | { readonly type: 'daemon-held' }
  | { readonly type: 'hold-paused'; readonly waitSeconds: number }
  | { readonly type: 'hold-released' }
  /** One that the agent does not act on. */
  | { readonly type: 'notification'; readonly notification: Notification['type'] }
  | { readonly type: 'request-received'; readonly notification: 'PK_SIGN' | 'RSA_SIGN' }
  | ({ readonly type: 'request-slow'; readonly key?: string; readonly scheme?: string } & SlowRequest)
  | { readonly type: 'request-done'; readonly outcome: Outcome }
  /** By what the settings say; `name` is what the question was about, if it says so. */
  | { readonly type: 'question-answered'; readonly notification: Notification['type']; readonly name?: string }
  /** The server, or whoever it was for, refused username and password. */
  | { readonly type: 'login-refused'; readonly name: string; readonly reason?: string }
  /** The daemon refused the answer to its own request. */
  | { readonly type: 'answer-refused'; readonly notification: Notification['type']; readonly error: string }
  | {
      readonly type: 'answer-failed';
      readonly notification: Notification['type'];
      readonly error: string;
      /** The connection has gone, or the agent stops. */
      readonly isExpected: boolean;
    }
  /** The key's token went away, and the daemon is sent a signal for it. */
  | { readonly type: 'daemon-signalled'; readonly signal: DaemonSignal }
  | { readonly type: 'signal-failed'; readonly error: string }
  /** It has a certificate that is not the key's any more, and is sent a signal so that it asks anew. */
  | { readonly type: 'daemon-outdated'; readonly signal: DaemonSignal }
  /** It waited for an answer before we connected, and takes none; the signal it gets for that, if any. */
  | {
      readonly type: 'daemon-stuck';
      readonly notification: Notification['type'];
      readonly signal?: DaemonSignal | undefined;
    }
  /** It can't be served: its address, its .ovpn or its key is of no use. */
  | { readonly type: 'tunnel-failed'; readonly code: AgentErrorCode | undefined; readonly error: string }
  /** By other settings. */
  | { readonly type: 'tunnel-added' | 'tunnel-changed' | 'tunnel-removed' }
  | TroubleEvent;

/** Of a key's certificate, if it has one. */
export interface CertificateAbout {
  /** Its subject. */
  readonly certificate?: string;
  /** Its last day as OpenSSL prints it. */
  readonly validTo?: string;
  /** Whole days until that. */
  readonly daysLeft?: number;
}

/** What happens to a key. */
export type KeyEvent =
  | ({ readonly type: 'key-ready'; readonly key: string } & CertificateAbout)
  /** It has another certificate than before: it was renewed, on the token or in its file. */
  | ({ readonly type: 'certificate-changed'; readonly name: string; readonly key: string } & CertificateAbout)
  /** Once a day: it ends soon, or has ended. */
  | ({ readonly type: 'certificate-ending'; readonly name: string; readonly key: string } & CertificateAbout)
  /** It can't be read anew: the one from before stays. */
  | {
      readonly type: 'certificate-kept';
      readonly name: string;
      readonly key: string;
      readonly code: AgentErrorCode | undefined;
      readonly error: string;
    }
  /** Another key pair is in its place, and was taken over. */
  | { readonly type: 'key-changed'; readonly name: string; readonly key: string }
  /** What the settings call `name` is being opened, waits to be tried again, is open as `key`, or can't be opened. */
  | ({
      readonly type: 'key-state';
      readonly name: string;
      readonly state: 'opening' | 'waiting' | 'open' | 'failed';
      /** Of one that is open. */
      readonly key?: string;
      /** As their KEYs may be logged. */
      readonly copies?: readonly string[];
      readonly code?: AgentErrorCode | undefined;
      readonly error?: string;
    } & CertificateAbout)
  /** Its lifetime is over: it was let go of. */
  | { readonly type: 'key-expired'; readonly name: string; readonly key: string; readonly seconds: number }
  /** The agent was told to stop before the key was open. */
  | { readonly type: 'key-given-up'; readonly error: string }
  | TokenEvent
  | FailoverEvent
  | TroubleEvent;

/** What happens to the relay of a tunnel, whose address is `relay`. */
export type RelayEvents =
  | { readonly type: 'relay-listening'; readonly relay: string; readonly rights: RelayRights }
  /** It has no password, and every user of this machine can connect to it. */
  | { readonly type: 'relay-reachable'; readonly relay: string }
  | {
      readonly type: 'relay-client';
      readonly relay: string;
      readonly change: RelayEvent['type'];
      readonly client: string;
      readonly reason?: string;
    };

/** What becomes of other settings. */
export type ReloadEvent =
  /** How many tunnels; and how many keys came, changed or went. */
  | ({
      readonly type: 'reloaded';
      readonly added: number;
      readonly changed: number;
      readonly removed: number;
      readonly unchanged: number;
      readonly keys: number;
    } & Renewed)
  /** A unix socket of ours that had gone is bound anew; or it can't be. */
  | { readonly type: 'socket-renewed'; readonly socket: string }
  | {
      readonly type: 'socket-not-renewed';
      readonly socket: string;
      readonly code: AgentErrorCode | undefined;
      readonly error: string;
    }
  /** These tunnels and keys there are now, whether they work or not. */
  /** `tokens`: the labels of those that are in use by now. */
  | ({ readonly type: 'settings-applied' } & Readonly<Record<'tunnels' | 'keys' | 'tokens', readonly string[]>>)
  /** They can't be read: all stays as it is. */
  | { readonly type: 'reload-failed'; readonly code: AgentErrorCode | undefined; readonly error: string }
  /** There is no tunnel: other settings are waited for. */
  | { readonly type: 'nothing-to-serve' }
  /** A mistake of theirs, with its place. */
  | { readonly type: 'configuration-fault'; readonly text: string }
  /** A key can't be opened as it is to be, and stays as it is. */
  | {
      readonly type: 'key-kept';
      readonly key: string;
      readonly code: AgentErrorCode | undefined;
      readonly error: string;
    };

/**
 * Everything that happens inside the agent and that the log, metrics, status or an audit may want to know. Names and fields
 * are stable; texts are made from them elsewhere (`telemetry/`).
 */
export type AgentEvent =
  | (TunnelEvent & { readonly tunnel: string })
  | KeyEvent
  | RelayEvents
  | AuditEvent
  | { readonly type: 'module-host'; readonly event: ModuleHostEvent }
  /** Of an `exec:` key. */
  | { readonly type: 'key-program'; readonly event: ProgramEvent }
  | { readonly type: 'module-output-shown' }
  | ReloadEvent
  /** A person is asked for a secret, `by` the terminal or a program with a window; or that is over, however it ended. */
  | {
      readonly type: 'secret-asked';
      /** As in `PIN of token 'x'`. */
      readonly what: string;
      readonly by: Asker;
      readonly isOver: boolean;
    }
  /** PINs were let go of, and tokens logged out. */
  | { readonly type: 'pins-forgotten'; readonly tokens: number }
  /** From now on all requests are refused, or no more. */
  | { readonly type: 'agent-locked' | 'agent-unlocked' }
  /** A verdict of the check of the set-up that is made once at the start. */
  | {
      readonly type: 'setup-checked';
      /** If there are several: which, or whose key it is of. */
      readonly tunnel?: string;
      readonly key?: string;
      readonly outcome: 'ok' | 'warn' | 'fail' | 'skip';
      readonly what: string;
      readonly detail: string;
      readonly hint?: string | undefined;
      readonly code?: AgentErrorCode;
    }
  /** Something that works and is not safe. */
  | { readonly type: 'warning'; readonly text: string; readonly variable?: string };

export type Emit<Event = AgentEvent> = (event: Event) => void;
