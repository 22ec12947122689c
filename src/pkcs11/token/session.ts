import type { Clock } from '../../clock.ts';
import { AgentError, type AgentErrorCode, errorText } from '../../errors.ts';
import { type Resolvers, withResolvers } from '../../promises.ts';
import { onceMore, UnsettledLogin } from '../host/login-outcome.ts';
import type { Modules } from '../host/module.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { isCurrent, type SeenToken } from '../host/session.ts';
import { pinState } from '../pins/pin-state.ts';
import type { Pin } from '../pins/pin.ts';
import type { Pkcs11Uri } from '../uri.ts';
import type { SessionEvent } from './events.ts';
import type { ExtraSessions } from './extra-sessions.ts';
import { openSession, type OpenSession } from './open-session.ts';
import {
  BRIEF,
  closeSession,
  DISTURBANCE_PAUSE,
  endsAll,
  laterStep,
  mayDisturb,
  type Neighbours,
  nextStep,
  takeStep,
  type RecoveryStep,
} from './recovery.ts';
import { findToken } from './token.ts';

/** Whether the login is what keeps a session from being opened, of a token that is there: daemons are sent no signal for it. */
function isOfLogin(error: unknown): error is AgentError {
  // one more login without an outcome may have one
  if (error instanceof UnsettledLogin) return !error.mayTryAgain;
  return error instanceof AgentError && /^ERR_(?:PIN|STATE)_/.test(error.code);
}

/** Which token to open, and how. */
export interface TokenSessionOptions {
  readonly modules: Modules;
  readonly modulePath: string;
  /** What names the token: one that is put back must be the same, since another would be sent this one's PIN. */
  readonly identity: Pkcs11Uri;
  /** The token's label, for events. */
  readonly label: string;
  /** Gets what logs in to it, where it wants that. @throws AgentError ERR_ABORTED if the token is no longer in use */
  readonly pin: () => Pin;
  readonly onEvent: (event: SessionEvent) => void;
  /** Take over what may be done in any session while this one is busy; they end whenever this one is lost. */
  readonly extras: ExtraSessions;
  /** What other tokens of the module would lose by a recovery step for this one. */
  readonly neighbours: () => Neighbours;
  readonly clock: Clock;
}

/**
 * The session of a token: a module host does one thing at a time, and tokens have few sessions. Opens itself anew after its
 * module host, its session or its token was lost.
 */
export class TokenSession {
  readonly #options: TokenSessionOptions;
  #open: OpenSession | undefined;
  /** What logged it in. */
  #pin: Pin | undefined;
  #opening: Promise<OpenSession> | undefined;
  /** What was tried last against an opening that failed, until one does not. */
  #climb: Climb | undefined;
  /** When a request has last had the sessions of other tokens ended. */
  #disturbedAt = Number.NEGATIVE_INFINITY;
  #running = 0;
  #absence: Absence | undefined;
  #absences = 0;
  /** What was told last of the token's state, and of a login that failed. */
  #told = '';
  #toldFailure = '';
  #isResting = false;
  /** It must rest: settles when it does, for all who wait for that. */
  #rested: Resolvers<void> | undefined;
  #isClosed = false;

  constructor(options: TokenSessionOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#open?.host.isAlive === true && this.#open.epoch === this.#open.host.epoch;
  }

  /** Something is being done in it. */
  get isInUse(): boolean {
    return this.#running > 0;
  }

  /** It may be between C_OpenSession and C_Login; one that only looks for a token that is away does not count. */
  get isBeingOpened(): boolean {
    return this.#opening !== undefined && !this.isAway;
  }

  /** The token went away, or can't be used, and has not come back. */
  get isAway(): boolean {
    return this.#absence !== undefined;
  }

  /** Opening it anew takes a person at the token's keypad. */
  get needsPerson(): boolean {
    return this.#open !== undefined && pinState(this.#open.token).hasKeypad;
  }

  /** It is being logged in, or its extra sessions would be, by the same. */
  isLoggedInBy(pin: Pin): boolean {
    return this.#pin === pin;
  }

  /** Resolves when the token is there. */
  async ready(): Promise<void> {
    await this.#absence?.isOver;
  }

  /**
   * Does something in the session. Where that fails for a reason that may pass, recovers step by step and does it again.
   * @throws AgentError what `work` threw at last, ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*
   */
  async run<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result> {
    this.#running++;
    try {
      return await this.#runRecovering(work);
    } finally {
      this.#running--;
      if (this.#rested) void this.#rest();
    }
  }

  /**
   * Does something in an extra session, if this one is busy and that one is less so.
   * @returns undefined, at once or in the end: it is to be done by {@link run}
   * @throws AgentError ERR_ABORTED if the work was given up
   */
  runBeside<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result | undefined> | undefined {
    const open = this.#open;
    if (!open || !this.isOpen) return undefined;
    const load = Math.max(this.#running, open.host.pending);
    return this.#options.extras.run({ open, load, pin: this.#pin }, work);
  }

  async #runRecovering<Result>(work: (at: OpenSession) => Promise<Result>): Promise<Result> {
    for (let step: RecoveryStep | undefined; ; ) {
      const opened = this.open();
      const opening = this.#opening;
      let at: OpenSession | undefined;
      try {
        at = await opened;
        return await work(at);
      } catch (error) {
        if (at) {
          // what happens in a session that could be opened says nothing of the token
          step = this.#nextStep(step, error);
          if (step === undefined) throw error;
          // unless another request has recovered in the meantime
          if (this.#open === at) await this.#recoverAloud(step, error);
        } else {
          if (!this.#climb || this.#climb.opening !== opening) this.#climb = this.#climbOn(opening, step, error);
          const { done } = this.#climb;
          step = this.#climb.step;
          if (step === undefined) throw error;
          await done;
        }
      }
    }
  }

  /** After an opening that failed: the next step, or none and the token is lost. One for all who wait, however many. */
  #climbOn(opening: Climb['opening'], tried: RecoveryStep | undefined, error: unknown): Climb {
    const step = this.#nextStep(laterStep(tried, this.#climb?.step), error);
    if (step === undefined) this.lose(error);
    return { opening, step, done: step && this.#recoverAloud(step, error) };
  }

  /** The next step that may help, unless other tokens would lose too much by it. */
  #nextStep(tried: RecoveryStep | undefined, error: unknown): RecoveryStep | undefined {
    const step = nextStep(tried, error);
    if (step === undefined || !endsAll(step)) return step;
    const { neighbours, clock } = this.#options;
    const now = clock.now();
    // the last two steps follow each other
    const isPause = now - this.#disturbedAt < DISTURBANCE_PAUSE && !(tried !== undefined && endsAll(tried));
    const beside = neighbours();
    if (!mayDisturb(step, error, beside, isPause)) return undefined;
    if (beside !== 'alone') this.#disturbedAt = now;
    return step;
  }

  /**
   * The session as it is open, or opened anew.
   * @param seen the token as it was seen a moment ago, which need not be looked for again: in an HSM each call takes its time
   * @throws AgentError ERR_TOKEN_*, ERR_MODULE_*, ERR_PIN_*, ERR_ABORTED (it was closed)
   */
  async open(seen?: SeenToken): Promise<OpenSession> {
    this.#isResting = false;
    if (this.#open && this.isOpen) return this.#open;
    this.#checkNotClosed();
    let known = seen;
    this.#opening ??= onceMore(
      () => {
        // behind a login without an outcome the token may say that fewer tries are left
        const first = known;
        known = undefined;
        return this.#openAnew(first);
      },
      (error) => this.#recoverAloud('start a new module host', error),
    ).finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  #checkNotClosed(): void {
    if (this.#isClosed) throw new AgentError('ERR_ABORTED', `token '${this.#options.label}' is no longer in use`);
  }

  async #openAnew(seen: SeenToken | undefined): Promise<OpenSession> {
    const { modules, modulePath, identity, pin, extras } = this.#options;
    void extras.end();
    const host = await modules.get(modulePath);
    const found = seen?.host === host && isCurrent(seen) ? seen : await findToken(host, identity);
    const token = found.info;
    this.see(token);
    this.#pin = undefined;
    const open = await openSession(found, async (session) => {
      if (pinState(token).needsLogin) {
        this.#pin = pin();
        await this.#pin.login(host, session, token);
      }
      this.#checkNotClosed();
    }).catch((error: unknown) => {
      this.#pin = undefined;
      throw error;
    });
    this.#open = open;
    this.#climb = undefined;
    this.see(token);
    this.#find();
    return open;
  }

  /** Whoever logs in goes by what the token says now; tells its state if it is another one than before. */
  see(token: TokenInfo): void {
    const { onEvent, label } = this.#options;
    const open = this.#open;
    if (open?.token.slot === token.slot && open.token.serial === token.serial) open.token = token;
    const { tries, hasKeypad, needsLogin } = pinState(token);
    const state = { pin: tries, hasKeypad, isLoggedIn: needsLogin && this.isOpen };
    const text = JSON.stringify(state);
    if (text === this.#told || this.#isClosed) return;
    this.#told = text;
    onEvent({ type: 'token-state', token: label, ...state });
  }

  /** It was told to rest, and nothing has wanted it since. */
  get isResting(): boolean {
    return this.#isResting;
  }

  /**
   * Logs out and closes the session, as soon as nothing is done in it: the next use opens it anew, which takes the PIN again.
   * Resolves when that is done.
   */
  async rest(): Promise<void> {
    this.#rested ??= withResolvers();
    const { promise } = this.#rested;
    await this.#rest();
    await promise;
  }

  async #rest(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    const rested = this.#rested;
    // whatever is under way rests it behind that
    if (this.#running > 0 || !rested) return;
    this.#rested = undefined;
    rested.resolve(this.#logOut());
  }

  async #logOut(): Promise<void> {
    const open = this.isOpen ? this.#open : undefined;
    this.#open = undefined;
    this.#pin = undefined;
    // one that is away looks for its token as before: without the PIN there is no login
    this.#isResting = !this.isAway;
    await this.#options.extras.end();
    if (!open) return;
    this.see(open.token);
    await open.host.call('logout', { session: open.session }, BRIEF).catch(() => undefined);
    await closeSession(open).catch(() => undefined);
  }

  /** Takes a recovery step: the session has to be opened anew afterwards. Never throws. */
  async recover(step: RecoveryStep, error?: unknown): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    const { modules, modulePath, extras } = this.#options;
    void extras.end();
    await takeStep(step, open, () => modules.get(modulePath), error);
  }

  async #recoverAloud(step: RecoveryStep, error: unknown): Promise<void> {
    const { onEvent, label } = this.#options;
    if (!this.#isClosed) onEvent({ type: 'recovering', token: label, step, error: errorText(error) });
    await this.recover(step, error);
  }

  /** How often it was away. */
  get absences(): number {
    return this.#absences;
  }

  /** The token can't be used, or can't be logged in to; told once, until that is over. */
  lose(error: unknown): void {
    // its owner let go of it: that is not the token's loss
    if (this.#isClosed) return;
    if (isOfLogin(error)) {
      // whoever refuses a login is there
      if (this.#absence) this.#find();
      this.#tellLoginFailure(error.code, errorText(error));
      return;
    }
    if (this.#absence) return;
    this.#absence = absence();
    this.#absences++;
    const { onEvent, label } = this.#options;
    onEvent({ type: 'lost', token: label, error: errorText(error) });
  }

  /** Nothing is opened until a request wants it: whoever only looks would read the PIN again and again. */
  #tellLoginFailure(code: AgentErrorCode, error: string): void {
    this.#isResting = true;
    if (error === this.#toldFailure) return;
    this.#toldFailure = error;
    const { onEvent, label } = this.#options;
    onEvent({ type: 'login-failed', token: label, code, error });
  }

  #find(): void {
    this.#toldFailure = '';
    if (!this.#absence) return;
    this.#absence.end();
    this.#absence = undefined;
    const { onEvent, label } = this.#options;
    onEvent({ type: 'found', token: label });
  }

  /** Closes it for good. Never throws. */
  async close(): Promise<void> {
    const before = this.#open;
    const open = this.isOpen ? before : undefined;
    this.#open = undefined;
    // nobody is logged in to it any more
    if (before && !this.isAway) this.see(before.token);
    this.#isClosed = true;
    await Promise.all([open && closeSession(open).catch(() => undefined), this.#options.extras.end()]);
  }
}

/** What is done about an opening that failed. */
interface Climb {
  readonly opening: Promise<OpenSession> | undefined;
  /** Undefined if nothing is left to try. */
  readonly step: RecoveryStep | undefined;
  readonly done: Promise<void> | undefined;
}

/** The time in which a token is away. */
interface Absence {
  readonly isOver: Promise<void>;
  readonly end: () => void;
}

function absence(): Absence {
  let end = (): void => undefined;
  const isOver = new Promise<void>((resolve) => (end = resolve));
  return { isOver, end };
}
