import type { Pin } from '../pins/pin.ts';
import type { SessionEvent } from './events.ts';
import type { OpenSession, TokenSession } from './session.ts';

/** One of those that use a token: it does its work in the session that all of them share. */
export class TokenUser implements AsyncDisposable {
  /** The key or certificate that the token is used for, for errors. */
  readonly name: string;
  /** What it would log in with. */
  readonly pin: Pin;
  /** What names the source of `pin`. */
  readonly pinSource: string | undefined;
  /** Milliseconds between looks at the token that it asks for. */
  readonly watchInterval: number | undefined;
  readonly #session: TokenSession;
  readonly #leave: (user: TokenUser) => Promise<void>;
  readonly #onEvent: ((event: SessionEvent) => void) | undefined;
  readonly #lostListeners = new Set<() => void>();

  /** Made by {@link Tokens.open}. */
  constructor(
    name: string,
    options: {
      readonly pin: Pin;
      readonly pinSource?: string | undefined;
      readonly watchInterval?: number | undefined;
      readonly onEvent?: ((event: SessionEvent) => void) | undefined;
    },
    session: TokenSession,
    leave: (user: TokenUser) => Promise<void>,
  ) {
    this.name = name;
    this.pin = options.pin;
    this.pinSource = options.pinSource;
    this.watchInterval = options.watchInterval;
    this.#onEvent = options.onEvent;
    this.#session = session;
    this.#leave = leave;
  }

  /**
   * Does something in the session. Where that fails for a reason that may pass, recovers step by step and does it again.
   * @throws AgentError what `work` threw at last, ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
   */
  async run<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result> {
    return await this.#session.run(work);
  }

  /** Resolves when the token is there. */
  async ready(): Promise<void> {
    await this.#session.ready();
  }

  /** Calls whenever the token goes away, until this user is disposed of. @returns its undoing */
  onLost(listener: () => void): () => void {
    // of its own: the same function given twice is two listeners
    const own = (): void => {
      listener();
    };
    this.#lostListeners.add(own);
    return () => {
      this.#lostListeners.delete(own);
    };
  }

  /** Passes an event on; a lost token goes to the listeners too. */
  tell(event: SessionEvent): void {
    this.#onEvent?.(event);
    if (event.type === 'lost') for (const listener of [...this.#lostListeners]) listener();
  }

  /** Leaves the token. The last user's leaving closes the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave(this);
  }
}
