import type { KeySettings, TokenSettings } from '../config/settings.ts';
import { AgentError, errorText } from '../errors.ts';
import { Keyring } from './keyring.ts';
import { RunningKey } from './running-key.ts';
import type { Surroundings } from './surroundings.ts';

interface RunningKeysOptions {
  /** One could not be opened, and waits to be tried again. */
  readonly onWaiting: () => void;
  /** The tunnels that a key is for, by their names. */
  readonly users: (key: string) => readonly string[];
}

/** The keys of the agent by their names, with the keyring that they are opened by. */
export class RunningKeys implements AsyncDisposable {
  readonly #surroundings: Surroundings;
  readonly #users: (key: string) => readonly string[];
  readonly #keys = new Map<string, RunningKey>();
  readonly #onWaiting: () => void;
  #keyring: Keyring;

  /**
   * @throws AgentError ERR_USAGE for a source of PINs that is not one
   */
  constructor(tokens: TokenSettings, surroundings: Surroundings, { onWaiting, users }: RunningKeysOptions) {
    this.#surroundings = surroundings;
    this.#onWaiting = onWaiting;
    this.#users = users;
    this.#keyring = new Keyring(tokens, surroundings);
  }

  get settings(): Map<string, KeySettings> {
    return new Map([...this.#keys].map(([name, { settings }]) => [name, settings]));
  }

  /** The labels of the tokens that they are in, as far as those are open. */
  get tokens(): string[] {
    return this.#keyring.tokens.labels;
  }

  /** @throws AgentError ERR_USAGE if there is none of that name */
  get(name: string): RunningKey {
    const key = this.#keys.get(name);
    if (!key) throw new AgentError('ERR_USAGE', `there is no key '${name}'`);
    return key;
  }

  /** Adds a key; it is opened when it is first asked for. @throws AgentError ERR_USAGE if there is one of that name */
  start(name: string, settings: KeySettings): void {
    if (this.#keys.has(name)) throw new AgentError('ERR_USAGE', `there are two keys '${name}'`);
    this.#keys.set(name, this.#make(name, settings));
  }

  #make(name: string, settings: KeySettings): RunningKey {
    const options = { onWaiting: this.#onWaiting, users: () => this.#users(name) };
    return new RunningKey(name, settings, this.#keyring, this.#surroundings, options);
  }

  /** Tries those again now that could not be opened and wait. */
  hurry(): void {
    for (const key of this.#keys.values()) key.hurry();
  }

  /** Closes a key and forgets it. */
  async stop(name: string): Promise<void> {
    const key = this.#keys.get(name);
    this.#keys.delete(name);
    await key?.[Symbol.asyncDispose]();
  }

  /** Reads the certificates of those that are open anew. Never rejects. */
  async refresh(manner?: 'before reload'): Promise<void> {
    await Promise.all([...this.#keys.values()].map((key) => key.refresh(manner)));
  }

  /** Those that could not be opened, those whose lifetime is over, and those whose files have changed since they were. */
  async stale(): Promise<Set<string>> {
    const looks = [...this.#keys].map(async ([name, key]) =>
      key.failure || key.isOver || (await key.hasNewContents()) ? [name] : [],
    );
    return new Set((await Promise.all(looks)).flat());
  }

  /**
   * Opens changed keys beside those that are in use, which stay as they are if that fails.
   * @returns what is to take their places ({@link replace})
   */
  async open(changed: readonly string[], settings: ReadonlyMap<string, KeySettings>): Promise<Map<string, RunningKey>> {
    const opened = new Map<string, RunningKey>();
    for (const name of changed) {
      const own = settings.get(name);
      const key = own && (await this.#open(name, own));
      if (key) opened.set(name, key);
    }
    return opened;
  }

  async #open(name: string, settings: KeySettings): Promise<RunningKey | undefined> {
    const key = this.#make(name, settings);
    // one that is of no use can't stay
    if (!this.get(name).isOpen) return key;
    try {
      await key.openNow();
      return key;
    } catch (error) {
      const { code, reason } = error instanceof AgentError ? error : {};
      const waits = settings.waitForToken && code === 'ERR_TOKEN_ABSENT';
      // of a token with a new source of its PIN the old key must let go first
      if (waits || reason === 'two-pin-sources') return this.#make(name, settings);
      this.#surroundings.emit({ type: 'key-kept', key: name, code, error: errorText(error) });
      return undefined;
    }
  }

  /** Puts a key in the place of the one of that name, which must not be in use any more. */
  async replace(name: string, key: RunningKey): Promise<void> {
    await this.stop(name);
    this.#keys.set(name, key);
  }

  /** Closes all keys, and starts anew with other settings of tokens. */
  async renew(tokens: TokenSettings): Promise<void> {
    await Promise.all([...this.#keys.keys()].map((name) => this.stop(name)));
    await this.#keyring[Symbol.asyncDispose]();
    this.#keyring = new Keyring(tokens, this.#surroundings);
  }

  /** Milliseconds that a call into a module may take from now on. */
  set deadline(deadline: number) {
    this.#keyring.deadline = deadline;
  }

  /** Lets go of PINs, of sessions, and of modules that have nothing to do, until the next use. @returns how many tokens */
  async forget(): Promise<number> {
    return await this.#keyring.forget();
  }

  /** A stop has come: what fails from now on is not the keys' failure. */
  giveUp(): void {
    for (const key of this.#keys.values()) key.giveUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#keys.keys()].map((name) => this.stop(name)));
    await this.#keyring[Symbol.asyncDispose]();
  }
}
