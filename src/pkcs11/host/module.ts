import type { Secret } from '../../secret.ts';
import type { HostCall, HostCalls } from './protocol.ts';

/** A module in its process, as the rooms beside this one see it. Tests put a fake in its place. */
export interface Module {
  readonly modulePath: string;
  /** Whether calls have a chance: false once the process has ended, or was told to. */
  readonly isAlive: boolean;
  /** Changes when the module is initialized anew: sessions and handles of before are void then. */
  readonly epoch: number;
  /** Calls that were not answered: the one under way, and those that wait behind it. */
  readonly pending: number;
  /**
   * Makes one call.
   * @param deadline milliseconds that it may take, if that is less than any call may
   * @throws AgentError ERR_TOKEN_*, ERR_PIN_*, ERR_MODULE_TIMEOUT, ERR_MODULE_DIED
   */
  call<Call extends HostCall>(
    call: Call,
    params: HostCalls[Call]['params'],
    deadline?: number,
  ): Promise<HostCalls[Call]['result']>;
  /**
   * C_Login. The PIN's bytes go over the private channel and nowhere else.
   * @param patience milliseconds that it may take at least: a person types at the token's keypad
   * @param onBegin called when the module begins with it, behind the calls that wait before it
   * @returns false if the session was logged in already, so that the token did not look at the PIN
   */
  login(session: string, pin: Secret, patience?: number, onBegin?: () => void): Promise<boolean>;
  /** C_SignInit and C_Sign; resolves to the raw signature. */
  sign(params: HostCalls['sign']['params'], data: Buffer, options?: SignOptions): Promise<Buffer>;
  /**
   * Ends the process in good order, if that is quick: a TPM without a resource manager keeps what was not closed.
   * @param reason if something is wrong with it
   */
  stop(reason?: string): Promise<void>;
}

/** A login in the middle of a signature: the PIN, patience and `onBegin` of `login`, and a call when the PIN was accepted. */
export interface SignLogin {
  readonly pin: Secret;
  readonly patience: number;
  readonly onLogin: () => void;
  readonly onBegin?: (() => void) | undefined;
}

/** What a signature may want beside its data. */
export interface SignOptions {
  /** For a key with CKA_ALWAYS_AUTHENTICATE. */
  readonly login?: SignLogin | undefined;
  /** Gives up a call that still waits for the module: ERR_ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** Where modules come from. */
export interface Modules {
  /**
   * The module at a path, in the process that lives or in a new one.
   * @throws AgentError ERR_MODULE_*, ERR_PKCS11JS_MISSING, ERR_TOKEN_FAILED (C_Initialize failed), ERR_ABORTED (it is over)
   */
  get(modulePath: string): Promise<Module>;
  /**
   * The module in a further process, which nobody else gets: whoever asks for it ends it.
   * @returns undefined if there are as many as there may be
   * @throws AgentError as {@link get} does
   */
  another(modulePath: string): Promise<Module | undefined>;
}
