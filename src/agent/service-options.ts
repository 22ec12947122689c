import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { HealAction } from '../config/settings.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import type { Relay } from '../management/index.ts';
import type { AnswerOptions } from './answer.ts';
import type { Asking, RequestRecord } from './audit/request-record.ts';
import type { Emit, TunnelEvent } from './events.ts';
import type { Pace } from './pace.ts';
import type { Asked, Decision, Limit } from './policy/asked.ts';
import type { TunnelAnswers } from './questions/tunnel-answers.ts';

/** A key and its certificates, read anew. */
export interface Choice {
  readonly opened: OpenedKey;
  /** The key's own first; often none. */
  readonly certificates: readonly X509Certificate[];
}

/** How a daemon is served, whichever connection it came by. */
export interface ServiceOptions {
  readonly gates?: AnswerOptions['gates'];
  /** What is written down of a request; undefined where nothing is. */
  readonly record?: ((asking: Omit<Asking, 'tunnel'>) => RequestRecord | undefined) | undefined;
  /** Requests are written down: whose they are is asked for. */
  readonly isRecorded?: (() => boolean) | undefined;
  /** The key, as soon as it is ready: until then the daemon is held. */
  readonly key: () => Promise<OpenedKey>;
  /**
   * The key that a daemon's hint chooses, and its certificates, read anew, or `as it is` known of them; absent where they never
   * change. @throws AgentError ERR_USAGE for words that can't be read; ERR_CERTIFICATE_* for those that fit nothing
   */
  readonly choose?: ((hint: string, manner?: 'as it is') => Promise<Choice>) | undefined;
  /** A signature failed in a way that another key in its place would make it fail. */
  readonly onKeyFailure?: (() => void) | undefined;
  /** Whether the key may sign it, for who has limits of its own. @throws AgentError ERR_POLICY_* why not */
  readonly decide?: ((asked: Asked, limits: readonly Limit[], signal: AbortSignal) => Promise<Decision>) | undefined;
  /** What to do with a daemon that waits for an answer and takes none. Default: `restart`. */
  readonly heal?: HealAction | undefined;
  /** Signatures until the daemon's state changes. */
  readonly usesPerConnect?: number | undefined;
  /** Milliseconds after which a request is answered, with an empty block if there is no signature. */
  readonly deadline: number;
  /** How fast the tunnel may ask for what it does not get. */
  readonly pace?: Pace | undefined;
  /** Other management clients, who get what is not for us. */
  readonly relay?: Relay | undefined;
  /** What the daemon's questions are answered with. */
  readonly answers?: TunnelAnswers | undefined;
  /** Ends it: requests under way are still answered. */
  readonly signal: AbortSignal;
  readonly emit: Emit<TunnelEvent>;
  readonly clock: Clock;
}
