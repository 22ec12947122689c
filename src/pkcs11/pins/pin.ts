// PINs, and what tokens said of them: every C_Login goes through here, so that no loop of ours locks a card. For sessions,
// for keys that want the PIN with each signature, and for what looks into a token once.
import { isUtf8 } from 'node:buffer';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { SYSTEM_CLOCK, type Clock } from '../../clock.ts';
import { AgentError, type AgentErrorCode } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import type { PinEvent } from './events.ts';
import { outcomeOf, UnsettledLogin, type LoginOutcome } from '../host/login-outcome.ts';
import type { Module } from '../host/module.ts';
import type { LoginResult, PinMemory, PinTrial } from './pin-memory.ts';
import type { PinUse } from './pin-record.ts';
import type { HostCalls, TokenInfo } from '../host/protocol.ts';
import { processMemory } from './refused-pins.ts';
import { pinState, type PinTries } from './pin-state.ts';
import { tokenName } from './token-name.ts';

/** How to come by a PIN, and how careful to be with it. */
export interface PinOptions {
  /**
   * Gets the PIN, as a {@link Secret} of its own, which is zeroed when it is forgotten.
   * @param token the token's label, for a prompt
   * @param again the token refused what came last time: get another one, or reject
   * @param tries what the token says of those that are left, for a prompt
   */
  readonly ask: (token: string, again: boolean, tries: PinTries) => Promise<Secret>;
  /** The memory over restarts; without it a refused PIN is remembered while the process lives. */
  readonly refused?: PinMemory | undefined;
  /** Use the last try that the token allows (CKF_USER_PIN_FINAL_TRY). */
  readonly useFinalTry?: boolean | undefined;
  readonly onEvent?: ((event: PinEvent) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/** Milliseconds of waiting for a PIN after which the token is looked at again: others may have used up tries meanwhile. */
const PROMPTNESS = 1_000;
/** Milliseconds of a module's waiting for its keypad after which a person is told of it. */
const PAD_NOTICE = 500;
/** Milliseconds that a person has for typing there. */
const PAD_PATIENCE = 120_000;

/** What a token said of a PIN. */
interface Refusal {
  readonly error: AgentError;
  /** Tells whether the source says the same: the PIN itself is zeroed. */
  readonly likeness: Buffer;
  /** It stands in the memory too, from where a person may remove it. */
  readonly isRecorded: boolean;
}

/** A PIN that may be sent. */
interface ReadyPin {
  readonly secret: Secret;
  /** It took its time: what the token said before is of no use any more. */
  readonly isLate: boolean;
}

/** What is known of one token's PIN. */
interface TokenPin {
  secret?: Promise<Secret> | undefined;
  /** What the token said of which PIN. */
  refusal?: Refusal | undefined;
  /** The PIN that the token accepted in a session, and has not refused since. */
  accepted?: Promise<Secret> | undefined;
  /** The PIN that it accepted for a signature: the next one need not be written down. */
  signs?: Secret | undefined;
  /** Logins under way, and what is to be zeroed behind them. */
  users: number;
  forgotten: Secret[];
}

/**
 * PINs from one source, and what became of them. A PIN is asked for once a token, kept while the agent runs, and never
 * tried again on a token that refused it; one that has changed at its source in the meantime is. Each C_Login goes through
 * the memory of refused PINs, which writes it down before it is made.
 */
export class Pin {
  readonly #options: PinOptions;
  readonly #memory: PinMemory;
  readonly #tokens = new Map<string, TokenPin>();
  /** For telling whether a PIN is the one that was refused, without that. */
  readonly #likenessKey = randomBytes(32);

  constructor(options: PinOptions) {
    this.#options = options;
    this.#memory = options.refused ?? processMemory();
  }

  /**
   * Logs in to a token.
   * @throws AgentError ERR_PIN_INCORRECT, ERR_PIN_LOCKED, ERR_PIN_FINAL_TRY: at every later call too, without another try;
   *   ERR_PIN_UNSETTLED: an {@link UnsettledLogin} that may be tried once more or not; ERR_STATE_DIRECTORY
   */
  async login(host: Module, session: string, token: TokenInfo): Promise<void> {
    await this.#using(token, () => this.#login(host, session, token));
  }

  async #login(host: Module, session: string, token: TokenInfo): Promise<void> {
    const ready = await this.#ready(token);
    await this.#try(host, token, ready, 'session', sendTo(host, session, token, ready.secret));
  }

  /** Has the token accepted the PIN in this process, and not refused it since? One that a person types there does not count. */
  hasAccepted(token: TokenInfo): boolean {
    const { accepted, secret } = this.#of(token);
    return accepted !== undefined && accepted === secret;
  }

  /**
   * Logs in to a token in a further session that could be done without: only with the PIN that it has accepted, which is not
   * asked for again, and not if a try may be missed. What comes of it is remembered as with any login.
   * @throws AgentError as {@link login} does
   */
  async loginAgain(host: Module, session: string, token: TokenInfo): Promise<void> {
    const { accepted, secret } = this.#of(token);
    checkNoTroubles(token);
    if (!secret || accepted !== secret) {
      throw new AgentError('ERR_PIN_REQUIRED', `token '${token.label}' has not accepted a PIN before`);
    }
    await this.#using(token, async () => {
      const pin = await secret;
      const ready = { secret: pin, isLate: false };
      await this.#try(host, token, ready, 'session', sendTo(host, session, token, pin), checkNoTroubles);
    });
  }

  /**
   * Signs with a key that wants the PIN with each signature (CKA_ALWAYS_AUTHENTICATE): C_Login as CKU_CONTEXT_SPECIFIC.
   * The first one is written down; once the token has accepted the PIN so, only one that fails is.
   * @throws AgentError as `login` does, and what the signature itself threw
   */
  async sign(
    host: Module,
    token: TokenInfo,
    params: HostCalls['sign']['params'],
    data: Buffer,
    signal?: AbortSignal,
  ): Promise<Buffer> {
    return await this.#using(token, () => this.#sign(host, token, params, data, signal));
  }

  async #sign(
    host: Module,
    token: TokenInfo,
    params: HostCalls['sign']['params'],
    data: Buffer,
    signal?: AbortSignal,
  ): Promise<Buffer> {
    const ready = await this.#ready(token);
    const { secret } = ready;
    const begun: Promise<Buffer>[] = [];
    const send: Send = (onBegin) =>
      new Promise((resolve, reject) => {
        const onLogin = (): void => {
          resolve('accepted');
        };
        const login = { pin: secret, patience: hasKeypad(token) ? PAD_PATIENCE : 0, onLogin, onBegin };
        const signing = host.sign(params, data, { login, signal });
        begun.push(signing);
        signing.then(onLogin, reject);
      });
    await this.#try(host, token, ready, 'signature', send);
    const [signature] = begun;
    if (!signature) throw new TypeError('no login was made');
    return await signature;
  }

  /**
   * Lets go of all PINs: the next login gets them from their source again. Those that a token refused stay refused. One that
   * is about to be sent is zeroed behind that: zeroes would be a wrong PIN.
   */
  forget(): void {
    for (const known of this.#tokens.values()) letGo(known);
  }

  /** Does what may send the PIN. */
  async #using<Result>(token: TokenInfo, work: () => Promise<Result>): Promise<Result> {
    const known = this.#of(token);
    known.users++;
    try {
      return await work();
    } finally {
      known.users--;
      zeroForgotten(known);
    }
  }

  async #ready(token: TokenInfo): Promise<ReadyPin> {
    this.#checkFlags(token);
    const { clock = SYSTEM_CLOCK } = this.#options;
    const began = clock.now();
    const secret = await this.#secret(token);
    try {
      if (!hasKeypad(token)) this.#checkForm(secret, token);
    } catch (error) {
      throw await this.#refuse(error, token, secret);
    }
    return { secret, isLate: clock.now() - began > PROMPTNESS };
  }

  /** The PIN itself; empty for a token with a keypad. @throws AgentError ERR_PIN_* */
  async #secret(token: TokenInfo): Promise<Secret> {
    const known = this.#of(token);
    if (known.refusal?.isRecorded === true && !(await this.#isRecorded(token))) known.refusal = undefined;
    const { refusal } = known;
    if (hasKeypad(token)) {
      // what a person typed, or the empty PIN that the module took for one: either way not again by ourselves
      if (refusal) throw refusal.error;
      return TYPED;
    }
    const { tries } = pinState(token);
    if (!refusal) {
      known.secret ??= this.#options.ask(token.label, false, tries).catch((error: unknown) => {
        known.secret = undefined; // a file that is not there yet may come
        throw error;
      });
      return await known.secret;
    }
    const secret = await this.#options.ask(token.label, true, tries).catch(() => undefined);
    if (!secret) throw refusal.error;
    if (timingSafeEqual(this.#likenessOf(secret), refusal.likeness)) {
      secret.destroy();
      throw refusal.error;
    }
    known.refusal = undefined;
    letGo(known); // another may have asked meanwhile
    return await (known.secret = Promise.resolve(secret));
  }

  /** One C_Login: the only place that makes them. */
  async #try(
    host: Module,
    token: TokenInfo,
    { secret: pin, isLate }: ReadyPin,
    use: PinUse,
    send: Send,
    checkFlags = (now: TokenInfo): void => {
      this.#checkFlags(now);
    },
  ): Promise<void> {
    const known = this.#of(token);
    const { onEvent } = this.#options;
    const { label } = token;
    const trial: PinTrial = {
      token,
      pin,
      use,
      onWaiting: (holder) => onEvent?.({ type: 'pin-wait', token: label, holder }),
      onRecordFailed: (error) => onEvent?.({ type: 'pin-record-failed', token: label, error }),
    };
    const sendOnce = (): Promise<LoginResult> =>
      hasKeypad(token) ? this.#sendAtPad(token, (onBegin) => attempt(() => send(onBegin))) : attempt(send);
    const current = known.secret;
    const isProven = (): boolean => use === 'signature' && known.signs === pin;
    const repeat = async (): Promise<LoginResult> => {
      const result = await sendOnce();
      if (result.outcome !== 'accepted') known.signs = undefined;
      return result;
    };
    try {
      const repeated = isProven() ? await this.#memory.repeat(trial, repeat, isProven) : undefined;
      const { outcome, error } =
        repeated ??
        (await this.#memory.guard(trial, sendOnce, (waited) =>
          waited || isLate ? lookAgain(host, token, checkFlags) : Promise.resolve(undefined),
        ));
      if (use === 'signature') known.signs = outcome === 'accepted' ? pin : undefined;
      if (error !== undefined) throw error as Error;
      // one that was forgotten meanwhile says nothing of the next one
      if (use === 'session' && outcome === 'accepted') known.accepted = current;
    } catch (error) {
      if (use === 'session') known.accepted = undefined;
      throw await this.#refuse(error, token, pin);
    }
  }

  /** Remembers that the token refused the PIN, if that is what the error says; resolves to what to throw. */
  async #refuse(error: unknown, token: TokenInfo, pin: Secret): Promise<unknown> {
    if (!(error instanceof AgentError)) return error;
    if (error instanceof UnsettledLogin ? error.mayTryAgain : !REFUSALS.has(error.code)) return error;
    const isSaid = error.ckr !== undefined && !(error instanceof UnsettledLogin);
    if (error.code === 'ERR_PIN_LOCKED' && !isSaid) return error; // by the flags, which are looked at each time
    const refusal = isSaid
      ? new AgentError(error.code, `token '${token.label}' refused the PIN (${error.message})`, {
          cause: error,
          ...defined({ ckr: error.ckr, hint: error.hint }),
        })
      : error;
    const known = this.#of(token);
    const isRecorded = await this.#isRecorded(token).catch(() => false);
    known.refusal = { error: refusal, likeness: this.#likenessOf(pin), isRecorded };
    letGo(known);
    known.signs = undefined;
    return refusal;
  }

  /** A record that was there and is gone has been removed by a person, who knows that the PIN is right. */
  async #isRecorded(token: TokenInfo): Promise<boolean> {
    return await this.#memory.hasRecord(token);
  }

  #likenessOf({ bytes }: Secret): Buffer {
    return createHmac('sha256', this.#likenessKey).update(bytes).digest();
  }

  #of(token: TokenInfo): TokenPin {
    const name = tokenName(token);
    const known = this.#tokens.get(name) ?? { users: 0, forgotten: [] };
    this.#tokens.set(name, known);
    return known;
  }

  #checkFlags(token: TokenInfo): void {
    const { label } = token;
    const { tries } = pinState(token);
    if (tries === 'locked') {
      throw new AgentError('ERR_PIN_LOCKED', `the PIN of token '${label}' is locked`, {
        hint: 'unlock it with its PUK or SO PIN (pkcs15-tool --unblock-pin, ykman piv access unblock-pin, pkcs11-tool --init-pin)',
      });
    }
    if (tries === 'final try' && this.#options.useFinalTry !== true) {
      throw new AgentError('ERR_PIN_FINAL_TRY', `token '${label}' has one try for its PIN left`, {
        hint: 'log in by hand with the right PIN',
        reason: 'final-pin-try',
      });
    }
    if (tries !== 'ok') this.#options.onEvent?.({ type: 'pin-count-low', token: label });
  }

  /** A PIN that the token can't take costs a try all the same with some modules (OpenSC). */
  #checkForm(secret: Secret, { label, minPinLength: min, maxPinLength: max }: TokenInfo): void {
    // PKCS#11 section 5.6.8; pkcs11js passes a text on, in which other bytes are replaced
    if (!isUtf8(secret.bytes)) {
      throw new AgentError('ERR_PIN_INCORRECT', `the PIN for token '${label}' is not UTF-8`, {
        hint: 'write it in UTF-8; it was not tried',
      });
    }
    if (secret.hasByteOrderMark) {
      throw new AgentError('ERR_PIN_INCORRECT', `the PIN for token '${label}' begins with a byte order mark`, {
        hint: 'an editor wrote it: save the file as UTF-8 without one; it was not tried',
      });
    }
    if (max < 1 || min > max || (secret.length >= min && secret.length <= max)) return;
    throw new AgentError('ERR_PIN_INCORRECT', `the PIN for token '${label}' has a wrong length`, {
      hint: `it takes ${min} to ${max} bytes; it was not tried`,
    });
  }

  /**
   * pkcs11js can't pass the NULL PIN that asks for the pad (PKCS#11 section 5.6.8); most modules take an empty one for it. One
   * that refuses it at once has taken it for a PIN: that is remembered over restarts, as any other refused PIN is. What
   * a person typed is not: the next start asks a person again, and no loop locks the card.
   */
  async #sendAtPad(token: TokenInfo, login: (onBegin: () => void) => Promise<LoginResult>): Promise<LoginResult> {
    const pad = { hasWaited: false, isOver: false, stopTimer: (): void => undefined };
    // gnome-keyring claims to have a keypad, and answers at once: don't send a person there
    const { clock = SYSTEM_CLOCK, onEvent } = this.#options;
    const notice = (): void => {
      if (pad.isOver) return;
      pad.hasWaited = true;
      onEvent?.({ type: 'pin-pad', token: token.label });
    };
    // an agent that had no turn finds timer and reply at once: first what was read
    const startTimer = (): void => void (pad.stopTimer = clock.after(PAD_NOTICE, () => setImmediate(notice)));
    try {
      const { outcome, error } = await login(startTimer);
      if (!(error instanceof AgentError)) return { outcome, error };
      const text = `token '${token.label}' wants its PIN on its own keypad: ${error.message}`;
      const { code, ckr, ckrFunction, hint } = error;
      const options = { cause: error, ...defined({ ckr, ckrFunction, hint }) };
      if (!pad.hasWaited || ckr === undefined || outcome === 'untried') {
        return { outcome, error: new AgentError(code, text, options) };
      }
      const typed =
        outcome === 'refused'
          ? new AgentError(code, text, options)
          : new UnsettledLogin(text, { cause: error, mayTryAgain: false, hint: 'start anew to type it again' });
      return { outcome: 'untried', error: typed };
    } finally {
      pad.isOver = true;
      pad.stopTimer();
    }
  }
}

/** Has the PIN asked for again, and zeroed as soon as it is not about to be sent. */
function letGo(known: TokenPin): void {
  const { secret } = known;
  known.secret = undefined;
  secret?.then(
    (pin) => {
      known.forgotten.push(pin);
      zeroForgotten(known);
    },
    () => undefined,
  );
}

function zeroForgotten({ users, forgotten }: TokenPin): void {
  if (users === 0) for (const secret of forgotten.splice(0)) secret.destroy();
}

/** In the place of a PIN that a person types. */
const TYPED = new Secret('');

const hasKeypad = (token: TokenInfo): boolean => pinState(token).hasKeypad;

/** Sends a PIN. @param onBegin called when the module begins with that: others' calls may come first */
type Send = (onBegin?: () => void) => Promise<LoginOutcome>;

/** Sends a PIN by C_Login. */
function sendTo(host: Module, session: string, token: TokenInfo, pin: Secret): Send {
  return async (onBegin) =>
    (await host.login(session, pin, hasKeypad(token) ? PAD_PATIENCE : 0, onBegin)) ? 'accepted' : 'untried';
}

/**
 * While this one waited, others may have used up tries, or taken the token out: one that lies in its slot by now must not get
 * its PIN.
 * @throws AgentError ERR_TOKEN_ABSENT, and what `checkFlags` throws
 */
async function lookAgain(host: Module, token: TokenInfo, checkFlags: (now: TokenInfo) => void): Promise<TokenInfo> {
  const { slot, label } = token;
  const { tokens } = await host.call('tokens', { slot });
  const now = tokens.find((each) => each.slot === slot && tokenName(each) === tokenName(token));
  if (!now) throw new AgentError('ERR_TOKEN_ABSENT', `token '${label}' was taken out before its login`);
  checkFlags(now);
  return now;
}

/** For a login that could be done without. @throws AgentError ERR_PIN_FINAL_TRY */
function checkNoTroubles(token: TokenInfo): void {
  const { hasKeypad: isTyped, tries } = pinState(token);
  if (!isTyped && tries === 'ok') return;
  throw new AgentError('ERR_PIN_FINAL_TRY', `no further login to token '${token.label}': its tries are few`);
}

/** Codes after which a PIN is not tried again while its source says the same. */
const REFUSALS: ReadonlySet<string> = new Set<AgentErrorCode>(['ERR_PIN_INCORRECT', 'ERR_PIN_LOCKED']);

async function attempt(send: () => Promise<LoginOutcome>): Promise<LoginResult> {
  try {
    return { outcome: await send() };
  } catch (error) {
    return { outcome: outcomeOf(error), error };
  }
}

/** Without what is undefined. */
function defined<Fields extends object>(fields: Fields): { [Name in keyof Fields]?: NonNullable<Fields[Name]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
