import type { EchoEntry, LogEntry, StateEntry } from './entries.ts';
import type { InfoMessage } from './info-message.ts';
import type { PasswordNotification } from './password.ts';

/** The variables of an ENV block: an object without a prototype, so that any name is safe to look up. */
export type Environment = Readonly<Record<string, string>>;

/** A client wants to connect, or (REAUTH) an established one renegotiates: answer with client-auth or client-deny. */
export interface ClientAuthNotification<M extends 'CONNECT' | 'REAUTH'> {
  readonly type: 'CLIENT';
  readonly mode: M;
  /** Client ID, counted up from 0. */
  readonly cid: number;
  /** Key ID: which TLS negotiation of that client. */
  readonly kid: number;
  readonly env: Environment;
}

/** A client is connected, or gone. */
export interface ClientSessionNotification<M extends 'ESTABLISHED' | 'DISCONNECT'> {
  readonly type: 'CLIENT';
  readonly mode: M;
  readonly cid: number;
  readonly env: Environment;
}

/**
 * The forms of `>CLIENT:`, which a server sends with `--management-client-auth`, each with its ENV block as one
 * (management-notes "CLIENT notification"; management_notify_client_* in manage.c).
 */
export type ClientNotification =
  | ClientAuthNotification<'CONNECT'>
  | ClientAuthNotification<'REAUTH'>
  | ClientSessionNotification<'ESTABLISHED'>
  | ClientSessionNotification<'DISCONNECT'>
  /** An address or a subnet (`10.8.0.0/255.255.255.0`) of the client was learnt. */
  | {
      readonly type: 'CLIENT';
      readonly mode: 'ADDRESS';
      readonly cid: number;
      readonly address: string;
      /** The client's own virtual address, not one routed to it. */
      readonly primary: boolean;
    }
  /** The client's answer to a CR_TEXT, base64 as the client sent it (2.5 on). */
  | {
      readonly type: 'CLIENT';
      readonly mode: 'CR_RESPONSE';
      readonly cid: number;
      readonly kid: number;
      readonly response: string;
      readonly env: Environment;
    };

/** A request to sign with the key that the management client holds (`--management-external-key`). */
export interface SignNotification<T extends 'PK_SIGN' | 'RSA_SIGN' = 'PK_SIGN' | 'RSA_SIGN'> {
  /** PK_SIGN is answered with `pk-sig`; RSA_SIGN, which OpenVPN up to 2.4 or at client version 1 sends, with `rsa-sig`. */
  readonly type: T;
  /** Base64 of what is to be signed, as it came. */
  readonly data: string;
  /** Everything behind the first comma, as it came; undefined below client version 3. */
  readonly algorithm: string | undefined;
}

/**
 * Everything that the daemon says without being asked: lines that start with `>`.
 *
 * A known notification in an unknown form is UNKNOWN, so that nothing is guessed and nothing lost.
 */
export type Notification =
  /** Traffic of a client's tunnel, in bytes since it was started. */
  | { readonly type: 'BYTECOUNT'; readonly bytesIn: number; readonly bytesOut: number }
  /** Traffic of one client of a server. */
  | { readonly type: 'BYTECOUNT_CLI'; readonly cid: number; readonly bytesIn: number; readonly bytesOut: number }
  | ClientNotification
  | ({ readonly type: 'ECHO' } & EchoEntry)
  /** The daemon ends. */
  | { readonly type: 'FATAL'; readonly text: string }
  /** The daemon waits for `hold release`. */
  | {
      readonly type: 'HOLD';
      readonly text: string;
      /** How long the daemon itself would wait before the next try, in seconds; undefined before 2.4. */
      readonly waitSeconds: number | undefined;
    }
  /** The greeting is `OpenVPN Management Interface Version N -- type 'help' for more info`. */
  | { readonly type: 'INFO'; readonly text: string }
  | { readonly type: 'INFOMSG'; readonly message: InfoMessage }
  | ({ readonly type: 'LOG' } & LogEntry)
  /** Answer with `needok NAME ok` or `needok NAME cancel`. */
  | { readonly type: 'NEED-OK'; readonly name: string; readonly text: string }
  /** Answer with `needstr NAME TEXT`. */
  | { readonly type: 'NEED-STR'; readonly name: string; readonly text: string }
  /** Answer with `certificate`; the hint is the argument of `--management-external-cert`. */
  | { readonly type: 'NEED-CERTIFICATE'; readonly hint: string }
  /** Something for the user: `info`, the kind (`remote-exit`, `server-pushed-halt`…) and a text. */
  | { readonly type: 'NOTIFY'; readonly severity: string; readonly notice: string; readonly text: string }
  | PasswordNotification
  | SignNotification<'PK_SIGN'>
  | SignNotification<'RSA_SIGN'>
  | { readonly type: 'PKCS11ID-COUNT'; readonly count: number }
  | {
      readonly type: 'PKCS11ID-ENTRY';
      readonly index: number;
      /** The PKCS#11 identity and the certificate in base64; undefined if there is none at this index. */
      readonly entry: { readonly id: string; readonly blob: string } | undefined;
    }
  /** Which proxy for this connection? Answer with `proxy`. */
  | {
      readonly type: 'PROXY';
      /** Number of the connection entry, from 1 on. */
      readonly index: number;
      readonly protocol: 'UDP' | 'TCP';
      readonly host: string;
    }
  /** Which remote for this connection? Answer with `remote`. */
  | {
      readonly type: 'REMOTE';
      readonly host: string;
      /** As configured: a number or a service name. */
      readonly port: string;
      /** `udp`, `tcp-client`… */
      readonly protocol: string;
    }
  | ({ readonly type: 'STATE' } & StateEntry)
  /** With `--management-up-down`, instead of an up or down script. */
  | { readonly type: 'UPDOWN'; readonly mode: 'UP' | 'DOWN'; readonly env: Environment }
  /** Anything else: the line behind its `>`, as it came. */
  | { readonly type: 'UNKNOWN'; readonly line: string }
  /**
   * A notification that the daemon cut (see {@link LINE_CUT}), or the connection's end: its rest never comes. So is a
   * CLIENT or UPDOWN whose block had no END. A PK_SIGN or RSA_SIGN among them can't be signed, yet must be answered
   * (with an empty block), as the daemon stands still until then.
   */
  | {
      readonly type: 'TRUNCATED';
      /** The word before the colon: `PK_SIGN`, `LOG`… */
      readonly of: string;
      /** What came, behind the `>`; of a block its first line. */
      readonly line: string;
    }
  /** A line that is neither a notification nor part of a reply that was awaited. */
  | { readonly type: 'STRAY'; readonly line: string };

/** The word that tells notifications apart. */
export type NotificationType = Notification['type'];

/** The notification of one type. */
export type NotificationOf<T extends NotificationType> = Extract<Notification, { readonly type: T }>;
