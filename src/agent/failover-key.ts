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
  signer: Promise<Signer> | undefined;
  /** Circuit breaker: how often it failed in a row, and until when it is passed over. */
  failures: number;
  pausedUntil: number;
}

const FIRST_PAUSE = 5_000;
const LAST_PAUSE = 300_000;

/** Requests that no copy can answer: asking the next one is of no use. */
function isRequestsFault(error: unknown): boolean {
  return errorCode(error)?.startsWith('ERR_REQUEST_') === true;
}

/** One key in several places (tokens, HSMs, remotes, files): the first copy that works signs. */
export class FailoverKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  readonly #copies: readonly Copy[];
  readonly #options: FailoverOptions;

  private constructor(first: Signer, copies: readonly Copy[], options: FailoverOptions) {
    this.name = first.name;
    this.publicKey = first.publicKey;
    this.certificates = first.certificates;
    this.#copies = copies;
    this.#options = options;
  }

  /**
   * Opens all copies; those that can't be opened now are tried again later, when they are needed.
   * @throws AgentError ERR_CERTIFICATE_MISMATCH if two are not the same key; the first one's error if none opens
   */
  static async open(
    keys: readonly { readonly key: string; readonly open: () => Promise<Signer> }[],
    options: FailoverOptions,
  ): Promise<FailoverKey> {
    const copies: Copy[] = keys.map((copy) => ({ ...copy, signer: undefined, failures: 0, pausedUntil: 0 }));
    const results = await Promise.allSettled(copies.map((copy) => (copy.signer = copy.open())));
    const open = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [first, ...others] = open;
    if (!first) throw results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))[0];
    const stranger = others.find(({ publicKey }) => !publicKey.equals(first.publicKey));
    if (stranger) {
      await Promise.all(open.map((signer) => signer[Symbol.asyncDispose]()));
      throw new AgentError('ERR_CERTIFICATE_MISMATCH', `${stranger.name} is another key than ${first.name}`);
    }
    const failover = new FailoverKey(first, copies, options);
    results.forEach((result, index) => {
      const copy = copies[index];
      if (copy && result.status === 'rejected') failover.#failed(copy, result.reason);
    });
    return failover;
  }

  async sign(request: SignatureRequest): Promise<RawSignature> {
    const now = Date.now();
    // paused ones last, the one that was paused first before: when nothing else works, anything is worth a try
    const order = [...this.#copies].sort((a, b) => Math.max(a.pausedUntil, now) - Math.max(b.pausedUntil, now));
    const attempts: Promise<RawSignature>[] = [];
    let failure: unknown;
    for (const copy of order) {
      const attempt = this.#signWith(copy, request);
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

  /** Ready when any copy is. */
  async ready(): Promise<void> {
    const signers = this.#copies.flatMap(({ signer }) => (signer ? [signer] : []));
    await Promise.any(
      signers.map(async (signer) => {
        await (await signer).ready();
      }),
    ).catch(() => undefined);
  }

  /** Lost when no copy is left. */
  onLost(listener: () => void): void {
    const lost = new Set<Signer>();
    for (const { signer } of this.#copies) {
      void signer?.then(
        (open) => {
          open.onLost(() => {
            lost.add(open);
            void open.ready().then(() => lost.delete(open));
            if (lost.size === this.#copies.length) listener();
          });
        },
        () => undefined,
      );
    }
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

  async #signWith(copy: Copy, request: SignatureRequest): Promise<RawSignature> {
    try {
      copy.signer ??= copy.open();
      const signer = await copy.signer;
      if (!signer.publicKey.equals(this.publicKey)) {
        throw new AgentError('ERR_CERTIFICATE_MISMATCH', `${signer.name} is another key than ${this.name}`);
      }
      const signature = await signer.sign(request);
      verifySignature(signer, request, signature); // a copy that glitches is a copy that fails
      if (copy.failures > 0) this.#options.onEvent?.({ type: 'copy-works', key: copy.key });
      copy.failures = 0;
      copy.pausedUntil = 0;
      return signature;
    } catch (error) {
      if (!isRequestsFault(error)) this.#failed(copy, error);
      throw error;
    }
  }

  #failed(copy: Copy, error: unknown): void {
    // a copy that never opened is opened anew next time
    void copy.signer?.catch(() => (copy.signer = undefined));
    const pause = Math.min(FIRST_PAUSE * 2 ** copy.failures, LAST_PAUSE);
    copy.failures++;
    copy.pausedUntil = Date.now() + pause;
    this.#options.onEvent?.({ type: 'copy-failed', key: copy.key, error: errorText(error), pause });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { signer } of this.#copies) {
      await (await signer?.catch(() => undefined))?.[Symbol.asyncDispose]();
    }
  }
}
