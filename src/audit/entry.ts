// What stands in an audit log, line by line. docs/AUDIT.md describes it; programs read it, so names and meanings stay.

/** What a request was seen to be part of; see docs/SIGNING.md. Each null where it can't be seen. */
export interface AuditContext {
  /** `1.2`, `1.3`. */
  readonly tls: string | null;
  /** The name that the server's certificate has, as the daemon showed it. */
  readonly server: string | null;
  /** Whether the key's policy saw that this server took part; null without a server. */
  readonly verified: boolean | null;
}

/** What is known of a request. Hashes are SHA-256 in hex. */
export interface AuditedRequest {
  readonly tunnel: string;
  /** The daemon's process, as it says itself, and whose its end of the connection is, as the kernel says. */
  readonly daemon: { readonly pid: number | null; readonly user: number | null };
  /** Of the key's SubjectPublicKeyInfo; null if the key was not open. */
  readonly key: string | null;
  readonly scheme: string | null;
  /** Of the data to sign, as the daemon sent them; null if they could not be read. */
  readonly data: string | null;
  readonly context: AuditContext | null;
}

/** What each file begins with says which log it is of. */
export interface LogNamed {
  /** Of this log, in all its files: 32 hex digits by chance. */
  readonly log: string;
  /** The public half of what signs: SubjectPublicKeyInfo in base64. */
  readonly publicKey: string;
  /** Counts the log's files, from 1. */
  readonly file: number;
}

export interface StartEntry extends LogNamed {
  /** An agent begins to write. */
  readonly type: 'start';
  readonly release: string;
  readonly pid: number;
  readonly user: number | null;
}

/** Why a further file was begun. */
export type ContinueReason =
  /** The agent renamed the one before. */
  | 'rotated'
  /** Another program did. */
  | 'moved'
  /** Another program emptied it. */
  | 'truncated'
  /** The configuration names another log than before. */
  | 'switched'
  /** It was removed while the agent wrote it. */
  | 'deleted'
  /** It was not there when the agent started. */
  | 'missing'
  /** What stood in its place has not got the last entry that the agent knows of. */
  | 'replaced';

/** Those that say that somebody took entries away. */
export const ALARMS: ReadonlySet<ContinueReason> = new Set(['deleted', 'missing', 'replaced']);

export interface ContinueEntry extends LogNamed {
  /** First of a further file: `prev` is the hash of the last entry that the agent knows of, wherever it is. */
  readonly type: 'continue';
  readonly reason: ContinueReason;
  /** What the file before is called now, as far as that is known. */
  readonly after: string | null;
  /** What the file is called now that stood in this one's place. */
  readonly aside: string | null;
}

export interface RecoveredEntry {
  /** Between the last signed line before it and this one stands what counts for nothing. */
  readonly type: 'recovered';
  readonly bytes: number;
  /** Of those bytes. */
  readonly sha256: string;
  /**
   * `cut-off`: found by an agent when it began, or when it could not write all; `foreign`: by one that had not written them, and
   * knows that no other had.
   */
  readonly cause: 'cut-off' | 'foreign';
}

export interface UnprovenEntry {
  /** These entries stand before it, and are not signed by the key of this agent, which knew nothing of this log. */
  readonly type: 'unproven';
  readonly from: number;
  readonly to: number;
}

export interface LostEntry {
  /** Entries that could not be written. */
  readonly type: 'lost';
  readonly entries: number;
  /** Signatures that left without an entry. */
  readonly signatures: number;
  /** Why, as far as it is known: an errno such as ENOSPC. */
  readonly code: string | null;
  /** Since when. */
  readonly since: string;
}

export interface RequestEntry extends AuditedRequest {
  readonly type: 'request';
  /** `accepted`: the key is asked, and an {@link OutcomeEntry} follows. With all others this is the end. */
  readonly verdict: 'accepted' | 'refused' | 'failed' | 'dropped';
  readonly code: string | null;
  /** Milliseconds; null for one that is accepted, or where nothing was begun. */
  readonly duration: number | null;
}

export interface OutcomeEntry extends AuditedRequest {
  readonly type: 'outcome';
  /** `seq` of the request's entry; null if that was lost, or is in another log. */
  readonly of: number | null;
  /** `signed`: the signature leaves when this is written. Another outcome behind it: it did not leave. */
  readonly outcome: 'signed' | 'failed' | 'dropped';
  readonly code: string | null;
  /** SHA-256 of the signature as the daemon gets it. */
  readonly signature: string | null;
  readonly duration: number | null;
}

export interface CheckpointEntry {
  /** Signed: nothing before it can be changed by who has not got the key. */
  readonly type: 'checkpoint';
  /** `end`: the agent stopped writing this log in good order. */
  readonly reason: 'start' | 'interval' | 'rotate' | 'end';
}

/** What an entry says; who writes it adds `v`, `seq`, `time`, `prev`, `hash`, and to a checkpoint `signature`. */
export type Entry =
  | StartEntry
  | ContinueEntry
  | RecoveredEntry
  | UnprovenEntry
  | LostEntry
  | RequestEntry
  | OutcomeEntry
  | CheckpointEntry;

/** What became of a request that is over. */
export const OUTCOMES = ['signed', 'refused', 'failed', 'dropped'] as const;

export const ENTRY_TYPES: ReadonlySet<string> = new Set<Entry['type']>([
  ...(['start', 'continue', 'recovered', 'unproven', 'lost'] as const),
  ...(['request', 'outcome', 'checkpoint'] as const),
]);

/** A place in the chain: what the next line must know of the last one. */
export interface Head {
  /** Of the last line; 0 if there is none. */
  readonly seq: number;
  /** Of the last line; of none, zeros. */
  readonly hash: string;
}

export const NO_HEAD: Head = { seq: 0, hash: '0'.repeat(64) };
