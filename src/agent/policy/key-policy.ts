import type { PolicySettings } from '../../config/settings.ts';
import type { Asked, Decision, Limit } from './asked.ts';
import type { CommandSurroundings } from '../../shell-command.ts';
import { Confirmation } from './confirm.ts';
import { checkContext } from './context.ts';
import { Rate } from './rate.ts';
import { ServerRule } from './server.ts';
import { checkStrength } from './strength.ts';

/** Who asks, beside what for. */
export interface Asker {
  readonly tunnel: string;
  /** What may run out of whoever asks. */
  readonly limits: readonly Limit[];
  /** Aborts when nobody waits for the signature any more. */
  readonly signal: AbortSignal;
}

/** What one key may sign, and how often. */
export class KeyPolicy {
  readonly #settings: PolicySettings;
  readonly #server: ServerRule | undefined;
  readonly #rate: Rate | undefined;
  readonly #confirmation: Confirmation | undefined;

  private constructor(settings: PolicySettings, server: ServerRule | undefined, around: CommandSurroundings) {
    this.#settings = settings;
    this.#server = server;
    this.#rate = settings.rate && new Rate(settings.rate, "the key's", around.clock);
    this.#confirmation = settings.confirm === undefined ? undefined : new Confirmation(settings.confirm, around);
  }

  /** @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND for a file that it names */
  static async open(settings: PolicySettings, around: CommandSurroundings): Promise<KeyPolicy> {
    return new KeyPolicy(settings, await ServerRule.open(settings), around);
  }

  /**
   * Decides whether a request may be signed. What can be seen comes first, and what runs out next: a person is only asked for
   * what nothing else refuses.
   * @throws AgentError ERR_POLICY_* why not
   */
  async decide(asked: Asked, { tunnel, limits, signal }: Asker): Promise<Decision> {
    checkStrength(asked, this.#settings);
    checkContext(asked, this.#settings);
    this.#server?.check(asked, Date.now());
    const all = this.#rate ? [...limits, this.#rate] : limits;
    // none is taken of one where another is used up
    for (const limit of all) limit.check();
    for (const limit of all) limit.take();
    const decision = { isServerVerified: this.#server?.verifies === true };
    await this.#confirmation?.ask({ ...asked, ...decision }, tunnel, signal);
    return decision;
  }
}
