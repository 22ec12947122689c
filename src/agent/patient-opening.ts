import { type Clock, pause } from '../clock.ts';
import { errorCode, errorText } from '../errors.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { isAborted } from '../promises.ts';
import type { Emit, KeyEvent } from './events.ts';
import { isOfToken, mayPass } from './passing.ts';
import { Trouble } from './trouble.ts';

/** Milliseconds between tries to open a key whose token is not there. */
const RETRY_ABSENT = 2_000;
/** Milliseconds to the second try to open a key that failed; each further pause is twice as long. */
const FIRST_RETRY = 2_000;
const LONGEST_RETRY = 300_000;

export interface PatientOpeningOptions {
  /** What the settings call the key. */
  readonly name: string;
  /** The settings say that its token is to be waited for, whoever else is served. */
  readonly waitForToken: boolean;
  /** One try. @param onPerson is called if a person is asked for something in it */
  readonly open: (onPerson: () => void) => Promise<OpenedKey>;
  /** It begins to wait: whoever finds it in vain calls {@link PatientOpening.giveIn}. */
  readonly onWaiting: () => void;
  readonly emit: Emit<KeyEvent>;
  readonly clock: Clock;
  /** It is not wanted any more. */
  readonly signal: AbortSignal;
}

/** Opens a key, again and again as long as that may help. A person is not asked again for something by itself. */
export class PatientOpening {
  readonly #options: PatientOpeningOptions;
  readonly #absent: Trouble;
  readonly #failing: Trouble;
  #delay = FIRST_RETRY;
  /** Why the last try failed. */
  #failure: { readonly error: unknown } | undefined;
  #told = '';
  #hasAskedPerson = false;
  #isGivenUp = false;
  /** While it waits. */
  #wake: AbortController | undefined;

  constructor(options: PatientOpeningOptions) {
    const { emit, clock } = options;
    this.#options = options;
    this.#absent = new Trouble(emit, 'token', clock);
    this.#failing = new Trouble(emit, 'opening', clock);
  }

  /** It has failed, and is tried again only as long as others are served meanwhile. */
  get isSpare(): boolean {
    return this.#failure !== undefined && !(this.#options.waitForToken && isOfToken(this.#failure.error));
  }

  /** @throws why it can't be opened: for good, in vain, or when it is not wanted any more */
  async run(): Promise<OpenedKey> {
    try {
      for (;;) {
        const opened = await this.#try();
        if (!opened) continue;
        this.#absent.clear();
        this.#failing.clear();
        return opened;
      }
    } finally {
      this.#absent.stop();
      this.#failing.stop();
    }
  }

  /** @returns undefined after a pause, if it may do better next. @throws if it may not */
  async #try(): Promise<OpenedKey | undefined> {
    const { open, signal, onWaiting, clock } = this.#options;
    try {
      return await open(() => {
        this.#hasAskedPerson = true;
      });
    } catch (error) {
      if (this.#hasAskedPerson || !mayPass(error) || isAborted(signal)) throw error;
      this.#failure = { error };
      this.#wake = new AbortController();
      onWaiting();
      const { signal: woken } = this.#wake;
      if (!isAborted(woken)) await pause(clock, this.#complain(error), woken);
      this.#wake = undefined;
      if (this.#isGivenUp || isAborted(signal)) throw error;
      return undefined;
    }
  }

  /** Tells what is wrong. @returns milliseconds until the next try */
  #complain(reason: unknown): number {
    const { name, emit } = this.#options;
    const error = errorText(reason);
    if (error !== this.#told) emit({ type: 'key-state', name, state: 'waiting', code: errorCode(reason), error });
    this.#told = error;
    const details = { key: name, code: errorCode(reason), error };
    if (errorCode(reason) === 'ERR_TOKEN_ABSENT') {
      this.#failing.stop();
      this.#absent.set({ trouble: 'token-absent', level: 'warn', details });
      return RETRY_ABSENT;
    }
    this.#absent.clear();
    this.#failing.set({ trouble: 'key-not-open', level: 'warn', details });
    const delay = this.#delay;
    this.#delay = Math.min(2 * delay, LONGEST_RETRY);
    return delay;
  }

  /** Tries again now, if it waits. */
  hurry(): void {
    this.#delay = FIRST_RETRY;
    this.#wake?.abort();
  }

  /** Waits no longer, if it does so. */
  giveIn(): void {
    this.#isGivenUp = this.#wake !== undefined;
    this.#wake?.abort();
  }
}
