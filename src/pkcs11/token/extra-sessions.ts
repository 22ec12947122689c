import { pause, type Clock } from '../../clock.ts';
import { errorCode, errorText } from '../../errors.ts';
import type { Module, Modules } from '../host/module.ts';
import type { TokenInfo } from '../host/protocol.ts';
import { pinState } from '../pins/pin-state.ts';
import type { Pin } from '../pins/pin.ts';
import type { Pkcs11Uri } from '../uri.ts';
import { openSession, type OpenSession } from './open-session.ts';
import { BRIEF, MAX_HOST_BYTES } from './recovery.ts';
import { findToken } from './token.ts';

/** Which token they are of. */
export interface ExtraSessionsOptions {
  readonly modules: Modules;
  readonly modulePath: string;
  /** What names the token. */
  readonly identity: Pkcs11Uri;
  readonly clock: Clock;
}

/** The session that a token has anyway, and how it stands. */
export interface OwnSession {
  readonly open: OpenSession;
  /** Works and calls that are under way in it or wait for it. */
  readonly load: number;
  /** What logged it in, where the token wants that. */
  readonly pin: Pin | undefined;
}

interface Extra {
  readonly at: OpenSession;
  /** Works that are under way in it or wait for it. */
  works: number;
  /** When its last work began or ended. */
  usedAt: number;
  /** It ends with its last work. */
  isRetired: boolean;
  stopTimer: () => void;
}

/** So many works that found others waiting, within so many milliseconds, are worth a process more. */
const WAITS = 16;
const WAITS_WITHIN = 1_000;
/** Milliseconds without work after which a session ends, and between looks at one that has work. */
const IDLE = 60_000;
/** Milliseconds without a further session after one that failed; each time twice as many. */
const FIRST_PAUSE = 60_000;
const LONGEST_PAUSE = 3_600_000;
/** Milliseconds that a start gets to end by itself: a login that is cut short counts as a try. */
const END_PATIENCE = 1_000;

/**
 * Further sessions of a token, each in a module host of its own, for when signatures wait. No request waits for one to start,
 * and what fails in one is done in the token's own session: they can only help. A token has some only if it stays where it is,
 * and has accepted the PIN in this process; one whose extra session could not be opened gets none any more.
 */
export class ExtraSessions {
  readonly #options: ExtraSessionsOptions;
  #extras: readonly Extra[] = [];
  /** When works were found waiting, of late. */
  #waits: number[] = [];
  #starting: Promise<void> | undefined;
  /** How often all were ended: a start that began before is in vain. */
  #ends = 0;
  #staysInSlot = false;
  #isGivenUp = false;
  #notBefore = 0;
  #pause = FIRST_PAUSE;

  constructor(options: ExtraSessionsOptions) {
    this.#options = options;
  }

  /**
   * Does something in the extra session that has the least to do, if that is less than the token's own has.
   * @returns undefined if the own session is to do it; the same in a promise if it is to do it after all
   * @throws AgentError ERR_ABORTED if the work was given up
   */
  run<Result>(own: OwnSession, work: (at: OpenSession) => Promise<Result>): Promise<Result | undefined> | undefined {
    if (own.load === 0) return undefined;
    const extra = this.#leastBusy();
    if (Math.min(own.load, extra?.works ?? own.load) > 1) this.#noteWait(own);
    if (!extra || extra.works >= own.load) return undefined;
    return this.#runIn(extra, work);
  }

  async #runIn<Result>(extra: Extra, work: (at: OpenSession) => Promise<Result>): Promise<Result | undefined> {
    const { clock } = this.#options;
    extra.works++;
    extra.usedAt = clock.now();
    try {
      return await work(extra.at);
    } catch (error) {
      if (errorCode(error) === 'ERR_ABORTED') throw error;
      this.#fail(extra, error);
      return undefined;
    } finally {
      extra.works--;
      extra.usedAt = clock.now();
      if (extra.isRetired && extra.works === 0) void extra.at.host.stop();
    }
  }

  #leastBusy(): Extra | undefined {
    for (const extra of this.#extras) if (!extra.at.host.isAlive) this.#fail(extra);
    const [first, ...others] = this.#extras;
    return first && others.reduce((least, extra) => (extra.works < least.works ? extra : least), first);
  }

  #noteWait(own: OwnSession): void {
    const now = this.#options.clock.now();
    if (this.#isGivenUp || this.#starting || now < this.#notBefore) return;
    this.#waits = [...this.#waits.slice(1 - WAITS), now];
    if (this.#waits.length < WAITS || now - (this.#waits[0] ?? now) > WAITS_WITHIN) return;
    this.#waits = [];
    if (!isUntroubled(own.open.token) || !mayLogIn(own.open.token, own.pin)) return;
    const ends = this.#ends;
    this.#starting = this.#start(own, ends)
      .catch((error: unknown) => {
        // an own session that went away meanwhile is a reason for all but what was said of the PIN
        const isPin = errorCode(error)?.startsWith('ERR_PIN_') === true;
        if (isPin || (ends === this.#ends && own.open.host.isAlive)) this.#isGivenUp = true;
      })
      .finally(() => {
        this.#starting = undefined;
      });
  }

  /** @throws AgentError ERR_MODULE_*, ERR_TOKEN_*, ERR_PIN_* */
  async #start({ open, pin }: OwnSession, ends: number): Promise<void> {
    const { modules, modulePath } = this.#options;
    if (!this.#staysInSlot) {
      const { removable } = await open.host.call('slot', { slot: open.token.slot }, BRIEF);
      // a card has one driver at a time, and few tries
      if (removable) this.#isGivenUp = true;
      if (removable || ends !== this.#ends) return;
      this.#staysInSlot = true;
    }
    const host = await modules.another(modulePath);
    if (!host) return;
    try {
      const at = await this.#openIn(host, pin, ends);
      if (at && ends === this.#ends) this.#add(at);
      else await host.stop();
    } catch (error) {
      await host.stop(ends === this.#ends ? `was given up: ${errorText(error)}` : undefined);
      throw error;
    }
  }

  /** @returns undefined if this is not the moment */
  async #openIn(host: Module, pin: Pin | undefined, ends: number): Promise<OpenSession | undefined> {
    const seen = await findToken(host, this.#options.identity);
    const token = seen.info;
    if (!isUntroubled(token)) {
      this.#postpone();
      return undefined;
    }
    if (ends !== this.#ends) return undefined;
    return await openSession(seen, async (session) => {
      if (pinState(token).needsLogin) await pin?.loginAgain(host, session, token);
    });
  }

  #add(at: OpenSession): void {
    const usedAt = this.#options.clock.now();
    const extra: Extra = { at, works: 0, usedAt, isRetired: false, stopTimer: () => undefined };
    this.#extras = [...this.#extras, extra];
    this.#watch(extra);
  }

  #watch(extra: Extra): void {
    const { clock } = this.#options;
    const rest = extra.usedAt + IDLE - clock.now();
    extra.stopTimer = clock.after(Math.max(1, rest), () => void this.#look(extra));
  }

  /** Ends one that has nothing to do, or has grown too much. Never rejects. */
  async #look(extra: Extra): Promise<void> {
    const { host, token } = extra.at;
    const isIdle = extra.works === 0 && this.#options.clock.now() - extra.usedAt >= IDLE;
    try {
      if (isIdle || (await host.call('tokens', { slot: token.slot }, BRIEF)).rss > MAX_HOST_BYTES) this.#retire(extra);
      else if (this.#extras.includes(extra)) this.#watch(extra);
    } catch (error) {
      this.#fail(extra, error);
    }
  }

  #retire(extra: Extra): void {
    if (!this.#remove(extra)) return;
    extra.isRetired = true;
    if (extra.works === 0) void extra.at.host.stop();
  }

  #fail(extra: Extra, error?: unknown): void {
    if (!this.#remove(extra)) return;
    this.#postpone();
    void extra.at.host.stop(error === undefined ? undefined : `was given up: ${errorText(error)}`);
  }

  #postpone(): void {
    this.#notBefore = this.#options.clock.now() + this.#pause;
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }

  /** @returns whether it was there */
  #remove(extra: Extra): boolean {
    const isThere = this.#extras.includes(extra);
    this.#extras = this.#extras.filter((each) => each !== extra);
    extra.stopTimer();
    return isThere;
  }

  /** Ends them all: what is under way in them is done in the own session. Others may follow. Never rejects. */
  async end(): Promise<void> {
    this.#ends++;
    this.#waits = [];
    const extras = this.#extras;
    this.#extras = [];
    for (const { stopTimer } of extras) stopTimer();
    await Promise.all([this.#started(), ...extras.map(({ at }) => at.host.stop())]);
  }

  /** Resolves when no start is under way, or has gone on for too long. */
  async #started(): Promise<void> {
    if (!this.#starting) return;
    const waiting = new AbortController();
    await Promise.race([this.#starting, pause(this.#options.clock, END_PATIENCE, waiting.signal)]);
    waiting.abort();
  }
}

/** A person at a keypad is not asked again, and tries that are few are not for speed. */
function isUntroubled(token: TokenInfo): boolean {
  const { hasKeypad, tries } = pinState(token);
  return !hasKeypad && tries === 'ok';
}

function mayLogIn(token: TokenInfo, pin: Pin | undefined): boolean {
  return !pinState(token).needsLogin || pin?.hasAccepted(token) === true;
}
