import type { KeyObject } from 'node:crypto';
import { type CertificateWords, parseHint } from '../certificates/words.ts';
import { forTunnels } from '../config/asking.ts';
import { DEFAULT_POLICY, type KeySettings } from '../config/settings.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { backendOf } from '../keys/backends.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { Listeners } from '../listeners.ts';
import { withResolvers } from '../promises.ts';
import { Gate } from './gate.ts';
import { keyContents, policyContents } from './key-contents.ts';
import { KeyPolicy } from './policy/key-policy.ts';
import type { Keyring } from './keyring.ts';
import { certificateFields, LiveKey } from './live-key.ts';
import type { KeyEvent } from './events.ts';
import { PatientOpening } from './patient-opening.ts';
import type { Choice } from './service-options.ts';
import type { Surroundings } from './surroundings.ts';

/** Keys that are open at a time since hints of daemons chose them. */
const MOST_CHOSEN = 8;

export interface RunningKeyOptions {
  /** It could not be opened, and waits to be tried again: see {@link RunningKey.giveIn}. */
  readonly onWaiting: () => void;
  /** The tunnels that it is for, by their names. */
  readonly users: () => readonly string[];
}

/** A key of the agent: opened when it is first asked for, in use until it is stopped. */
export class RunningKey implements AsyncDisposable {
  readonly settings: KeySettings;
  /** Closed when its lifetime is over. */
  readonly gate: Gate = new Gate();
  readonly #name: string;
  readonly #why: () => string | undefined;
  readonly #keyring: Keyring;
  readonly #surroundings: Surroundings;
  readonly #stop = new AbortController();
  /** It may be tried again for days. */
  readonly #patient: PatientOpening;
  #opening: Promise<LiveKey> | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** As soon as it is open. */
  #live: LiveKey | undefined;
  /** By the words of hints that choose others among what its KEY fits. */
  readonly #chosen = new Map<string, Promise<LiveKey>>();
  readonly #changes = new Listeners();
  readonly #decided = withResolvers();
  /** Read before the key is opened. */
  #policy: Promise<KeyPolicy> | undefined;
  /** Calls off the end of its lifetime. */
  #keep: () => void = () => undefined;
  #isOver = false;
  /** What its files said before it was opened, and its policy's before that was read. */
  #contents: Promise<string> | undefined;
  #policyContents: Promise<string> | undefined;

  constructor(
    name: string,
    settings: KeySettings,
    keyring: Keyring,
    surroundings: Surroundings,
    { onWaiting, users }: RunningKeyOptions,
  ) {
    this.#name = name;
    this.#why = () => forTunnels(users());
    this.settings = settings;
    this.#keyring = keyring;
    this.#surroundings = surroundings;
    const { emit, clock } = surroundings;
    this.#patient = new PatientOpening({
      ...{ name, waitForToken: settings.waitForToken, emit, clock, signal: this.#stop.signal },
      open: (onPerson) => this.#openOnce(onPerson),
      onWaiting: () => {
        onWaiting();
        this.#decided.resolve();
      },
    });
  }

  /** Why it can't be opened, if that was found out before it was stopped. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /**
   * The key, opened once.
   * @throws AgentError what {@link Keyring.open} throws
   */
  async opened(): Promise<OpenedKey> {
    return (await this.#opened()).opened;
  }

  #opened(): Promise<LiveKey> {
    this.#opening ??= this.#open(() => this.#patient.run());
    return this.#opening;
  }

  /** Whether an agent has something to live for with it: it is open, about to be, or waits for its token as it is to. */
  get keepsAgent(): boolean {
    if (this.#failure) return false;
    return this.isOpen || this.#isOver || !this.#patient.isSpare;
  }

  /** Tries again now, if it waits. */
  hurry(): void {
    this.#patient.hurry();
  }

  /** Waits no longer to be tried again: it is known then that it can't be opened. */
  giveIn(): void {
    this.#patient.giveIn();
  }

  /**
   * The key that a daemon's hint chooses among those that the KEY names, and its certificates, read anew or `as it is` known
   * of them; the key itself for a hint that is a name for people.
   * @throws AgentError ERR_USAGE for words that can't be read; what {@link Keyring.open} throws
   */
  async choose(hint: string, manner?: 'as it is'): Promise<Choice> {
    const words = parseHint(hint);
    const main = await this.#opened();
    if (manner === undefined) await main.refresh();
    const [certificate] = main.certificates;
    // of those that all words fit it would be the newest, too
    const isMain = !words || (certificate && words.fits(certificate));
    const live = isMain ? main : await this.#chosenBy(words, manner);
    const { opened, certificates } = live;
    return { opened, certificates };
  }

  async #chosenBy(words: CertificateWords, manner: 'as it is' | undefined): Promise<LiveKey> {
    const known = this.#chosen.get(words.text);
    if (known) {
      const live = await known;
      if (manner === undefined) await live.refresh();
      return live;
    }
    const opening = this.#openChosen(words);
    this.#chosen.set(words.text, opening);
    // words are the daemon's: they must not pile up
    const [oldest] = this.#chosen.size > MOST_CHOSEN ? this.#chosen.keys() : [];
    if (oldest !== undefined) void this.#closeChosen(oldest);
    opening.catch(() => {
      if (this.#chosen.get(words.text) === opening) this.#chosen.delete(words.text);
    });
    return await opening;
  }

  async #openChosen(words: CertificateWords): Promise<LiveKey> {
    const opened = await this.#keyring.open(this.settings, { words, why: this.#why });
    if (this.#stop.signal.aborted || this.#isOver) {
      await opened[Symbol.asyncDispose]();
      throw new AgentError('ERR_ABORTED', `${opened.signer.name} is not wanted any more`);
    }
    const live = this.#liven(opened, words);
    await live.refresh();
    return live;
  }

  async #closeChosen(text: string): Promise<void> {
    const opening = this.#chosen.get(text);
    this.#chosen.delete(text);
    await (await opening?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  /**
   * Reads its certificates anew, if it is open. Never rejects.
   * @param manner `before reload`: a file that has changed and can't be taken over is opened anew next, and told of then
   */
  async refresh(manner?: 'before reload'): Promise<void> {
    const isOpened = manner !== undefined && (await this.hasNewContents());
    const chosen = await Promise.all([...this.#chosen.values()].map((opening) => opening.catch(() => undefined)));
    for (const live of [this.#live, ...chosen]) await live?.refresh(isOpened ? 'quietly' : undefined);
  }

  /** Calls whenever it has another certificate, or is another key. @returns its undoing */
  onChange(listener: () => void): () => void {
    return this.#changes.add(listener);
  }

  #liven(opened: OpenedKey, words?: CertificateWords): LiveKey {
    const { emit, clock } = this.#surroundings;
    return new LiveKey(opened, {
      name: this.#name,
      open: () => this.#keyring.open(this.settings, { words, why: this.#why }),
      onChange: () => {
        // what its files say has been read
        this.#contents = keyContents(this.settings);
        this.#changes.tell();
      },
      // what status and metrics say of the key is said of the key itself
      emit: (event) => {
        if (!words || !isOfStatus(event)) emit(event);
      },
      clock,
    });
  }

  /**
   * Opens the key at once or not at all.
   * @throws AgentError what {@link Keyring.open} throws
   */
  async openNow(): Promise<void> {
    this.#opening ??= this.#open(() => this.#openOnce());
    await this.#opening;
  }

  /** What it may sign. @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND for a file that the policy names */
  policy(): Promise<KeyPolicy> {
    if (!this.#policy) {
      const settings = this.settings.policy ?? DEFAULT_POLICY;
      const contents = policyContents(settings);
      this.#policyContents = contents;
      const reading = contents.then(() => KeyPolicy.open(settings, this.#surroundings));
      this.#policy = reading;
      reading.catch(() => {
        // its files may come
        if (this.#policy === reading) this.#policy = undefined;
      });
    }
    return this.#policy;
  }

  /** Its lifetime is over: it was let go of. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when it is known whether the key is open, can't be opened, or waits for its token. */
  get decided(): Promise<void> {
    return this.#decided.promise;
  }

  get isOpen(): boolean {
    return this.#live !== undefined;
  }

  /** Undefined until it is open. */
  get publicKey(): KeyObject | undefined {
    return this.#live?.opened.signer.publicKey;
  }

  /** Whether its files, or its policy's, say something else than when they were read. */
  async hasNewContents(): Promise<boolean> {
    return (await this.#hasNewFiles()) || (await this.#hasNewPolicy());
  }

  async #hasNewFiles(): Promise<boolean> {
    return this.#contents !== undefined && (await this.#contents) !== (await keyContents(this.settings));
  }

  async #hasNewPolicy(): Promise<boolean> {
    const contents = this.#policyContents;
    return (
      contents !== undefined && (await contents) !== (await policyContents(this.settings.policy ?? DEFAULT_POLICY))
    );
  }

  async #openOnce(onPerson?: () => void): Promise<OpenedKey> {
    this.#contents = keyContents(this.settings);
    await this.policy();
    return await this.#keyring.open(this.settings, { onPerson, why: this.#why });
  }

  async #open(open: () => Promise<OpenedKey>): Promise<LiveKey> {
    const { emit } = this.#surroundings;
    const name = this.#name;
    emit({ type: 'key-state', name, state: 'opening' });
    try {
      const opened = await open();
      if (this.#stop.signal.aborted) {
        await opened[Symbol.asyncDispose]();
        throw new AgentError('ERR_ABORTED', `${opened.signer.name} is not wanted any more`);
      }
      const [certificate] = opened.certificates;
      const live = this.#liven(opened);
      this.#live = live;
      const about = { key: opened.signer.name, ...certificateFields(certificate) };
      const copies = this.settings.copies.map((copy) => backendOf(copy).publicName(copy));
      emit({ type: 'key-state', name, state: 'open', copies, ...about });
      emit({ type: 'key-ready', ...about });
      this.#liveFor(opened);
      return live;
    } catch (error) {
      // told to stop before, at its prompt for one: that the key is not open is not a failure
      if (this.#stop.signal.aborted) emit({ type: 'key-given-up', error: errorText(error) });
      else {
        this.#failure = { error };
        emit({ type: 'key-state', name, state: 'failed', code: errorCode(error), error: errorText(error) });
      }
      throw error;
    } finally {
      this.#decided.resolve();
    }
  }

  /** Lets go of the key when its lifetime is over, as ssh-agent does: who asks from then on is refused. */
  #liveFor(opened: OpenedKey): void {
    const { lifetime } = this.settings.policy ?? DEFAULT_POLICY;
    if (lifetime === undefined) return;
    const { emit, clock } = this.#surroundings;
    this.#keep = clock.after(lifetime, () => {
      const over = new AgentError(
        'ERR_POLICY_LIFETIME',
        `the lifetime of ${lifetime / 1000} s of ${opened.signer.name} is over`,
        {
          hint: 'reload the configuration, or start pksigd anew',
        },
      );
      const live = this.#live;
      this.#live = undefined;
      this.#isOver = true;
      this.gate.close(over);
      this.#opening = Promise.reject(over);
      this.#opening.catch(() => undefined); // told to whoever asks for the key
      emit({ type: 'key-state', name: this.#name, state: 'failed', error: errorText(over) });
      emit({ type: 'key-expired', name: this.#name, key: opened.signer.name, seconds: lifetime / 1000 });
      void live?.[Symbol.asyncDispose]();
      for (const text of this.#chosen.keys()) void this.#closeChosen(text);
    });
  }

  /** A stop has come: what fails from now on is not the key's failure. */
  giveUp(): void {
    this.#keep();
    this.#stop.abort();
    this.hurry();
  }

  /** Lets go of a key that is open; does not wait for one that is not. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.giveUp();
    const live = await Promise.race([this.#opening, Promise.resolve(undefined)]).catch(() => undefined);
    await Promise.all([
      live?.[Symbol.asyncDispose](),
      ...[...this.#chosen.keys()].map((text) => this.#closeChosen(text)),
    ]);
  }
}

/** Whether status and metrics take an event for the key that the settings name. */
function isOfStatus({ type }: KeyEvent): boolean {
  return type === 'certificate-changed' || type === 'key-changed';
}
