import { ModuleHost, type ModuleHostOptions } from './module-host.ts';

/** The module hosts of this process, one a module: all keys and tokens of a module share it. */
export class ModuleHosts implements Disposable {
  readonly #options: ModuleHostOptions;
  readonly #hosts = new Map<string, Promise<ModuleHost>>();

  constructor(options: ModuleHostOptions) {
    this.#options = options;
  }

  /**
   * The host of a module: the one that lives, or a new one.
   * @throws AgentError ERR_MODULE_*, ERR_PKCS11JS_MISSING, ERR_TOKEN_FAILED
   */
  async get(modulePath: string): Promise<ModuleHost> {
    const known = this.#hosts.get(modulePath);
    const living = await known?.catch(() => undefined);
    if (living?.isAlive === true) return living;
    const newest = this.#hosts.get(modulePath);
    if (newest && newest !== known) return await newest; // somebody else was faster
    const started = ModuleHost.start(modulePath, this.#options);
    this.#hosts.set(modulePath, started);
    return await started;
  }

  [Symbol.dispose](): void {
    for (const host of this.#hosts.values()) {
      host.then(
        (living) => {
          living.kill();
        },
        () => undefined,
      );
    }
    this.#hosts.clear();
  }
}
