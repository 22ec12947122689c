import type { LogLevel } from '../../log-level.ts';
import type { RelayRights } from '../../management/index.ts';
import type { SchemeName } from '../../signing/algorithm-text.ts';
import type { HashName } from '../../signing/hashes.ts';
import type {
  AuditFailureAction,
  AuditSync,
  CertificateChangeAction,
  HealAction,
  ContextRule,
  TokenRemovalAction,
} from '../settings.ts';

// What a file says, checked, with defaults and absolute paths. Keys are called as the options are.

export interface LogSection {
  readonly level: LogLevel;
}

export interface StateSection {
  readonly directory?: string | undefined;
}

export interface AgentSection {
  /** A path, or `none`. */
  readonly control?: string | undefined;
  readonly 'control-group'?: string | undefined;
  readonly metrics?: readonly string[] | undefined;
  readonly 'metrics-group'?: string | undefined;
  readonly notify?: string | undefined;
}

export interface AuditSection {
  readonly file?: string | undefined;
  readonly sync?: AuditSync | undefined;
  readonly 'on-failure'?: AuditFailureAction | undefined;
  /** `64M`. */
  readonly 'rotate-size'?: string | undefined;
  /** `7d`. */
  readonly 'rotate-age'?: string | undefined;
}

export interface TokenSection {
  readonly 'pin-source'?: string | undefined;
  readonly 'allow-pin-command': boolean;
  readonly 'use-final-pin-try': boolean;
  /** Seconds. */
  readonly deadline: number;
  readonly module?: string | undefined;
  readonly 'module-hosts'?: number | undefined;
  readonly 'module-init-args'?: string | undefined;
  readonly 'module-env': Readonly<Record<string, string>>;
  readonly 'module-output': boolean;
}

/** What a key may sign. */
export interface KeyPolicySection {
  readonly 'allow-scheme'?: readonly SchemeName[] | undefined;
  readonly 'allow-hash'?: readonly HashName[] | undefined;
  readonly context?: ContextRule | undefined;
  readonly 'require-context'?: 'tls-client' | undefined;
  readonly 'require-server-ca'?: string | undefined;
  readonly 'require-server-name'?: string | undefined;
  readonly confirm?: string | undefined;
  /** Seconds. */
  readonly lifetime?: number | undefined;
  readonly rate?: number | undefined;
  readonly burst?: number | undefined;
}

export interface KeySection extends KeyPolicySection {
  readonly key: readonly string[];
  readonly cert?: string | undefined;
  readonly select?: readonly string[] | undefined;
  readonly module?: string | undefined;
  readonly 'allow-readable-key': boolean;
  readonly 'wait-for-token': boolean;
}

/** What a tunnel's section says of answers to its daemon's questions. */
export interface AnswerSection {
  readonly 'auth-user'?: string | undefined;
  readonly 'auth-user-pass'?: string | undefined;
  readonly askpass?: string | undefined;
  readonly 'http-proxy-user-pass'?: string | undefined;
  readonly 'socks-proxy-user-pass'?: string | undefined;
  readonly 'challenge-command'?: string | undefined;
  readonly 'open-url-command'?: string | undefined;
  readonly 'answer-needok': Readonly<Record<string, string>>;
  readonly 'answer-needstr': Readonly<Record<string, string>>;
  readonly 'answer-remote'?: readonly string[] | undefined;
  readonly 'answer-proxy'?: readonly string[] | undefined;
}

/** How much a tunnel may have signed. */
export interface TunnelPolicySection {
  readonly rate?: number | undefined;
  readonly burst?: number | undefined;
  readonly 'uses-per-connect'?: number | undefined;
}

export interface TunnelSection extends AnswerSection, TunnelPolicySection {
  readonly key?: string | undefined;
  /** A path, or a pattern. */
  readonly 'openvpn-config'?: string | undefined;
  readonly management?: readonly string[] | undefined;
  readonly 'management-client'?: boolean | undefined;
  readonly 'management-user'?: string | undefined;
  readonly 'max-daemons'?: number | undefined;
  readonly 'on-token-removal': TokenRemovalAction;
  readonly 'on-certificate-change': CertificateChangeAction;
  readonly heal: HealAction;
  readonly relay?: readonly string[] | undefined;
  readonly 'relay-allow'?: RelayRights | undefined;
  readonly 'relay-mode'?: string | undefined;
  readonly 'relay-group'?: string | undefined;
  readonly 'relay-keep'?: boolean | undefined;
}

export interface Document {
  readonly log: LogSection;
  readonly state: StateSection;
  readonly agent: AgentSection;
  readonly audit: AuditSection;
  readonly token: TokenSection;
  /** By their names. */
  readonly key: Readonly<Record<string, KeySection>>;
  /** By their names. */
  readonly tunnel: Readonly<Record<string, TunnelSection>>;
}
