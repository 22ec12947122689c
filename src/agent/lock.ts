import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { pause, type Clock } from '../clock.ts';
import { AgentError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { Gate } from './gate.ts';

interface Digest {
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** Some 50 ms and 32 MiB a try. */
const COST = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const HASH_BYTES = 32;
/** Milliseconds of waiting behind a wrong passphrase, for each one in a row, and at most. */
const PAUSE = 100;
const LONGEST_PAUSE = 10_000;

/** A lock as ssh-agent's: while it is closed nothing is signed. Of its passphrase, if it has one, only a hash is kept. */
export class Lock {
  readonly #clock: Clock;
  /** Closed while it is locked. */
  readonly gate: Gate = new Gate();
  #isLocked = false;
  #digest: Digest | undefined;
  #failures = 0;
  /** One after the other: whoever guesses waits for all guesses before. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isLocked(): boolean {
    return this.#isLocked;
  }

  /** Closes it at once, and ends what is under way. @throws AgentError ERR_LOCKED if it is closed: its passphrase stays */
  async lock(passphrase: Secret | undefined): Promise<void> {
    this.gate.check();
    this.#isLocked = true;
    this.gate.close(new AgentError('ERR_LOCKED', 'the agent is locked', { hint: 'unlock it' }));
    this.#digest = undefined;
    if (!passphrase) return;
    const salt = randomBytes(16);
    // until its hash is there nothing opens it
    this.#digest = { salt, hash: Buffer.alloc(0) };
    await this.#inTurn(async () => {
      this.#digest = { salt, hash: await hashOf(passphrase, salt) };
    });
  }

  /**
   * Opens it.
   * @returns whether it was closed
   * @throws AgentError ERR_PASSPHRASE_INCORRECT, later and later if that happens again and again
   */
  async unlock(passphrase: Secret | undefined): Promise<boolean> {
    return await this.#inTurn(async () => {
      const wasLocked = this.#isLocked;
      if (this.#isLocked && this.#digest) await this.#check(this.#digest, passphrase);
      this.#isLocked = false;
      this.gate.open();
      this.#digest = undefined;
      this.#failures = 0;
      return wasLocked;
    });
  }

  async #check({ salt, hash }: Digest, passphrase: Secret | undefined): Promise<void> {
    if (!passphrase) throw new AgentError('ERR_PASSPHRASE_INCORRECT', 'the agent was locked with a passphrase');
    const given = await hashOf(passphrase, salt);
    if (given.length === hash.length && timingSafeEqual(given, hash)) return;
    this.#failures++;
    await pause(this.#clock, Math.min(this.#failures * PAUSE, LONGEST_PAUSE));
    throw new AgentError('ERR_PASSPHRASE_INCORRECT', 'wrong passphrase: the agent stays locked');
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return await turn;
  }
}

async function hashOf(passphrase: Secret, salt: Buffer): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    scrypt(passphrase.bytes, salt, HASH_BYTES, COST, (error, hash) => {
      if (error) reject(error);
      else resolve(hash);
    });
  });
}
