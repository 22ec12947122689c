import { errorCode } from '../../errors.ts';
import { withResolvers } from '../../promises.ts';
import type { VerifiedSignature } from '../../signing/signer.ts';
import { isMechanismUnsuited, isUnlistedRefused } from '../host/failures.ts';
import type { SigningWay } from './mechanisms.ts';

/** It was tried, and that is what came of it: a token that was pulled, or a request that was given up, is nothing of the kind. */
function isAnswer(error: unknown): boolean {
  const code = errorCode(error);
  if (code === 'ERR_MODULE_DIED' || code === 'ERR_MODULE_TIMEOUT') return true;
  return isMechanismUnsuited(error) || isUnlistedRefused(error);
}

/** What a key has shown to do, in the life of this process: which ways of signing to take, and which not to try again. */
export class WayMemory {
  /** Ways that this key refused, or got wrong, while another one worked. */
  readonly #unsuited = new Set<string>();
  /** Ways that the token does not list, each tried once. Whether they work. */
  readonly #trials = new Map<string, Promise<boolean>>();
  readonly #unlisted = new Set<string>();
  readonly #failed = new Set<string>();

  isUnsuited({ id }: SigningWay): boolean {
    return this.#unsuited.has(id);
  }

  /** One of these has worked although the token lists none of them. */
  hasWorkedUnlisted(ways: readonly SigningWay[]): boolean {
    return ways.some(({ id }) => this.#unlisted.has(id));
  }

  /** It was tried although the token does not list it, and is of no use. */
  hasFailedUnlisted({ id }: SigningWay): boolean {
    return this.#failed.has(id);
  }

  /** Another way than these has worked. */
  dismiss(ids: Iterable<string>): void {
    for (const id of ids) this.#unsuited.add(id);
  }

  /**
   * Signs in a way that the token does not list, unless it was tried before in vain. What a module does with a mechanism
   * that it says nothing of may be anything, also a crash: so it counts as tried from its beginning.
   * @returns undefined if it is of no use
   * @throws what `sign` threw
   */
  async tryUnlisted(
    { id }: SigningWay,
    sign: () => Promise<VerifiedSignature | undefined>,
  ): Promise<VerifiedSignature | undefined> {
    for (let known = this.#trials.get(id); known; known = this.#trials.get(id)) {
      if (await known) return await sign();
      if (this.#trials.get(id) === known) return undefined;
    }
    const { promise, resolve } = withResolvers<boolean>();
    this.#trials.set(id, promise);
    let works = false;
    try {
      const signature = await sign();
      works = signature !== undefined;
      (works ? this.#unlisted : this.#failed).add(id);
      return signature;
    } catch (error) {
      if (isAnswer(error)) this.#failed.add(id);
      else this.#trials.delete(id);
      throw error;
    } finally {
      resolve(works);
    }
  }
}
