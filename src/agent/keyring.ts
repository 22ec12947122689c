import { allWords, type CertificateWords, parseWords } from '../certificates/words.ts';
import { TRIES } from '../config/asking.ts';
import { KeySecrets } from '../config/secrets.ts';
import type { KeySettings, TokenSettings } from '../config/settings.ts';
import { defaultStateDirectory } from '../config/state-directory.ts';
import { Programs } from '../exec/index.ts';
import { backendOf } from '../keys/backends.ts';
import type { KeyOptions } from '../keys/key-options.ts';
import { openKey, type OpenedKey } from '../keys/open-key.ts';
import { isSessionEvent, ModuleHosts, Pin, RefusedPins, Tokens } from '../pkcs11/index.ts';
import type { KeyEvent } from './events.ts';
import { secretsSurroundings, type Surroundings } from './surroundings.ts';

/** Milliseconds between looks at a token. */
const WATCH_INTERVAL = 2_000;
/** Names of variables that hold secrets. */
const SECRET_NAME = /PIN|PASS|PWD|SECRET|KEY$|AUTH/i;

/** How to open a key, beside its settings. */
export interface OpenOptions {
  /** Beside its own. */
  readonly words?: CertificateWords | undefined;
  /** A person is asked for its PIN or passphrase. */
  readonly onPerson?: (() => void) | undefined;
  /** What that is wanted for when they are asked, as in `for tunnel office`. */
  readonly why?: (() => string | undefined) | undefined;
}

/** Opens keys, and owns what they share: tokens and their module hosts, the memory of refused PINs, the ways to ask for secrets. */
export class Keyring implements AsyncDisposable {
  readonly tokens: Tokens;
  readonly secrets: KeySecrets;
  readonly #programs: Programs;
  #settings: TokenSettings;
  readonly #surroundings: Surroundings;
  readonly #hosts: ModuleHosts;
  readonly #refusedPins: RefusedPins;
  readonly #end = new AbortController();

  /** @throws AgentError ERR_USAGE for a source of PINs that is not one */
  constructor(settings: TokenSettings, surroundings: Surroundings) {
    const { modules, pins } = settings;
    const { environment, execPath, emit, pid, uid, clock, spawn, killProgram } = surroundings;
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.secrets = new KeySecrets(pins, secretsSurroundings(surroundings, this.#end.signal));
    for (const [variable, value] of Object.entries(modules.environment)) {
      if (!SECRET_NAME.test(variable) || value === '') continue;
      const text = 'all users of this machine can read --module-env in the list of processes: give a secret otherwise';
      emit({ type: 'warning', variable, text });
    }
    if (modules.showOutput) emit({ type: 'module-output-shown' });
    const deadline = (): number => this.#settings.deadline;
    this.#hosts = new ModuleHosts({
      clock,
      spawn,
      execPath,
      get deadline() {
        return deadline();
      },
      initArgs: modules.initArgs,
      most: modules.most,
      showOutput: modules.showOutput,
      environment: { ...environment, ...modules.environment },
      onEvent: (event) => {
        emit({ type: 'module-host', event });
      },
    });
    this.#programs = new Programs({
      clock,
      uid,
      killGroup: killProgram,
      get deadline() {
        return deadline();
      },
      environment: { ...environment, ...modules.environment },
      onEvent: (event) => {
        emit({ type: 'key-program', event });
      },
    });
    this.tokens = new Tokens({ hosts: this.#hosts, clock, onEvent: emit });
    this.#refusedPins = new RefusedPins(() => pins.stateDirectory ?? defaultStateDirectory(environment), pid, uid);
  }

  /** Milliseconds that a call may take from now on. */
  set deadline(deadline: number) {
    this.#settings = { ...this.#settings, deadline };
  }

  readonly #emit = (event: KeyEvent): void => {
    this.#surroundings.emit(event);
  };

  /**
   * How the library is to open a key.
   * @param watchInterval milliseconds between looks at its token
   * @throws AgentError ERR_USAGE for words that can't be read
   */
  options(key: KeySettings, watchInterval?: number, { words, onPerson, why }: OpenOptions = {}): KeyOptions {
    const { pins } = this.#settings;
    const { secrets } = this;
    const deadline = (): number => this.#settings.deadline;
    return {
      keys: key.copies,
      certificate: key.certificate,
      words: allWords(key.select && parseWords(key.select), words),
      pkcs11: {
        tokens: this.tokens,
        defaultModule: key.module,
        refusedPins: this.#refusedPins,
        useFinalPinTry: pins.useFinalTry,
        watchInterval,
      },
      programs: this.#programs,
      allowReadableKey: key.allowReadable,
      askSecret: (what, uriSource, manner, tries = 'ok') => {
        if (secrets.asksPerson(uriSource)) onPerson?.();
        return secrets.get(what, uriSource, manner, { why: why?.(), tries: TRIES[tries] });
      },
      nameSource: (uriSource) => secrets.nameSource(uriSource),
      mayAskAgain: (error, uriSource) => secrets.mayAskAgain(error, uriSource),
      get deadline() {
        return deadline();
      },
      onEvent: (event) => {
        if (event.type === 'pin-pad') onPerson?.();
        // told once by the tokens themselves, however many keys use one
        if (!isSessionEvent(event)) this.#emit(event);
      },
    };
  }

  /**
   * Opens a key, and tells a person at the terminal what takes so long.
   * @throws AgentError what {@link openKey} throws
   */
  async open(key: KeySettings, options?: OpenOptions): Promise<OpenedKey> {
    const notice = key.copies.map((copy) => backendOf(copy).notice).find((text) => text !== '') ?? '';
    return await this.waiting(key, notice, () => openKey(this.options(key, WATCH_INTERVAL, options)));
  }

  /** Does something with a key in which a person waits, who may be asked for its PIN. */
  async waiting<Result>(key: KeySettings, notice: string, work: () => Promise<Result>): Promise<Result> {
    const asks = key.copies.some((copy) => {
      const secret = backendOf(copy).secretOf(copy);
      return secret !== undefined && this.secrets.mayAsk(secret.source);
    });
    return await this.#surroundings.terminal.during(asks, notice, work);
  }

  /** A PIN for a token that is looked into without opening a key. */
  tokenPin(uriSource: string | undefined): Pin {
    return new Pin({
      ask: (token, again, tries) =>
        this.secrets.get(`PIN of token '${token}'`, uriSource, again ? 'ask again' : 'ask', { tries: TRIES[tries] }),
      refused: this.#refusedPins,
      useFinalTry: this.#settings.pins.useFinalTry,
      onEvent: this.#emit,
    });
  }

  /** Lets go of PINs, of sessions, programs, and modules that have nothing to do, until the next use. @returns how many tokens */
  async forget(): Promise<number> {
    const count = await this.tokens.forget();
    await Promise.all([this.#hosts.endIdle(), this.#programs.forget()]);
    return count;
  }

  /** Ends the commands that print PINs, the programs and the module hosts, in good order where that is quick. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await Promise.all([this.tokens[Symbol.asyncDispose](), this.#programs[Symbol.asyncDispose]()]);
    await this.#hosts[Symbol.asyncDispose]();
  }
}
