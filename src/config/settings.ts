import type { AgentError } from '../errors.ts';
import type { ManagementAddress, RelayRights } from '../management/index.ts';
import type { AnswerSettings } from './answers.ts';
import type { SchemeName } from '../signing/algorithm-text.ts';
import type { HashName } from '../signing/hashes.ts';
import type { OpenVpnConfig } from './openvpn-config.ts';

/**
 * Everything that the agent is told, as plain data: command-line options fill it (`flags.ts`), or a file (`file/`). Names of users
 * and sources of secrets are as they were given; they are looked up when they are needed.
 */
export interface Settings {
  /** By a name of our own. */
  readonly keys: Readonly<Record<string, KeySettings>>;
  /** By the name that the log calls them. */
  readonly tunnels: Readonly<Record<string, TunnelSettings>>;
  readonly tokens: TokenSettings;
  /** Undefined: nothing is written down. */
  readonly audit?: AuditSettings | undefined;
  /** Tunnels that can't be served, since the .ovpn that describes them is of no use: the others are. */
  readonly broken?: readonly BrokenTunnel[];
}

export interface BrokenTunnel {
  readonly name: string;
  readonly error: AgentError;
}

/** When an entry of the audit log must be on the disk: before its signature leaves, or a second later. */
export const AUDIT_SYNCS = ['each', 'interval'] as const;
export type AuditSync = (typeof AUDIT_SYNCS)[number];

/** What becomes of signatures while the audit log can't be written. */
export const AUDIT_FAILURE_ACTIONS = ['refuse', 'continue'] as const;
export type AuditFailureAction = (typeof AUDIT_FAILURE_ACTIONS)[number];

/** A log of all requests and signatures. */
export interface AuditSettings {
  readonly file: string;
  readonly sync: AuditSync;
  readonly onFailure: AuditFailureAction;
  /** Bytes after which a further file is begun. Default: never. */
  readonly rotateSize?: number | undefined;
  /** Milliseconds after which it is. Default: never. */
  readonly rotateAge?: number | undefined;
}

/** What opening and using tokens takes, whichever key is in them. */
export interface TokenSettings {
  readonly modules: ModuleSettings;
  readonly pins: PinSettings;
  /** Milliseconds that one call into a PKCS#11 module may take. */
  readonly deadline: number;
}

export interface ModuleSettings {
  /** The initialisation string of modules that want one (NSS). */
  readonly initArgs?: string | undefined;
  /** Variables for the modules' processes, beside the agent's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** How many processes may load one module at a time. Default: one a CPU, at most 4. */
  readonly most?: number | undefined;
  /** Log what modules print: a PIN may be in it. */
  readonly showOutput: boolean;
}

export interface PinSettings {
  /** Where PINs and passphrases come from that no URI names a source for; see `secret-source.ts`. Default: the terminal. */
  readonly source?: string | undefined;
  /** Run a command that a URI's `pin-source` names. */
  readonly allowCommand: boolean;
  /** Where refused PINs are remembered. Default: systemd's folder, else the user's. */
  readonly stateDirectory?: string | undefined;
  /** Log in even if the token has one try for its PIN left. */
  readonly useFinalTry: boolean;
}

/** A private key, or copies of one. */
export interface KeySettings {
  /** Files' paths and `pkcs11:` URIs: copies of one key, the first preferred. */
  readonly copies: readonly string[];
  /** A file's path or a `pkcs11:` URI. Default: what comes with the key. */
  readonly certificate?: string | undefined;
  /** Words that its certificate must fit, where there are several, or several keys. */
  readonly select?: readonly string[] | undefined;
  /** The PKCS#11 module for URIs that name none. */
  readonly module?: string | undefined;
  /** Take a key file that group or others can read. */
  readonly allowReadable: boolean;
  /** Wait for a token that is not there at the start. */
  readonly waitForToken: boolean;
  /** Default: {@link DEFAULT_POLICY}. */
  readonly policy?: PolicySettings | undefined;
}

/** How sure it must be that a signature is for a TLS client's handshake. */
export const CONTEXT_RULES = [
  'off',
  /** Messages must be, of hashes nothing can be seen. */
  'when-visible',
  /** Hashes are refused. */
  'require',
] as const;
export type ContextRule = (typeof CONTEXT_RULES)[number];

/** In seconds: longer than any process runs, and short enough for a timer. */
export const MAX_LIFETIME = 2_000_000;

/** What a key may sign, and how often. */
export interface PolicySettings {
  /** Default: all. */
  readonly schemes?: readonly SchemeName[] | undefined;
  readonly hashes: readonly HashName[];
  readonly context: ContextRule;
  /** A file of CAs, to one of which the server's certificate must lead. */
  readonly serverCa?: string | undefined;
  /** The server's common name, a DNS name of its, or its whole subject. */
  readonly serverName?: string | undefined;
  /** A command line for /bin/sh: status 0 says yes. */
  readonly confirm?: string | undefined;
  /** Milliseconds for which the key is kept once it is open: up to {@link MAX_LIFETIME} seconds. Default: for ever. */
  readonly lifetime?: number | undefined;
  readonly rate?: RateSettings | undefined;
}

/** Without SHA-1 and MD5, which only TLS 1.0 and 1.1 have to use. */
export const DEFAULT_HASHES: readonly HashName[] = ['SHA224', 'SHA256', 'SHA384', 'SHA512'];
/** What TLS 1.2 and 1.3 clients want signed goes on to be signed. */
export const DEFAULT_POLICY: PolicySettings = { hashes: DEFAULT_HASHES, context: 'when-visible' };

export interface RateSettings {
  readonly perMinute: number;
  /** How many at once. */
  readonly burst: number;
}

/** What to tell the daemon when its key's token goes away: nothing, SIGUSR1 or SIGTERM. */
export const TOKEN_REMOVAL_ACTIONS = ['none', 'restart', 'disconnect'] as const;
export type TokenRemovalAction = (typeof TOKEN_REMOVAL_ACTIONS)[number];

/** What to tell the daemon when its key has another certificate: nothing, or SIGUSR1, so that it asks for it anew. */
export const CERTIFICATE_CHANGE_ACTIONS = ['none', 'restart'] as const;
export type CertificateChangeAction = (typeof CERTIFICATE_CHANGE_ACTIONS)[number];

/** What to do with a daemon that waits for an answer and takes none: SIGUSR1, or nothing. */
export const HEAL_ACTIONS = ['restart', 'none'] as const;
export type HealAction = (typeof HEAL_ACTIONS)[number];

/** A management interface and how to get in. */
export interface ManagementSettings {
  readonly address: ManagementAddress;
  /** The word behind address and port: where the management password is. */
  readonly password?: string | undefined;
  /** The daemon connects to us (`--management-client`). */
  readonly listen: boolean;
  /** Insist that the daemon's end belongs to this user: a name or a number. */
  readonly user?: string | undefined;
}

/** An OpenVPN daemon to serve. */
export interface TunnelSettings extends ManagementSettings {
  /** Which of the keys. */
  readonly key: string;
  /** How many daemons that connect to us may be there at a time. */
  readonly maxDaemons: number;
  readonly onTokenRemoval: TokenRemovalAction;
  /** Default: `none`. */
  readonly onCertificateChange?: CertificateChangeAction | undefined;
  /** Default: `restart`. */
  readonly heal?: HealAction | undefined;
  /** Of this tunnel alone, beside the key's. */
  readonly rate?: RateSettings | undefined;
  /** Signatures until the daemon's state changes. Default: any number. */
  readonly usesPerConnect?: number | undefined;
  readonly relay?: RelaySettings | undefined;
  /** What its questions are answered with, where no other management client does it. */
  readonly answers?: AnswerSettings | undefined;
  /** The daemon's configuration, if its management directives were read from there. */
  readonly openvpnConfig?: OpenVpnConfig | undefined;
}

/** Other management clients, who get what is not for the agent. */
export interface RelaySettings {
  readonly address: ManagementAddress;
  readonly password?: string | undefined;
  readonly rights: RelayRights;
  /** Of a unix socket. Default: 0o600, with a group 0o660. */
  readonly mode?: number | undefined;
  /** Of a unix socket: a name or a number. */
  readonly group?: string | undefined;
  /** Clients stay connected while the daemon is away. */
  readonly keep: boolean;
}
