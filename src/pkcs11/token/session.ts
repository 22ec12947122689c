import { AgentError, errorCode, errorText } from '../../errors.ts';
import type { TokenEvent, TokenEventListener } from './events.ts';
import { isWorthReopening } from '../host/failures.ts';
import { onceMore, UnsettledLogin } from '../host/login-outcome.ts';
import type { ModuleHost } from '../host/module-host.ts';
import type { ModuleHosts } from '../host/module-hosts.ts';
import type { Session } from '../host/session.ts';
import type { Pin } from '../pins/pin.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { findToken, lookAgain } from './token.ts';
import { hasPad, needsLogin } from '../pins/pin-state.ts';
import { formatPkcs11Uri, pkcs11UriName, type Pkcs11Uri } from '../uri.ts';

/** How to open a token. */
export interface TokenSessionOptions {
  readonly hosts: ModuleHosts;
  readonly pin: Pin;
  /**
   * What names the source of `pin`: a token is logged in once for the whole process (PKCS#11 section 5.6.8), so all keys of
   * a token must agree on it. Undefined is the source for those that name none.
   */
  readonly pinSource?: string | undefined;
  readonly onEvent?: TokenEventListener | undefined;
  /** Milliseconds between looks at the token; without it, its removal is noticed by the next signature only. */
  readonly watchInterval?: number | undefined;
}

/** An open, logged-in session. Handles found in it are void as soon as there is another. */
export interface OpenSession extends Session {
  readonly token: TokenInfo;
  /** CKM_* that the token lists. */
  readonly mechanisms: ReadonlySet<number>;
  /** The host's when it was opened. */
  readonly epoch: number;
}

/** What to try, in this order, when a token fails: each step forgets more than the one before. */
const LADDER = [
  'reopen the session',
  'log out and in',
  'finalize and initialize the module',
  'start a new module host',
] as const;
/**
 * The step that a token which is away is looked for with: the third helps where the module keeps an old slot list (p11-kit,
 * SoftHSM), a new host where nothing else does, early on and then once in a while.
 */
const searchStep = (look: number): number => (look % 30 === 2 ? 3 : look % 2 === 0 ? 0 : 2);
/** Milliseconds for a call that only looks, or lets go: modules hang in them when a card was pulled at a bad moment. */
const BRIEF = 5_000;
/** A module host that grew beyond this is replaced when nothing is under way. */
const MAX_HOST_BYTES = 512 * 1024 * 1024;

/** The sessions of each set of hosts, by module and token. */
const registry = new WeakMap<ModuleHosts, Map<string, SharedSession>>();

/** Makes the module look for its slots anew, unless that costs somebody's session. Never throws. */
export async function refreshSlots(hosts: ModuleHosts, modulePath: string): Promise<void> {
  const sessions = [...(registry.get(hosts)?.values() ?? [])];
  if (sessions.some((session) => session.modulePath === modulePath)) return;
  // a module that can't be initialized anew says so at the next look
  await hosts
    .get(modulePath)
    .then((host) => host.call('reinitialize', {}, BRIEF))
    .catch(() => undefined);
}

/**
 * The token that a URI names; one that is not there at once is looked for again for two seconds.
 * @throws AgentError ERR_TOKEN_ABSENT, ERR_TOKEN_AMBIGUOUS, ERR_MODULE_*
 */
export async function awaitToken(hosts: ModuleHosts, modulePath: string, uri: Pkcs11Uri): Promise<TokenInfo> {
  return await lookAgain(
    async () => await findToken(await hosts.get(modulePath), uri),
    () => refreshSlots(hosts, modulePath),
  );
}

/** A user of a token: its own events, interval and listeners, in the session that all users of the token share. */
export class TokenSession implements AsyncDisposable {
  readonly #shared: SharedSession;
  /** How it was opened. */
  readonly options: TokenSessionOptions;
  /** The key or certificate that it was opened for, for errors. */
  readonly name: string;
  readonly #lostListeners = new Set<() => void>();

  private constructor(shared: SharedSession, name: string, options: TokenSessionOptions) {
    this.#shared = shared;
    this.options = options;
    this.name = name;
  }

  /**
   * The session of the token that a URI names, shared with whoever has it open; dispose of it once for each call.
   * @throws AgentError ERR_URI, ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_*; ERR_USAGE if others have it open with another PIN source
   */
  static async open(uri: Pkcs11Uri, modulePath: string, options: TokenSessionOptions): Promise<TokenSession> {
    const token = await awaitToken(options.hosts, modulePath, uri);
    const siblings = registry.get(options.hosts) ?? new Map<string, SharedSession>();
    registry.set(options.hosts, siblings);
    const name = formatPkcs11Uri({ ...identityOf(token), modulePath });
    const shared = siblings.get(name) ?? new SharedSession(modulePath, token, siblings, options.hosts);
    const user = new TokenSession(shared, pkcs11UriName(uri), options);
    if (needsLogin(token)) shared.checkPinSource(user);
    siblings.set(name, shared);
    shared.add(user);
    try {
      await shared.use();
    } catch (error) {
      await user[Symbol.asyncDispose]();
      throw error;
    }
    return user;
  }

  /**
   * Does something in the session. Where that fails for a reason that may pass, recovers step by step and does it again.
   * @throws AgentError what `work` threw at last, ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
   */
  async run<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result> {
    return await this.#shared.run(work);
  }

  /** Resolves when the token is there. */
  async ready(): Promise<void> {
    await this.#shared.ready();
  }

  /** Calls whenever the token goes away, until the session is disposed of. @returns its undoing */
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
  tell(event: TokenEvent): void {
    this.options.onEvent?.(event);
    if (event.type === 'lost') for (const listener of [...this.#lostListeners]) listener();
  }

  /** Closes the session when its last user has done so. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#lostListeners.clear();
    await this.#shared.remove(this);
  }
}

/**
 * The one session that all keys of a token share: a module host does one thing at a time, and tokens have few sessions.
 * Opens itself anew after its module host, its session or its token was lost.
 */
class SharedSession {
  readonly modulePath: string;
  readonly #hosts: ModuleHosts;
  /** What names the token: one that is put back must be the same, since another would be sent this one's PIN. */
  readonly #identity: Pkcs11Uri;
  readonly #label: string;
  readonly #siblings: Map<string, SharedSession>;
  readonly #users = new Set<TokenSession>();
  #open: OpenSession | undefined;
  #opening: Promise<OpenSession> | undefined;
  #openingError: unknown;
  #busy = 0;
  #watch: NodeJS.Timeout | undefined;
  #away: PromiseWithResolvers | undefined;
  #looks = 0;

  constructor(modulePath: string, token: TokenInfo, siblings: Map<string, SharedSession>, hosts: ModuleHosts) {
    this.modulePath = modulePath;
    this.#hosts = hosts;
    this.#siblings = siblings;
    this.#identity = identityOf(token);
    this.#label = token.label;
  }

  /** @throws AgentError ERR_USAGE: whose PIN comes second would never be asked for, and never be checked */
  checkPinSource(user: TokenSession): void {
    const other = [...this.#users].find(({ options }) => options.pinSource !== user.options.pinSource);
    if (!other) return;
    const names = other.name === user.name ? `${user.name}, twice` : `${other.name} and ${user.name}`;
    throw new AgentError('ERR_USAGE', `two PIN sources for token '${this.#label}': ${names}`, {
      hint: 'a token is logged in to once for all its keys: give each the same pin-source',
      reason: 'two-pin-sources',
    });
  }

  add(user: TokenSession): void {
    this.#users.add(user);
    this.#scheduleWatch();
  }

  async remove(user: TokenSession): Promise<void> {
    if (!this.#users.delete(user)) return;
    this.#scheduleWatch();
    if (this.#users.size > 0) return;
    for (const [name, session] of this.#siblings) if (session === this) this.#siblings.delete(name);
    const open = this.#open;
    const isOpen = this.#isOpen;
    this.#open = undefined;
    if (open && isOpen) await close(open, false).catch(() => undefined);
  }

  async run<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result> {
    this.#busy++;
    try {
      return await this.#runOnLadder(work);
    } catch (error) {
      // what happens in a session that could be opened says nothing of the token
      if (error === this.#openingError) this.#lose(error);
      throw error;
    } finally {
      this.#busy--;
    }
  }

  async ready(): Promise<void> {
    await this.#away?.promise;
  }

  #tell(event: TokenEvent): void {
    for (const user of [...this.#users]) user.tell(event);
  }

  /** Any user's: they have one source. */
  get #pin(): Pin {
    const [user] = this.#users;
    if (!user) throw new AgentError('ERR_ABORTED', `token '${this.#label}' is no longer in use`);
    return user.options.pin;
  }

  async #runOnLadder<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result> {
    for (let step = 0; ; step++) {
      const before = this.#open;
      try {
        return await work(await this.use());
      } catch (error) {
        if (step === LADDER.length || !isWorthReopening(error)) throw error;
        // a host that died leaves nothing but a new one to try
        if (errorCode(error) === 'ERR_MODULE_DIED' || error instanceof UnsettledLogin) step = LADDER.length - 1;
        if (before !== undefined && this.#open !== before) continue; // another request has climbed in the meantime
        this.#report(step, error);
        await this.#climb(step, error);
      }
    }
  }

  #report(step: number, error: unknown): void {
    this.#tell({ type: 'recovering', token: this.#label, step: LADDER[step] ?? '', error: errorText(error) });
  }

  get #isOpen(): boolean {
    return this.#open?.host.isAlive === true && this.#open.epoch === this.#open.host.epoch;
  }

  /** The session as it is open, or opened anew. */
  async use(): Promise<OpenSession> {
    if (this.#open && this.#isOpen) return this.#open;
    this.#opening ??= onceMore(
      () => this.#reopen(),
      async (error) => {
        this.#report(LADDER.length - 1, error);
        await this.#climb(LADDER.length - 1, error);
      },
    )
      .catch((error: unknown) => {
        this.#openingError = error;
        throw error;
      })
      .finally(() => {
        this.#opening = undefined;
      });
    return await this.#opening;
  }

  async #reopen(): Promise<OpenSession> {
    const host = await this.#hosts.get(this.modulePath);
    const { epoch } = host;
    const token = await findToken(host, this.#identity);
    const mechanisms = new Set(await host.call('mechanisms', { slot: token.slot }));
    const session = await host.call('openSession', { slot: token.slot });
    try {
      if (needsLogin(token)) await this.#pin.login(host, session, token);
    } catch (error) {
      await host.call('closeSession', { session }, BRIEF).catch(() => undefined);
      throw error;
    }
    this.#open = { host, session, token, mechanisms, epoch };
    this.#find();
    return this.#open;
  }

  /** Prepares the next try: what is open is dropped, and more with each step. Never throws. */
  async #climb(step: number, error?: unknown): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    try {
      const host = open?.host ?? (await this.#hosts.get(this.modulePath));
      if (step === 3) await host.stop(error === undefined ? undefined : `was replaced: ${errorText(error)}`);
      else if (step === 2) await host.call('reinitialize', {}, BRIEF);
      else if (open) await close(open, step === 1);
    } catch {
      // what is broken can't be closed properly
    }
  }

  #lose(error: unknown): void {
    if (this.#away) return;
    this.#away = promiseWithResolvers();
    this.#tell({ type: 'lost', token: this.#label, error: errorText(error) });
  }

  #find(): void {
    if (!this.#away) return;
    this.#away.resolve();
    this.#away = undefined;
    this.#looks = 0;
    this.#tell({ type: 'found', token: this.#label });
  }

  #scheduleWatch(): void {
    clearTimeout(this.#watch);
    // the shortest that is asked for
    const watchInterval = Math.min(...[...this.#users].map(({ options }) => options.watchInterval ?? Infinity));
    if (watchInterval === Infinity) return;
    this.#watch = setTimeout(() => {
      void this.#look().finally(() => {
        this.#scheduleWatch();
      });
    }, watchInterval);
    this.#watch.unref();
  }

  /** One look at the token: is it still there, or there again? Polling, since C_WaitForSlotEvent would block the host. */
  async #look(): Promise<void> {
    if (this.#busy > 0) return;
    try {
      if (this.#away) await this.#search();
      else await this.#inspect(await this.use());
    } catch (error) {
      if (this.#away || this.#busy > 0) return;
      // a session that was lost while the token stays is opened anew, and nobody need know
      await this.#climb(0, error);
      await this.use().catch((reason: unknown) => {
        this.#lose(reason);
      });
    }
  }

  /** Somebody may be between C_OpenSession and C_Login; those who only look for a token that is away don't count. */
  get #isBeingOpened(): boolean {
    return this.#opening !== undefined && this.#away === undefined;
  }

  async #search(): Promise<void> {
    const look = this.#looks++;
    const others = [...this.#siblings.values()].filter(
      (other) => other.modulePath === this.modulePath && (other.#isOpen || other.#isBeingOpened),
    );
    // the further steps cost the module's other tokens their sessions: now and then nobody minds, who has not to type a PIN
    const idle = others.every(
      (other) => other.#busy === 0 && !other.#isBeingOpened && !(other.#open && hasPad(other.#open.token)),
    );
    const step = others.length === 0 ? searchStep(look) : idle && look % 10 === 4 ? 2 : 0;
    await this.#climb(step);
    await this.use();
  }

  async #inspect({ host, session, token }: OpenSession): Promise<void> {
    const { tokens, rss } = await host.call('tokens', {}, BRIEF);
    if (!tokens.some(({ serial, slot }) => serial === token.serial && slot === token.slot)) {
      throw new AgentError('ERR_TOKEN_ABSENT', `token '${token.label}' was removed`);
    }
    await host.call('sessionInfo', { session }, BRIEF);
    if (rss > MAX_HOST_BYTES) await host.stop(`was replaced: it grew to ${rss} bytes`);
  }
}

function identityOf({ label, manufacturer, model, serial }: TokenInfo): Pkcs11Uri {
  return { token: label, manufacturer, model, serial };
}

async function close({ host, session }: { host: ModuleHost; session: string }, logOut: boolean): Promise<void> {
  if (logOut) await host.call('logout', { session }, BRIEF).catch(() => undefined);
  await host.call('closeSession', { session }, BRIEF);
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** Promise.withResolvers, which Node 20 lacks. */
function promiseWithResolvers(): PromiseWithResolvers {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
