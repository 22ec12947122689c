import type { KeyObject, X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SYSTEM_CLOCK } from '../clock.ts';
import { AgentError, errorCode } from '../errors.ts';
import { Listeners } from '../listeners.ts';
import { unlessAborted } from '../promises.ts';
import type { SignatureRequest } from '../signing/request.ts';
import type { Availability, Signer, VerifiedSignature } from '../signing/signer.ts';
import { isRequestsFault, KeyCopy, tooLong, type FailoverEvent, type KeySource } from './key-copy.ts';

export interface FailoverOptions {
  /** Milliseconds until the next copy is asked as well: looked at anew at each signature. */
  readonly patience: number;
  /** Milliseconds, as a `Clock` has them. */
  readonly now?: (() => number) | undefined;
  readonly onEvent?: ((event: FailoverEvent) => void) | undefined;
}

/** Why no copy could be opened: trouble with a PIN, since that needs a person, else what the first one's is. */
function whyNoneOpens(errors: readonly unknown[]): unknown {
  return errors.find((error) => errorCode(error)?.startsWith('ERR_PIN_') === true) ?? errors[0];
}

/** The first signature that one of these gives; none at all if all of them fail. */
async function firstSignature(signing: readonly Promise<VerifiedSignature>[]): Promise<VerifiedSignature> {
  return await new Promise((resolve) => {
    for (const one of signing) one.then(resolve, () => undefined);
  });
}

async function closeAll(signers: readonly Signer[]): Promise<void> {
  await Promise.all(signers.map((signer) => signer[Symbol.asyncDispose]()));
}

/** One key in several places (tokens, HSMs, remotes, files): the first copy that works signs. */
export class FailoverKey implements Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly certificates: readonly X509Certificate[];
  /** Ready while any copy is; lost when the last one is. */
  readonly availability: Availability = { ready: () => this.#ready(), onLost: (listener) => this.#lost.add(listener) };
  readonly #copies: readonly KeyCopy[];
  readonly #options: FailoverOptions;
  readonly #now: () => number;
  readonly #lost = new Listeners();
  readonly #there = new Listeners();
  #isClosed = false;

  private constructor(first: Signer, sources: readonly KeySource[], options: FailoverOptions) {
    const { onEvent, now = () => SYSTEM_CLOCK.now() } = options;
    this.name = first.name;
    this.publicKey = first.publicKey;
    this.certificates = first.certificates;
    this.#options = options;
    this.#now = now;
    const owner = {
      ...{ onEvent, now },
      check: (signer: Signer) => {
        this.#checkIsSame(signer);
      },
      onThere: () => {
        this.#there.tell();
      },
      onLost: () => {
        if (!this.#copies.some(({ isThere }) => isThere)) this.#lost.tell();
      },
    };
    this.#copies = sources.map((source) => new KeyCopy(source, owner));
  }

  /**
   * Opens all copies; those that can't be opened now are tried again later.
   * @throws AgentError ERR_USAGE if that is one's; ERR_CERTIFICATE_MISMATCH if two are not the same key; if none opens what
   *   a PIN's trouble says, since that needs a person, else the first one's error
   */
  static async open(sources: readonly KeySource[], options: FailoverOptions): Promise<FailoverKey> {
    const results = await Promise.allSettled(sources.map(({ open }) => open()));
    const signers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    // what the operator got wrong does not pass, whatever else fails
    const mistake = errors.find((error) => errorCode(error) === 'ERR_USAGE');
    if (mistake !== undefined) {
      await closeAll(signers);
      throw mistake as Error;
    }
    const [first, ...others] = signers;
    if (!first) throw whyNoneOpens(errors);
    const failover = new FailoverKey(first, sources, options);
    try {
      for (const other of others) failover.#checkIsSame(other);
    } catch (error) {
      await closeAll(signers);
      throw error;
    }
    for (const [index, copy] of failover.#copies.entries()) {
      const result = results[index];
      if (result?.status === 'fulfilled') copy.adopt(result.value);
      else copy.failed(result?.reason);
    }
    return failover;
  }

  /**
   * Asks the copies one after another, the next one as soon as one fails or takes too long; the first signature counts.
   * @throws AgentError the first copy's error if none signs; ERR_KEY_TIMEOUT where that one took too long; ERR_ABORTED at the
   *   signal: copies that are at work then are left to themselves
   */
  async sign(request: SignatureRequest, signal?: AbortSignal): Promise<VerifiedSignature> {
    if (this.#isClosed) throw new AgentError('ERR_KEY_UNAVAILABLE', `${this.name} is closed`);
    const signing = this.#signWithAny(request, signal);
    return signal ? await unlessAborted(signing, signal) : await signing;
  }

  async #signWithAny(request: SignatureRequest, signal: AbortSignal | undefined): Promise<VerifiedSignature> {
    const earlier: Promise<VerifiedSignature>[] = [];
    let failure: unknown;
    for (const copy of this.#byTurn()) {
      if (signal?.aborted === true) break;
      const { patience } = this.#options;
      const latest = copy.sign(request, signal, patience);
      latest.catch(() => undefined); // it may fail when another one has signed
      try {
        return await this.#inTime(latest, earlier, patience);
      } catch (error) {
        if (isRequestsFault(error)) throw error;
        failure ??= error;
      }
      earlier.push(latest);
    }
    // those that took too long may still sign
    return await Promise.any(earlier).catch(() => {
      throw failure;
    });
  }

  /** Of the first copy that is there. */
  async readCertificates(): Promise<readonly X509Certificate[]> {
    const [first] = this.#byTurn();
    return (await first?.readCertificates()) ?? this.certificates;
  }

  /** All copies that are open must be able to: any of them may be the one that signs. */
  canSign(request: SignatureRequest): boolean {
    return this.#copies.every((copy) => copy.canSign(request));
  }

  maySign(request: SignatureRequest): boolean {
    return this.#copies.every((copy) => copy.maySign(request));
  }

  /** In the order to ask them. Those that are away or paused come last: when nothing else works, all are worth a try. */
  #byTurn(): KeyCopy[] {
    const now = this.#now();
    const turns = this.#copies.map((copy) => ({ copy, turn: copy.turn(now) }));
    // not by a difference: of Infinity and Infinity there is none
    return turns.sort((a, b) => (a.turn === b.turn ? 0 : a.turn < b.turn ? -1 : 1)).map(({ copy }) => copy);
  }

  /**
   * The signature of the latest copy that was asked, or of an earlier one that is quicker.
   * @throws the latest copy's error; AgentError ERR_KEY_TIMEOUT if none signs in time
   */
  async #inTime(
    latest: Promise<VerifiedSignature>,
    earlier: readonly Promise<VerifiedSignature>[],
    patience: number,
  ): Promise<VerifiedSignature> {
    const done = new AbortController();
    const impatience = sleep(patience, undefined, { signal: done.signal }).then(() => {
      throw tooLong(patience);
    });
    try {
      return await Promise.race([latest, firstSignature(earlier), impatience]);
    } finally {
      done.abort();
    }
  }

  async #ready(): Promise<void> {
    while (!this.#copies.some(({ isThere }) => isThere)) await this.#there.next();
  }

  #checkIsSame({ publicKey, name }: Signer): void {
    if (publicKey.equals(this.publicKey)) return;
    throw new AgentError('ERR_CERTIFICATE_MISMATCH', `${name} is another key than ${this.name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#lost.clear();
    for (const copy of this.#copies) await copy[Symbol.asyncDispose]();
  }
}
