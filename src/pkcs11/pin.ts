import { AgentError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { CKF } from './constants.ts';
import type { TokenEventListener } from './events.ts';
import type { ModuleHost } from './module-host.ts';
import type { TokenInfo } from './protocol.ts';
import type { RefusedPins } from './refused-pins.ts';
import { hasPad } from './token.ts';

/** How to come by a PIN, and how careful to be with it. */
export interface PinOptions {
  /**
   * Gets the PIN.
   * @param token the token's label, for a prompt
   * @param again the token refused what came last time: get it anew without troubling a person, or reject
   */
  readonly ask: (token: string, again: boolean) => Promise<Secret>;
  /** The memory over restarts; without it a refused PIN is remembered while the process lives. */
  readonly refused?: RefusedPins | undefined;
  /** Use the last try that the token allows (CKF_USER_PIN_FINAL_TRY). */
  readonly useFinalTry?: boolean | undefined;
  readonly onEvent?: TokenEventListener | undefined;
}

/** Milliseconds of waiting for a keypad after which a person is told of it. */
const PAD_NOTICE = 500;
/** Milliseconds that a person has for typing there. */
const PAD_PATIENCE = 120_000;

/** What is known of one token's PIN. */
interface TokenPin {
  secret?: Promise<Secret> | undefined;
  /** What the token said of which PIN. */
  refusal?: { readonly error: AgentError; readonly secret: Secret | undefined } | undefined;
}

/**
 * PINs from one source, and what became of them. A PIN is asked for once a token, kept while the agent runs, and never
 * tried again on a token that refused it; one that has changed at its source in the meantime is.
 */
export class Pin {
  readonly #options: PinOptions;
  readonly #tokens = new Map<string, TokenPin>();

  constructor(options: PinOptions) {
    this.#options = options;
  }

  /**
   * Logs in to a token.
   * @throws AgentError ERR_PIN_INCORRECT, ERR_PIN_LOCKED, ERR_PIN_FINAL_TRY: at every later call too, without another try
   */
  async login(host: ModuleHost, session: string, token: TokenInfo): Promise<void> {
    this.#checkFlags(token);
    const secret = await this.secret(token);
    try {
      if (hasPad(token)) {
        await this.#loginAtPad(host, session, token, secret);
        return;
      }
      this.#checkLength(secret, token);
      await this.#guard(token, secret, () => host.login(session, secret));
    } catch (error) {
      throw await this.refuse(error, token);
    }
  }

  /**
   * The PIN itself, for keys that want it with each signature; empty for a token with a keypad.
   * @throws AgentError ERR_PIN_*
   */
  async secret(token: TokenInfo): Promise<Secret> {
    const known = this.#of(token);
    const { refusal } = known;
    if (hasPad(token)) {
      // what somebody typed, or the empty PIN that the module took for one: either way not again by ourselves
      if (refusal) throw refusal.error;
      return new Secret('');
    }
    if (!refusal) {
      known.secret ??= this.#options.ask(token.label, false).catch((error: unknown) => {
        known.secret = undefined; // a file that is not there yet may come
        throw error;
      });
      return await known.secret;
    }
    const secret = await this.#options.ask(token.label, true).catch(() => undefined);
    if (!secret || !refusal.secret || secret.bytes.equals(refusal.secret.bytes)) throw refusal.error;
    known.refusal = undefined;
    return await (known.secret = Promise.resolve(secret));
  }

  /** Remembers that the token refused the PIN, if that is what the error says; resolves to what to throw. */
  async refuse(error: unknown, token: TokenInfo): Promise<unknown> {
    if (!(error instanceof AgentError) || !error.code.startsWith('ERR_PIN_')) return error;
    const refusal =
      error.ckr === undefined
        ? error
        : new AgentError(error.code, `token '${token.label}' refused the PIN (${error.message})`, {
            cause: error,
            ckr: error.ckr,
          });
    const known = this.#of(token);
    known.refusal = { error: refusal, secret: await known.secret?.catch(() => undefined) };
    known.secret = undefined;
    return refusal;
  }

  #of(token: TokenInfo): TokenPin {
    const name = JSON.stringify([token.manufacturer, token.model, token.serial, token.label]);
    const known = this.#tokens.get(name) ?? {};
    this.#tokens.set(name, known);
    return known;
  }

  #checkFlags({ flags, label }: TokenInfo): void {
    if ((flags & CKF.USER_PIN_LOCKED) !== 0) {
      throw new AgentError('ERR_PIN_LOCKED', `the PIN of token '${label}' is locked`, {
        hint: 'unlock it with its PUK or SO PIN (pkcs15-tool --unblock-pin, ykman piv access unblock-pin, pkcs11-tool --init-pin)',
      });
    }
    if ((flags & CKF.USER_PIN_FINAL_TRY) !== 0 && this.#options.useFinalTry !== true) {
      throw new AgentError('ERR_PIN_FINAL_TRY', `token '${label}' has one try for its PIN left`, {
        hint: 'log in by hand with the right PIN, or give --use-final-pin-try',
      });
    }
    if ((flags & CKF.USER_PIN_COUNT_LOW) !== 0) this.#options.onEvent?.({ type: 'pin-count-low', token: label });
  }

  /** A PIN that the token can't take costs a try all the same with some modules (OpenSC). */
  #checkLength(secret: Secret, { label, minPinLength: min, maxPinLength: max }: TokenInfo): void {
    if (max < 1 || min > max || (secret.length >= min && secret.length <= max)) return;
    throw new AgentError('ERR_PIN_INCORRECT', `the PIN for token '${label}' has a wrong length`, {
      hint: `it takes ${min} to ${max} bytes; it was not tried`,
    });
  }

  async #guard(token: TokenInfo, secret: Secret, login: () => Promise<void>): Promise<void> {
    await (this.#options.refused ? this.#options.refused.guard(token, secret, login) : login());
  }

  /**
   * pkcs11js can't pass the NULL PIN that asks for the pad (PKCS#11 section 5.6.8); most modules take an empty one for it. One
   * that refuses it at once has taken it for a PIN: that is remembered over restarts, as any other refused PIN is.
   */
  async #loginAtPad(host: ModuleHost, session: string, token: TokenInfo, empty: Secret): Promise<void> {
    let hasWaited = false;
    let typed: AgentError | undefined;
    // gnome-keyring claims to have a keypad, and answers at once: don't send anybody there
    const waiting = setTimeout(() => {
      hasWaited = true;
      this.#options.onEvent?.({ type: 'pin-pad', token: token.label });
    }, PAD_NOTICE);
    try {
      await this.#guard(token, empty, async () => {
        try {
          await host.loginAtPad(session, PAD_PATIENCE);
        } catch (error) {
          if (!hasWaited || !(error instanceof AgentError)) throw error;
          typed = error;
        }
      });
      if (typed) throw typed;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      throw new AgentError(error.code, `token '${token.label}' wants its PIN on its own keypad: ${error.message}`, {
        cause: error,
        ...(error.ckr !== undefined && { ckr: error.ckr }),
        ...(error.hint !== undefined && { hint: error.hint }),
      });
    } finally {
      clearTimeout(waiting);
    }
  }
}
