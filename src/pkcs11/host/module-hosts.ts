// Both ends of the pipe to the process that a module is loaded in: this side calls, process/ answers. For all that looks
// into tokens; it knows calls and failures, not keys.
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

/** The module hosts of this process, one a module: all keys and tokens of a module share it. */
export class ModuleHosts implements Modules, AsyncDisposable {
  readonly #options: ModuleHostOptions;
  readonly #entries = new Map<string, Entry>();
  #isDisposed = false;

  constructor(options: ModuleHostOptions) {
    this.#options = options;
  }

  async get(modulePath: string): Promise<ModuleHost> {
    // a login that this cut short must not be tried again behind the end
    if (this.#isDisposed) throw new AgentError('ERR_ABORTED', 'the module hosts were ended');
    let entry = this.#entries.get(modulePath);
    if (entry?.host.isAlive !== true) {
      entry = { host: new ModuleHost(modulePath, this.#options), loaded: Promise.resolve() };
      entry.loaded = this.#load(entry);
      this.#entries.set(modulePath, entry);
    }
    await entry.loaded;
    return entry.host;
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

  /** Ends them all, in good order where that is quick. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(({ host }) => host.stop()));
  }
}
