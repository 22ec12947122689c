import type { ContinueReason } from '../../audit/entry.ts';

/** What happens to the audit log. */
export type AuditEvent =
  /** It is written from now on; `sequence` is that of its last entry. */
  | { readonly type: 'audit-opened'; readonly file: string; readonly sequence: number }
  | { readonly type: 'audit-closed'; readonly file: string; readonly sequence: number }
  /** An agent was cut off while it wrote, or a full disk was: so many bytes are no entry. */
  | { readonly type: 'audit-recovered'; readonly file: string; readonly bytes: number }
  /** Somebody took entries away, the last one known is `until`; `aside`: what the file is called now that stood there. */
  | {
      readonly type: 'audit-missing';
      readonly file: string;
      readonly until: number;
      readonly change: ContinueReason;
      readonly aside: string | undefined;
    }
  /** Another program did something to the file. */
  | {
      readonly type: 'audit-disturbed';
      readonly file: string;
      readonly change: 'moved' | 'truncated' | 'appended to' | 'changed';
    }
  | { readonly type: 'audit-rotated'; readonly file: string; readonly name: string }
  /** It goes on in the same file. */
  | { readonly type: 'audit-not-rotated'; readonly file: string; readonly error: string }
  /** Signed: whoever has this line elsewhere can tell whether the log was written anew. */
  | {
      readonly type: 'audit-checkpoint';
      readonly file: string;
      readonly sequence: number;
      readonly hash: string;
    }
  /** Entries could not be written: so many since it worked last, and so many signatures left without one. */
  | {
      readonly type: 'audit-failed';
      readonly file: string;
      readonly error: string;
      readonly entries: number;
      readonly signatures: number;
      /** Nothing is signed meanwhile. */
      readonly refuses: boolean;
    }
  | {
      readonly type: 'audit-works';
      readonly file: string;
      readonly entries: number;
      readonly signatures: number;
    }
  /** So far it is, and so much was lost since it was opened. */
  | {
      readonly type: 'audit-written';
      readonly sequence: number;
      readonly lostEntries: number;
      readonly lostSignatures: number;
    }
  /** The state directory can't be told where the log ends: what is cut off from there would not be missed. */
  | { readonly type: 'audit-not-recorded'; readonly file: string; readonly error: string }
  /** Other settings can't be taken: it goes on as it was. */
  | { readonly type: 'audit-kept'; readonly file: string | undefined; readonly error: string };
