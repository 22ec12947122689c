// Both ends of the pipe to the process that a module is loaded in: this side calls, process/ answers. For all that looks
// into tokens; it knows calls and failures, not keys.
import { availableParallelism } from 'node:os';
import { AgentError } from '../../errors.ts';
import type { Modules } from './module.ts';
import { ModuleHost } from './module-host.ts';
import type { ModuleHostOptions } from './options.ts';

interface Entry {
  host: ModuleHost;
  loaded: Promise<void>;
}

/** A signal that meets a host in its first millisecond, before it can ignore it, ends it: so many are started at most. */
const STARTS = 100;
/** Processes that load one module, where nobody says how many: each has some 40 MB. */
const MOST = 4;

/** The module hosts of this process, one a module, which all keys and tokens of a module share; and further ones for signatures. */
export class ModuleHosts implements Modules, AsyncDisposable {
  readonly #options: ModuleHostOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #further = new Set<Entry>();
  /** Those that are replaced behind a login. */
  readonly #leaving = new Set<Entry>();
  #isDisposed = false;

  constructor(options: ModuleHostOptions) {
    this.#options = options;
  }

  async get(modulePath: string): Promise<ModuleHost> {
    this.#checkNotDisposed();
    let entry = this.#entries.get(modulePath);
    if (entry?.host.isAlive !== true) {
      this.#leave(entry);
      entry = this.#start(modulePath);
      this.#entries.set(modulePath, entry);
    }
    await entry.loaded;
    return entry.host;
  }

  async another(modulePath: string): Promise<ModuleHost | undefined> {
    this.#checkNotDisposed();
    for (const entry of this.#further) {
      if (entry.host.isAlive) continue;
      this.#further.delete(entry);
      this.#leave(entry);
    }
    const others = [...this.#further].filter(({ host }) => host.modulePath === modulePath);
    // the shared one counts, whether it is there or about to be
    if (1 + others.length >= (this.#options.most ?? Math.min(availableParallelism(), MOST))) return undefined;
    const entry = this.#start(modulePath);
    this.#further.add(entry);
    await entry.loaded;
    return entry.host;
  }

  /** Keeps one that may not have ended yet, so that the end of all is its end too. */
  #leave(entry: Entry | undefined): void {
    for (const each of this.#leaving) if (each.host.pending === 0) this.#leaving.delete(each);
    if (entry && entry.host.pending > 0) this.#leaving.add(entry);
  }

  /** A login that the end cut short must not be tried again behind it. */
  #checkNotDisposed(): void {
    if (this.#isDisposed) throw new AgentError('ERR_ABORTED', 'the module hosts were ended');
  }

  #start(modulePath: string): Entry {
    const entry = { host: new ModuleHost(modulePath, this.#options), loaded: Promise.resolve() };
    entry.loaded = this.#load(entry);
    return entry;
  }

  async #load(entry: Entry): Promise<void> {
    for (let starts = 1; ; starts++) {
      try {
        await entry.host.load();
        return;
      } catch (error) {
        if (!entry.host.wasCaughtStarting || starts === STARTS) throw error;
        entry.host = new ModuleHost(entry.host.modulePath, this.#options);
      }
    }
  }

  /** Ends those that have nothing to do, with all that their modules remember: the next call starts a new one. */
  async endIdle(): Promise<void> {
    const idle = [...this.#entries.values()].filter(({ host }) => host.isAlive && host.pending === 0);
    await Promise.all(idle.map(({ host }) => host.stop()));
  }

  /** Ends them all, in good order where that is quick. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const entries = [...this.#entries.values(), ...this.#further, ...this.#leaving];
    for (const each of [this.#entries, this.#further, this.#leaving]) each.clear();
    await Promise.all(entries.map(({ host }) => host.stop(undefined, 'at once')));
  }
}
