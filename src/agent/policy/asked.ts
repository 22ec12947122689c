import type { SignatureRequest } from '../../signing/request.ts';
import type { KeyKind } from '../../signing/public-key.ts';
import type { SigningContext } from '../../signing/tls/context.ts';

/** A request that a policy decides on. */
export interface Asked {
  readonly request: SignatureRequest;
  readonly kind: KeyKind;
  readonly context: SigningContext;
  /** The key's name in the log. */
  readonly key: string;
}

/** What a policy says of a request that it allows. */
export interface Decision {
  /** The server's certificate leads to a CA that the policy names, and its key took part in the handshake. */
  readonly isServerVerified: boolean;
}

/** What may run out. */
export interface Limit {
  /** Is there one to take? @throws AgentError ERR_POLICY_* if there is none */
  readonly check: () => void;
  /** Takes one. @throws AgentError ERR_POLICY_* if there is none */
  readonly take: () => void;
}
