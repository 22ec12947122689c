import type { X509Certificate } from 'node:crypto';
import { AgentError, errorCode, errorText } from '../errors.ts';
import type { SignatureRequest } from '../signing/request.ts';
import { verifySignature, type Signer, type VerifiedSignature } from '../signing/signer.ts';

/** Something happened to one of several copies of a key. */
export interface FailoverEvent {
  readonly type: 'copy-failed' | 'copy-works';
  /** The copy, as its KEY was given. */
  readonly key: string;
  readonly error?: string;
  /** Milliseconds for which it is passed over; absent where its token went away, until that is back. */
  readonly pause?: number;
}

/** Where one copy of a key is, and how to open it. */
export interface KeySource {
  /** Its KEY as it may be logged. */
  readonly key: string;
  readonly open: () => Promise<Signer>;
}

/** The key that a copy belongs to. */
export interface CopyOwner {
  readonly onEvent?: ((event: FailoverEvent) => void) | undefined;
  /** Milliseconds, as a `Clock` has them: a pause is not to last for as long as the machine's time is set back. */
  readonly now: () => number;
  /** A key was opened that may be another one. @throws to have it closed again */
  readonly check: (signer: Signer) => void;
  /** It can sign from now on: opened, or back. */
  readonly onThere: () => void;
  /** It went away. */
  readonly onLost: () => void;
}

/** Milliseconds for which a copy that failed is passed over: doubled with each failure in a row, up to the last. */
const FIRST_PAUSE = 5_000;
const LAST_PAUSE = 300_000;

/** Errors of the request, not of the copy: another copy would do no better. */
export function isRequestsFault(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ERR_ABORTED' || code?.startsWith('ERR_REQUEST_') === true;
}

/** One of several copies of a key: opened when that succeeds, passed over for a while after each failure. */
export class KeyCopy implements AsyncDisposable {
  readonly #source: KeySource;
  readonly #owner: CopyOwner;
  #signer: Signer | undefined;
  #opening: Promise<Signer> | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Its token went away, and has not come back. */
  #isLost = false;
  /** How often it failed in a row. */
  #failures = 0;
  /** It was told of as failed, and not as working since. */
  #isToldFailed = false;
  /** As its owner's `now` has it. */
  #pausedUntil = 0;
  #isClosed = false;

  constructor(source: KeySource, owner: CopyOwner) {
    this.#source = source;
    this.#owner = owner;
  }

  /** It is open, and not away. */
  get isThere(): boolean {
    return this.#signer !== undefined && !this.#isLost;
  }

  /** When to ask it, as its owner's `now` has it: now, after its pause, or last of all as it is away. */
  turn(now: number): number {
    return this.#isLost ? Infinity : Math.max(this.#pausedUntil, now);
  }

  /** Undefined of one that is not open, or whose certificates never change. */
  async readCertificates(): Promise<readonly X509Certificate[] | undefined> {
    return await this.#signer?.readCertificates?.();
  }

  /** One that is not open yet may turn out to. */
  canSign(request: SignatureRequest): boolean {
    return this.#signer?.canSign(request) ?? true;
  }

  maySign(request: SignatureRequest): boolean {
    return this.canSign(request) || this.#signer?.maySign?.(request) === true;
  }

  /** Takes a signer that was opened for it. */
  adopt(signer: Signer): void {
    this.#signer = signer;
    const { availability } = signer;
    availability?.onLost(() => {
      this.#isLost = true;
      // while it is away it is asked last, and would not be seen to fail
      if (!this.#isClosed) this.#tellFailed({ error: 'its token is away' });
      void availability.ready().then(() => {
        this.#isLost = false;
        if (!this.#isClosed) this.#works();
        this.#owner.onThere();
      });
      this.#owner.onLost();
    });
    this.#works();
    this.#owner.onThere();
  }

  /** Passes it over for a while; one that is not open is tried again then, not at the cost of a request. */
  failed(error: unknown): void {
    if (this.#isClosed) return;
    const pause = Math.min(FIRST_PAUSE * 2 ** this.#failures, LAST_PAUSE);
    this.#failures++;
    this.#pausedUntil = this.#owner.now() + pause;
    this.#tellFailed({ error: errorText(error), pause });
    if (this.#signer || this.#opening) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#open().catch((reason: unknown) => {
        this.failed(reason);
      });
    }, pause);
    this.#retry.unref();
  }

  /**
   * Signs and verifies, after opening the copy if need be: a copy that gives wrong signatures is a copy that fails. So is one
   * that takes too long, at once: when another one has signed, its own end may be that it was given up.
   * @param patience milliseconds
   * @throws AgentError ERR_SIGNATURE_INVALID, and what {@link Signer.sign} and opening throw
   */
  async sign(request: SignatureRequest, signal: AbortSignal | undefined, patience: number): Promise<VerifiedSignature> {
    let isCounted = false as boolean;
    const late = setTimeout(() => {
      isCounted = true;
      this.failed(tooLong(patience));
    }, patience);
    try {
      const signer = await this.#open();
      // to its end, although another copy may have signed meanwhile: how it ends says whether this copy works
      const raw = { ...(await signer.sign(request, signal)), copy: signer.name };
      const signature = verifySignature(signer, request, raw);
      this.#works();
      return signature;
    } catch (error) {
      if (!isRequestsFault(error) && !isCounted) this.failed(error);
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  async #open(): Promise<Signer> {
    this.#checkNotClosed();
    if (this.#signer) return this.#signer;
    clearTimeout(this.#retry);
    this.#opening ??= this.#openOnce().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  #checkNotClosed(): void {
    if (this.#isClosed) throw new AgentError('ERR_KEY_UNAVAILABLE', `${this.#source.key} is closed`);
  }

  async #openOnce(): Promise<Signer> {
    const signer = await this.#source.open();
    try {
      this.#checkNotClosed();
      this.#owner.check(signer);
    } catch (error) {
      await signer[Symbol.asyncDispose]();
      throw error;
    }
    this.adopt(signer);
    return signer;
  }

  #tellFailed(why: Pick<FailoverEvent, 'error' | 'pause'>): void {
    this.#isToldFailed = true;
    this.#owner.onEvent?.({ type: 'copy-failed', key: this.#source.key, ...why });
  }

  #works(): void {
    if (this.#isToldFailed) this.#owner.onEvent?.({ type: 'copy-works', key: this.#source.key });
    this.#isToldFailed = false;
    this.#failures = 0;
    this.#pausedUntil = 0;
  }

  /** Does not wait for one that is being opened, for which a person may have to type a PIN: that closes itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    await this.#signer?.[Symbol.asyncDispose]();
  }
}

/** Why a copy counts as failed that has not signed in so many milliseconds. */
export function tooLong(patience: number): AgentError {
  return new AgentError('ERR_KEY_TIMEOUT', `a copy of the key took longer than ${patience} ms`);
}
