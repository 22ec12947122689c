import type { KeyObject, X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, errorCode, errorText } from '../errors.ts';
import type { SignatureRequest } from '../signing/request.ts';
import { verifySignature, type RawSignature, type Signer } from '../signing/signer.ts';

/** What happens to one of several copies of a key. */
export interface FailoverEvent {
  readonly type: 'copy-failed' | 'copy-works';
  /** The copy, as its KEY was given. */
  readonly key: string;
  readonly error?: string;
  /** Milliseconds for which it is passed over. */
  readonly pause?: number;
}

export interface FailoverOptions {
  /** Milliseconds until the next copy is asked as well. */
  readonly patience: number;
  readonly onEvent?: (event: FailoverEvent) => void;
}

/** A copy, open or not yet. */
interface Copy {
  readonly key: string;
  readonly open: () => Promise<Signer>;
  signer?: Signer;
  opening?: Promise<Signer> | undefined;
  retry?: NodeJS.Timeout;
  /** Its token went away, and has not come back. */
  isLost: boolean;
  /** Circuit breaker: how often it failed in a row, and until when it is passed over. */
  failures: number;
  pausedUntil: number;
}

const FIRST_PAUSE = 5_000;
const LAST_PAUSE = 300_000;

/** Requests that no copy can answer, or that nobody wants answered any more: asking the next one is of no use. */
function isRequestsFault(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ERR_ABORTED' || code?.startsWith('ERR_REQUEST_') === true;
}

function worst(errors: readonly unknown[]): unknown {
  return errors.find((error) => errorCode(error)?.startsWith('ERR_PIN_') === true) ?? errors[0];
}

/** One key in several places (tokens, HSMs, remotes, files): the first copy that works signs. */
export class FailoverKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #copies: readonly Copy[];
  readonly #options: FailoverOptions;
  readonly #lostListeners = new Set<() => void>();
  /** Told whenever a copy could be opened. */
  readonly #openings = new Set<() => void>();
  #isClosed = false;

  private constructor(first: Signer, copies: readonly Copy[], options: FailoverOptions) {
    this.name = first.name;
    this.publicKey = first.publicKey;
    this.certificates = first.certificates;
    this.#copies = copies;
    this.#options = options;
  }

  /**
   * Opens all copies; those that can't be opened now are tried again later.
   * @throws AgentError ERR_USAGE if that is one's; ERR_CERTIFICATE_MISMATCH if two are not the same key; if none opens what
   *   a PIN's trouble says, since that needs a person, else the first one's error
   */
  static async open(
    keys: readonly { readonly key: string; readonly open: () => Promise<Signer> }[],
    options: FailoverOptions,
  ): Promise<FailoverKey> {
    const results = await Promise.allSettled(keys.map(({ open }) => open()));
    const open = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    // what the operator got wrong does not pass
    const mistake = results.find((result) => result.status === 'rejected' && errorCode(result.reason) === 'ERR_USAGE');
    if (mistake?.status === 'rejected') {
      await Promise.all(open.map((signer) => signer[Symbol.asyncDispose]()));
      throw mistake.reason;
    }
    const [first, ...others] = open;
    if (!first)
      throw worst(results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : [])));
    const stranger = others.find(({ publicKey }) => !publicKey.equals(first.publicKey));
    if (stranger) {
      await Promise.all(open.map((signer) => signer[Symbol.asyncDispose]()));
      throw new AgentError('ERR_CERTIFICATE_MISMATCH', `${stranger.name} is another key than ${first.name}`);
    }
    const copies = keys.map((key): Copy => ({ ...key, isLost: false, failures: 0, pausedUntil: 0 }));
    const failover = new FailoverKey(first, copies, options);
    copies.forEach((copy, index) => {
      const result = results[index];
      if (result?.status === 'fulfilled') failover.#adopt(copy, result.value);
      else failover.#failed(copy, result?.reason);
    });
    return failover;
  }

  async sign(request: SignatureRequest, signal?: AbortSignal): Promise<RawSignature> {
    const now = Date.now();
    // those that are away or paused come last: when nothing else works, anything is worth a try
    const turn = ({ isLost, pausedUntil }: Copy): number => (isLost ? Infinity : Math.max(pausedUntil, now));
    const order = [...this.#copies].sort((a, b) => (turn(a) === turn(b) ? 0 : turn(a) - turn(b)));
    const attempts: Promise<RawSignature>[] = [];
    let failure: unknown;
    for (const copy of order) {
      const attempt = this.#signWith(copy, request, signal);
      attempt.catch(() => undefined); // whoever loses the race may fail unheard
      try {
        return await this.#patiently(attempt, attempts);
      } catch (error) {
        if (isRequestsFault(error)) throw error;
        failure ??= error;
      }
      attempts.push(attempt);
    }
    // whoever is still at it may yet bring it
    return await Promise.any(attempts).catch(() => {
      throw failure;
    });
  }

  /** Whichever of the copies that are open signs. */
  canSign(request: SignatureRequest): boolean {
    return this.#copies.every(({ signer }) => signer?.canSign(request) ?? true);
  }

  /** Ready when any copy is. */
  async ready(): Promise<void> {
    for (let isReady = false; !isReady; ) {
      const waits = this.#copies.flatMap(({ signer }) => (signer ? [signer.ready().then(() => true)] : []));
      let another = (): void => undefined;
      const opened = new Promise<boolean>((resolve) => {
        another = () => {
          resolve(false);
        };
      });
      this.#openings.add(another);
      isReady = await Promise.race([...waits, opened]);
      this.#openings.delete(another);
    }
  }

  /** Lost when no copy is left. */
  onLost(listener: () => void): () => void {
    const own = (): void => {
      listener();
    };
    this.#lostListeners.add(own);
    return () => {
      this.#lostListeners.delete(own);
    };
  }

  /** A copy is open from now on. */
  #adopt(copy: Copy, signer: Signer): void {
    copy.signer = signer;
    signer.onLost(() => {
      copy.isLost = true;
      void signer.ready().then(() => {
        copy.isLost = false;
        if (!this.#isClosed) this.#works(copy);
      });
      if (this.#copies.some((other) => other.signer && !other.isLost)) return;
      for (const listener of [...this.#lostListeners]) listener();
    });
    this.#works(copy);
    for (const told of this.#openings) told();
  }

  async #openCopy(copy: Copy): Promise<Signer> {
    const signer = await copy.open();
    if (!signer.publicKey.equals(this.publicKey)) {
      await signer[Symbol.asyncDispose]();
      throw new AgentError('ERR_CERTIFICATE_MISMATCH', `${signer.name} is another key than ${this.name}`);
    }
    this.#adopt(copy, signer);
    return signer;
  }

  async #signerOf(copy: Copy): Promise<Signer> {
    if (copy.signer) return copy.signer;
    clearTimeout(copy.retry);
    copy.opening ??= this.#openCopy(copy).finally(() => {
      copy.opening = undefined;
    });
    return await copy.opening;
  }

  /** The first signature that comes, from the latest copy asked or an earlier one; else the latest one's failure. */
  async #patiently(latest: Promise<RawSignature>, earlier: readonly Promise<RawSignature>[]): Promise<RawSignature> {
    const enough = new AbortController();
    const impatience = sleep(this.#options.patience, undefined, { signal: enough.signal }).then(() => {
      throw new AgentError('ERR_MODULE_TIMEOUT', `a copy of the key took longer than ${this.#options.patience} ms`);
    });
    try {
      return await Promise.race([latest, Promise.any(earlier).catch(() => latest), impatience]);
    } finally {
      enough.abort();
    }
  }

  async #signWith(copy: Copy, request: SignatureRequest, signal: AbortSignal | undefined): Promise<RawSignature> {
    try {
      const signer = await this.#signerOf(copy);
      const signature = await signer.sign(request, signal);
      verifySignature(signer, request, signature); // a copy that glitches is a copy that fails
      this.#works(copy);
      return signature;
    } catch (error) {
      if (!isRequestsFault(error)) this.#failed(copy, error);
      throw error;
    }
  }

  #works(copy: Copy): void {
    if (copy.failures > 0) this.#options.onEvent?.({ type: 'copy-works', key: copy.key });
    copy.failures = 0;
    copy.pausedUntil = 0;
  }

  #failed(copy: Copy, error: unknown): void {
    const pause = Math.min(FIRST_PAUSE * 2 ** copy.failures, LAST_PAUSE);
    copy.failures++;
    copy.pausedUntil = Date.now() + pause;
    this.#options.onEvent?.({ type: 'copy-failed', key: copy.key, error: errorText(error), pause });
    if (copy.signer || this.#isClosed) return;
    // not at the cost of a handshake
    clearTimeout(copy.retry);
    copy.retry = setTimeout(() => {
      this.#signerOf(copy).catch((reason: unknown) => {
        this.#failed(copy, reason);
      });
    }, pause);
    copy.retry.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#lostListeners.clear();
    for (const copy of this.#copies) {
      clearTimeout(copy.retry);
      const signer = copy.signer ?? (await copy.opening?.catch(() => undefined));
      await signer?.[Symbol.asyncDispose]();
    }
  }
}
