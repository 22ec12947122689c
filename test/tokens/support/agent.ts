import type { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Library from '../../../src/index.ts';
import type { BedKey, TokenBed } from '../setup/token-bed.ts';

// as built: the module host is a program that node runs
const DIST = join(import.meta.dirname, '../../../dist/index.js');
export const library: typeof Library = (await import(pathToFileURL(DIST).href)) as typeof Library;

type KeyOptions = Library.KeyOptions;
type ModuleHostEvent = Library.ModuleHostEvent;
type Event = Parameters<NonNullable<KeyOptions['onEvent']>>[0];

type Pkcs11Options = NonNullable<KeyOptions['pkcs11']>;

export interface AgentOptions
  extends Partial<Pick<Pkcs11Options, 'useFinalPinTry' | 'refusedPins' | 'watchInterval'>>,
    Pick<KeyOptions, 'certificate'> {
  /** Milliseconds. */
  readonly deadline?: number;
  /** What starts the module host in the bed's place. */
  readonly launcher?: string;
  /** Where events go, for keys that don't open. */
  readonly events?: Event[];
  /** How many processes may load the module at a time. */
  readonly hosts?: number;
  /** The `pin-source` of its URI. */
  readonly pinSource?: string;
  /** Tell what the module prints. */
  readonly showOutput?: boolean;
  /** Another PIN than the token's; asked for anew when it was refused. */
  readonly pin?: string | (() => string);
  /** A key whose module host this one shares; it must outlive this one. */
  readonly beside?: AgentKey;
}

/** A key opened by the library, in a module host of its own, and what became of both. */
export class AgentKey implements AsyncDisposable {
  readonly events: Event[];
  readonly hostEvents: ModuleHostEvent[];
  readonly #opened: Library.OpenedKey;
  readonly #tokens: Library.Tokens;
  readonly #hosts: Library.ModuleHosts;
  readonly #ownHosts: Library.ModuleHosts;

  private constructor(
    opened: Library.OpenedKey,
    tokens: Library.Tokens,
    hosts: Library.ModuleHosts,
    ownHosts: Library.ModuleHosts,
    events: Event[],
    hostEvents: ModuleHostEvent[],
  ) {
    this.#opened = opened;
    this.#tokens = tokens;
    this.#hosts = hosts;
    this.#ownHosts = ownHosts;
    this.events = events;
    this.hostEvents = hostEvents;
  }

  static async open(bed: TokenBed, key: BedKey, options: AgentOptions = {}): Promise<AgentKey> {
    const {
      deadline = 20_000,
      pin = bed.pin,
      events = [],
      launcher = bed.launcher,
      beside,
      showOutput,
      hosts: most,
      pinSource,
      certificate = key.certificate,
      ...settings
    } = options;
    const hostEvents: ModuleHostEvent[] = beside?.hostEvents ?? [];
    const ownHosts = new library.ModuleHosts({
      execPath: launcher,
      initArgs: bed.initArgs,
      environment: bed.moduleEnvironment,
      deadline,
      most,
      showOutput,
      onEvent: (event) => hostEvents.push(event),
    });
    const hosts = beside ? beside.#hosts : ownHosts;
    const tokens = beside ? beside.#tokens : new library.Tokens({ hosts });
    try {
      const opened = await library.openKey({
        keys: [
          `pkcs11:${key.uri}?module-path=${bed.modulePath}${pinSource === undefined ? '' : `&pin-source=${pinSource}`}`,
        ],
        pkcs11: { tokens, ...settings },
        certificate,
        deadline,
        askSecret: (what) => {
          if (pin === undefined) throw new Error(`asked for the ${what}`);
          return Promise.resolve(new library.Secret(typeof pin === 'string' ? pin : pin()));
        },
        onEvent: (event) => events.push(event),
      });
      return new AgentKey(opened, tokens, hosts, ownHosts, events, hostEvents);
    } catch (error) {
      await ownHosts[Symbol.asyncDispose]();
      throw error;
    }
  }

  get signer(): Library.Signer {
    return this.#opened.signer;
  }

  /** The recovery steps so far. */
  get steps(): string[] {
    return this.events.flatMap((event) => (event.type === 'recovering' ? [event.step] : []));
  }

  /** The process of the module host that was started last. */
  get hostPid(): number {
    const pid = this.hostEvents.flatMap((event) => (event.type === 'started' ? [event.pid] : [])).at(-1);
    if (pid === undefined) throw new Error('no module host was started');
    return pid;
  }

  /** Signs what a daemon would ask for; the signature in the form that the daemon gets. */
  async sign(algorithm: string, data: Uint8Array): Promise<Library.Signature> {
    const kind = library.keyKind(this.signer.publicKey);
    const request = library.parseSignatureRequest(Buffer.from(data).toString('base64'), algorithm, kind);
    return await library.createSignature(this.signer, request);
  }

  /** Those that a daemon would get that asks for one now. */
  async readCertificates(): Promise<readonly X509Certificate[]> {
    return (await this.#opened.readCertificates?.()) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened[Symbol.asyncDispose]();
    await this.#ownHosts[Symbol.asyncDispose]();
  }
}
