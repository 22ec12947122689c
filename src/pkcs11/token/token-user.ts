import type { Pin } from '../pins/pin.ts';
import type { SessionEvent } from './events.ts';
import type { OpenSession } from './open-session.ts';
import type { TokenSession } from './session.ts';

/** How to use a token. */
export interface TokenUse {
  readonly pin: Pin;
  /**
   * What names the source of `pin`: a token is logged in once for the whole process (PKCS#11 section 5.6.8), so all keys of
   * a token must agree on it. Undefined is the source for those that name none.
   */
  readonly pinSource?: string | undefined;
  /** Told what happens to this token, until its user is disposed of. */
  readonly onEvent?: ((event: SessionEvent) => void) | undefined;
  /** Milliseconds between looks at this token, for as long as it is used: the shortest of all that ask for one holds. */
  readonly watchInterval?: number | undefined;
}

/** One of those that use a token: it does its work in the session that all of them share. Made by {@link Tokens.open}. */
export class TokenUser implements AsyncDisposable {
  /** The key or certificate that the token is used for, for errors. */
  readonly name: string;
  readonly use: TokenUse;
  readonly #session: TokenSession;
  readonly #leave: (user: TokenUser) => Promise<void>;
  readonly #lostListeners = new Set<() => void>();

  constructor(name: string, use: TokenUse, session: TokenSession, leave: (user: TokenUser) => Promise<void>) {
    this.name = name;
    this.use = use;
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

  /**
   * Does something in an extra session of the token, if there is one that has less to do than the one that all share. It must
   * not want the PIN, and be harmless to do twice.
   * @returns undefined, at once or in the end: it is to be done by {@link run}
   * @throws AgentError ERR_ABORTED if the work was given up
   */
  runBeside<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result | undefined> | undefined {
    return this.#session.runBeside(work);
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
    this.use.onEvent?.(event);
    if (event.type === 'lost') for (const listener of [...this.#lostListeners]) listener();
  }

  /** Leaves the token. The last user's leaving closes the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave(this);
  }
}
