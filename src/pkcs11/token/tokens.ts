// The tokens that are in use: each one's only session, its users, its recovery and the watch over it. For keys and
// certificates, which are read through it; their owner makes one Tokens for all of them.
import { SYSTEM_CLOCK, type Clock } from '../../clock.ts';
import { AgentError } from '../../errors.ts';
import type { Module, Modules } from '../host/module.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { inSession, isCurrent, type SeenToken, type Session } from '../host/session.ts';
import type { Pin } from '../pins/pin.ts';
import { pinState } from '../pins/pin-state.ts';
import { formatPkcs11Uri, pkcs11UriName, type Pkcs11Uri } from '../uri.ts';
import type { SessionEvent } from './events.ts';
import { ExtraSessions } from './extra-sessions.ts';
import type { OpenSession } from './open-session.ts';
import { BRIEF, type Neighbours } from './recovery.ts';
import { TokenSession } from './session.ts';
import { findToken, identityOf, lookAgain } from './token.ts';
import { TokenUser, type TokenUse } from './token-user.ts';
import { TokenWatch } from './watch.ts';

/** What holds for all tokens of an owner. */
export interface TokensOptions {
  /** Where modules come from: {@link ModuleHosts}. They outlive the tokens. */
  readonly hosts: Modules;
  /** Told once of what happens to each token, however many use it. */
  readonly onEvent?: ((event: SessionEvent) => void) | undefined;
  /** Milliseconds between looks at each open token; without it, its removal is noticed by the next signature only. */
  readonly watchInterval?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** A token that is in use. */
interface UsedToken {
  readonly modulePath: string;
  readonly label: string;
  readonly session: TokenSession;
  readonly watch: TokenWatch;
  readonly users: Set<TokenUser>;
}

/** The tokens that are in use. */
export class Tokens implements AsyncDisposable {
  readonly #options: TokensOptions;
  readonly #clock: Clock;
  /** By module and by what identifies the token. */
  readonly #used = new Map<string, UsedToken>();
  /** What is read of tokens that are not. */
  readonly #readings = new Set<Pick<UsedToken, 'modulePath'>>();
  /** Of all tokens that were ever in use: what they have learned of one holds as long as this process. */
  readonly #extras = new Map<string, ExtraSessions>();
  /** PINs that may be known, also where nothing of their token stays open: a certificate was read, say. */
  readonly #pins = new Set<Pin>();
  /** Those that their owners have let go of, while sessions that they have logged in are used by others. */
  readonly #left = new Set<Pin>();
  #isDisposed = false;

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  /** The labels of those that are in use. */
  get labels(): string[] {
    return [...this.#used.values()].map(({ label }) => label);
  }

  /** A module, loaded. @throws AgentError ERR_MODULE_*, ERR_PKCS11JS_MISSING, ERR_TOKEN_FAILED, ERR_ABORTED */
  async module(modulePath: string): Promise<Module> {
    return await this.#options.hosts.get(modulePath);
  }

  /**
   * Opens the token that a URI names, or joins those that have it open; dispose of the user once for each call.
   * @throws AgentError ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*; ERR_USAGE if others use it with another PIN source
   */
  async open(uri: Pkcs11Uri, modulePath: string, use: TokenUse): Promise<TokenUser> {
    const seen = await this.await(uri, modulePath);
    const { info } = seen;
    if (this.#isDisposed) throw new AgentError('ERR_ABORTED', 'the tokens were closed');
    const name = nameOf(modulePath, info);
    const token = this.#used.get(name) ?? this.#make(name, modulePath, info);
    const user = new TokenUser(pkcs11UriName(uri), use, token.session, (leaving) => this.#remove(name, token, leaving));
    if (pinState(info).needsLogin) checkPinSource(token, user);
    this.#used.set(name, token);
    token.users.add(user);
    this.#setInterval(token);
    try {
      await token.session.open(seen);
    } catch (error) {
      await user[Symbol.asyncDispose]();
      throw error;
    }
    return user;
  }

  /**
   * The token that a URI names; one that is not there at once is looked for again for two seconds.
   * @throws AgentError ERR_TOKEN_ABSENT, ERR_TOKEN_AMBIGUOUS, ERR_MODULE_*
   */
  async await(uri: Pkcs11Uri, modulePath: string): Promise<SeenToken> {
    return await this.lookAgain([modulePath], async () => findToken(await this.module(modulePath), uri));
  }

  /**
   * Looks for something in modules for two seconds; before each further look they look for their slots anew.
   * @param look rejects with ERR_TOKEN_ABSENT if it is not there
   * @param isThere whether what was found is enough
   */
  async lookAgain<Found>(
    modulePaths: readonly string[],
    look: () => Promise<Found>,
    isThere: (found: Found) => boolean = () => true,
  ): Promise<Found> {
    const refresh = async (): Promise<void> => {
      await Promise.all(modulePaths.map((path) => this.refreshSlots(path)));
    };
    return await lookAgain(look, refresh, isThere, this.#clock);
  }

  /**
   * Reads in a token: in its own session while that is open, since a token may have no second one; else in one that is closed
   * again.
   * @param seen looked for again by what names it, if its module was started or initialized anew since
   * @param work gets the token as it is now, and whether the session is logged in, if the token wants that
   * @throws AgentError what `work` threw, ERR_TOKEN_*, ERR_MODULE_*
   */
  async read<Result>(
    modulePath: string,
    seen: SeenToken,
    work: (at: Session & Pick<OpenSession, 'token'>, isLoggedIn: boolean) => Promise<Result>,
  ): Promise<Result> {
    const session = this.#used.get(nameOf(modulePath, seen.info))?.session;
    if (session?.isOpen === true) return await session.run((at) => work(at, true));
    let now = seen;
    while (!isCurrent(now)) now = await this.await(identityOf(seen.info), modulePath);
    const { info: token } = now;
    const reading = { modulePath };
    this.#readings.add(reading);
    try {
      return await inSession(now, (at) => work({ ...at, token }, false));
    } finally {
      this.#readings.delete(reading);
    }
  }

  /** Makes a module look for its slots anew, unless one of its tokens is in use or read. Never throws. */
  async refreshSlots(modulePath: string): Promise<void> {
    if ([...this.#used.values(), ...this.#readings].some((each) => each.modulePath === modulePath)) return;
    // a module that can't be initialized anew says so at the next look
    await this.module(modulePath)
      .then((host) => host.call('reinitialize', {}, BRIEF))
      .catch(() => undefined);
  }

  #make(name: string, modulePath: string, info: TokenInfo): UsedToken {
    const { hosts, onEvent } = this.#options;
    const { label } = info;
    const identity = identityOf(info);
    const clock = this.#clock;
    const neighbours = (): Neighbours => this.#neighboursOf(session, modulePath);
    const extras = this.#extras.get(name) ?? new ExtraSessions({ modules: hosts, modulePath, identity, clock });
    this.#extras.set(name, extras);
    const users = new Set<TokenUser>();
    const session = new TokenSession({
      modules: hosts,
      modulePath,
      identity,
      label,
      extras,
      neighbours,
      clock,
      pin: () => {
        // any user's: they have one source
        const [user] = users;
        if (!user) throw new AgentError('ERR_ABORTED', `token '${label}' is no longer in use`);
        // the one that it was logged in by before may be nobody's by now
        this.#letGo();
        return user.use.pin;
      },
      onEvent: (event) => {
        onEvent?.(event);
        // what only the owner wants to know is not the users'
        if (event.type !== 'token-state') for (const user of [...users]) user.tell(event);
      },
    });
    const watch = new TokenWatch(session, clock, neighbours);
    return { modulePath, label, session, watch, users };
  }

  /**
   * Has {@link forget} let go of a PIN, whatever it is used for.
   * @returns to be called when it is used no more: lets go of it, as soon as no session needs it
   */
  keep(pin: Pin): () => void {
    this.#pins.add(pin);
    return () => {
      this.#left.add(pin);
      this.#letGo();
    };
  }

  #letGo(): void {
    for (const pin of this.#left) {
      if ([...this.#used.values()].some(({ session }) => session.isLoggedInBy(pin))) continue;
      this.#left.delete(pin);
      this.#pins.delete(pin);
      pin.forget();
    }
  }

  /**
   * Lets go of all PINs, and logs out of all tokens as soon as nothing is done in them: until the next use.
   * @returns how many tokens
   */
  async forget(): Promise<number> {
    const tokens = [...this.#used.values()];
    const ofUsers = tokens.flatMap(({ users }) => [...users].map(({ use }) => use.pin));
    for (const pin of new Set([...this.#pins, ...ofUsers])) pin.forget();
    await Promise.all(tokens.map(({ session }) => session.rest()));
    return tokens.length;
  }

  #neighboursOf(session: TokenSession, modulePath: string): Neighbours {
    const others = [...this.#used.values()]
      .filter((token) => token.modulePath === modulePath && token.session !== session)
      .map((token) => token.session)
      // one that lost its session by such a step is about to open it anew
      .filter(({ isBeingOpened, isAway, isResting }) => isBeingOpened || !(isAway || isResting));
    if (others.length === 0) return 'alone';
    return others.some(({ isInUse, isBeingOpened, needsPerson }) => isInUse || isBeingOpened || needsPerson)
      ? 'in use'
      : 'idle';
  }

  #setInterval({ watch, users }: UsedToken): void {
    const ofUsers = [...users].map(({ use }) => use.watchInterval);
    const intervals = [this.#options.watchInterval, ...ofUsers].filter((interval) => interval !== undefined);
    watch.setInterval(users.size === 0 || intervals.length === 0 ? undefined : Math.min(...intervals));
  }

  async #remove(name: string, token: UsedToken, user: TokenUser): Promise<void> {
    if (!token.users.delete(user)) return;
    this.#setInterval(token);
    if (token.users.size > 0) return;
    this.#used.delete(name);
    this.#letGo();
    await token.session.close();
  }

  /** Closes all sessions. The module hosts stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const users = [...this.#used.values()].flatMap((token) => [...token.users]);
    await Promise.all(users.map((user) => user[Symbol.asyncDispose]()));
  }
}

const nameOf = (modulePath: string, token: TokenInfo): string => formatPkcs11Uri({ ...identityOf(token), modulePath });

/** @throws AgentError ERR_USAGE: the PIN that comes second would never be asked for, and never be checked */
function checkPinSource({ users, label }: UsedToken, user: TokenUser): void {
  const other = [...users].find(({ use }) => use.pinSource !== user.use.pinSource);
  if (!other) return;
  const names = other.name === user.name ? `${user.name}, twice` : `${other.name} and ${user.name}`;
  throw new AgentError('ERR_USAGE', `two PIN sources for token '${label}': ${names}`, {
    hint: 'a token is logged in to once for all its keys: give each the same pin-source',
    reason: 'two-pin-sources',
  });
}
