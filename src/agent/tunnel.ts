import { setMaxListeners } from 'node:events';
import { type AgentErrorCode, errorCode, errorText } from '../errors.ts';
import {
  type CloseReason,
  connectManagement,
  type DaemonOwner,
  formatManagementAddress,
  listenManagement,
  type ManagementAddress,
  type ManagementClient,
  type ManagementListener,
} from '../management/index.ts';
import { PathWatches, type WatchPath, whoReaches, whoReplaces } from '../management/internal.ts';
import type { CertificateChangeAction, TokenRemovalAction } from '../config/settings.ts';
import type { Secret } from '../secret.ts';
import { connectLoop } from './connect-loop.ts';
import { NO_DAEMON } from './connect-complaint.ts';
import { NextTry } from './next-try.ts';
import type { AgentRounds } from './retry-rounds.ts';
import { type DaemonMemory, ServedDaemon } from './served-daemon.ts';
import type { ServiceOptions } from './service-options.ts';
import { Trouble } from './trouble.ts';

/** One OpenVPN daemon to serve, over any number of connections. */
export interface TunnelOptions extends ServiceOptions {
  readonly address: ManagementAddress;
  /** The daemon connects to us (`--management-client`). */
  readonly listen: boolean;
  /** What its .ovpn says behind `management-external-cert`. */
  readonly hint?: string | undefined;
  /** Whose the daemon's end must be, wherever the kernel tells. */
  readonly owner: DaemonOwner;
  /** How many daemons that connect to us may be there at a time. */
  readonly maxDaemons: number;
  /** Gets the management password, anew at each connection. */
  readonly password?: (() => Promise<Secret>) | undefined;
  readonly onTokenRemoval: TokenRemovalAction;
  readonly onCertificateChange?: CertificateChangeAction | undefined;
  /** Calls whenever the key has another certificate, or is another key. @returns its undoing */
  readonly onKeyChange?: ((listener: () => void) => () => void) | undefined;
  readonly network: Network;
  /** Of all tunnels together. */
  readonly rounds: AgentRounds;
}

/** How management clients come about: the real ones, or those of a simulated network. */
export interface Network {
  readonly connect: typeof connectManagement;
  readonly listen: typeof listenManagement;
  /** Tells when a daemon's unix socket appears. */
  readonly watchPath: WatchPath;
}

export const NETWORK: Network = {
  connect: connectManagement,
  listen: listenManagement,
  watchPath: new PathWatches().watch,
};

const REMOVAL_SIGNALS = { restart: 'SIGUSR1', disconnect: 'SIGTERM' } as const;

/** Management version 3 makes the daemon name the algorithm; nothing above it concerns us. */
const CLIENT_VERSION = 3;
/** Of the socket that daemons connect to: private. */
const LISTENER_MODE = 0o600;
/** The codes of those who were turned away and need not be the daemon. */
const STRANGERS: ReadonlySet<AgentErrorCode> = new Set([
  'ERR_MANAGEMENT_LIMIT',
  'ERR_MANAGEMENT_PEER',
  'ERR_MANAGEMENT_CLOSED',
  'ERR_MANAGEMENT_TIMEOUT',
  'ERR_ABORTED',
]);
/**
 * Bytes that may be held of what a daemon sends: without a relay nothing of it is long. With one, all of its log may be
 * asked for.
 */
const MAX_HELD = 4 * 1024 * 1024;
const MAX_HELD_WITH_RELAY = 64 * 1024 * 1024;

/** Serves one daemon, for as long as it is told to, over any number of connections. */
export class Tunnel {
  readonly name: string;
  readonly #options: TunnelOptions;
  readonly #daemons = new Set<ServedDaemon>();
  /** We listen, and no daemon is connected. */
  readonly #lonely: Trouble;
  #listener: ManagementListener | undefined;
  /** Called when the last daemon has gone. */
  #onDeserted: (() => void) | undefined;
  #unwatch: () => void = () => undefined;
  /** Of the daemon that we connect to; those that connect to us may be any. */
  readonly #memory: DaemonMemory;

  private constructor(options: TunnelOptions) {
    this.name = formatManagementAddress(options.address);
    this.#options = options;
    this.#memory = { hint: options.hint };
    this.#lonely = new Trouble(options.emit, 'daemon', options.clock);
  }

  /**
   * Makes a tunnel; where the daemon is to connect to us, listens from now on.
   * @throws AgentError ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_LISTEN
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    const tunnel = new Tunnel(options);
    if (options.listen) await tunnel.#listen();
    return tunnel;
  }

  async #listen(): Promise<void> {
    const { address, maxDaemons, signal, network, emit } = this.#options;
    // what any number of daemons are asked at a time ends with it: Node would take more than ten for a leak
    setMaxListeners(0, signal);
    const options = await this.#clientOptions();
    const forget = (): void => options.password?.destroy();
    // which daemons may want is of use as long as we listen
    signal.addEventListener('abort', forget, { once: true });
    const listening = network.listen(address, {
      ...options,
      mode: LISTENER_MODE,
      maxDaemons,
      // from the first moment on: a socket is removed however early the end comes
      signal,
      onRejected: (error, _, count) => {
        const { code } = error;
        const isStranger = STRANGERS.has(code);
        emit({ type: 'daemon-rejected', code, error: errorText(error), count, isStranger });
      },
    });
    this.#listener = await listening.catch((error: unknown) => {
      forget();
      throw error;
    });
    emit({ type: 'tunnel-listening' });
    await tellReach(this.#options);
  }

  /** Runs until the signal; resolves when the last request is answered. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    void this.#watchToken();
    const unlisten = this.#options.onKeyChange?.(() => {
      // its token may be another one
      void this.#watchToken();
      for (const daemon of this.#daemons) void daemon.renewCertificate(this.#options.onCertificateChange === 'restart');
    });
    // one listener for all of them: there may be thousands
    const stop = (): void => {
      for (const daemon of this.#daemons) daemon.stop();
    };
    signal.addEventListener('abort', stop);
    await (this.#listener ? this.#accept(this.#listener) : this.#connect());
    await this.#deserted();
    signal.removeEventListener('abort', stop);
    unlisten?.();
    this.#unwatch();
    this.#lonely.stop();
  }

  /** Resolves when no daemon is served any more. */
  async #deserted(): Promise<void> {
    if (this.#daemons.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onDeserted = resolve;
    });
  }

  async #clientOptions() {
    const { relay, owner } = this.#options;
    const password = await this.#options.password?.();
    return {
      clientVersion: CLIENT_VERSION,
      maxHeld: relay ? MAX_HELD_WITH_RELAY : MAX_HELD,
      owner,
      ...(password && { password }),
    };
  }

  async #connect(): Promise<void> {
    const { address, network, signal, emit, clock, rounds } = this.#options;
    const { watchPath } = network;
    await connectLoop({
      nextTry: new NextTry({ address, watchPath, rounds, clock, signal }),
      // without a limit of time: a daemon serves one client, and another may have the seat for hours
      connect: async (onConnected, giveUp) => {
        const options = await this.#clientOptions();
        try {
          return await network.connect(address, { ...options, connectTimeout: 0, onConnected, signal: giveUp });
        } finally {
          // greeted, or not: no daemon asks for it any more
          options.password?.destroy();
        }
      },
      serve: async (client) => reasonText(await this.#serve(client)),
      ...{ signal, emit, clock },
    });
  }

  async #accept(listener: ManagementListener): Promise<void> {
    this.#lonely.set(NO_DAEMON);
    for await (const client of listener) void this.#serve(client);
  }

  async #watchToken(): Promise<void> {
    const { key, onTokenRemoval, emit, signal } = this.#options;
    if (onTokenRemoval === 'none') return;
    const name = REMOVAL_SIGNALS[onTokenRemoval];
    const opened = await key().catch(() => undefined);
    this.#unwatch();
    if (signal.aborted) return;
    const undo = opened?.signer.availability?.onLost(() => {
      if (signal.aborted) return;
      for (const daemon of this.#daemons) {
        emit({ type: 'daemon-signalled', signal: name });
        void daemon.signal(name);
      }
    });
    this.#unwatch = undo ?? (() => undefined);
  }

  /** Serves one connection until it ends; never rejects. */
  #serve(client: ManagementClient): Promise<CloseReason> {
    this.#lonely.clear();
    this.#options.emit({ type: 'daemon-connected' });
    const memory = this.#listener ? { hint: this.#options.hint } : this.#memory;
    const daemon = new ServedDaemon(client, this.#options, memory);
    this.#daemons.add(daemon);
    return daemon.serve().then((reason) => {
      this.#leave(daemon, reason);
      return reason;
    });
  }

  #leave(daemon: ServedDaemon, reason: CloseReason): void {
    const { emit, signal } = this.#options;
    this.#daemons.delete(daemon);
    const { error } = reason;
    const isFailure = error !== undefined && errorCode(error) !== 'ERR_MANAGEMENT_CLOSED';
    emit({ type: 'daemon-disconnected', reason: reasonText(reason), isFailure });
    if (this.#daemons.size > 0) return;
    if (this.#listener && !signal.aborted) this.#lonely.set(NO_DAEMON);
    this.#onDeserted?.();
  }
}

function reasonText({ by, error }: CloseReason): string {
  return error ? errorText(error) : `closed by the ${by}`;
}

/** Tells who else than this user and root can come to a listener, or pass for it. */
async function tellReach({ address, owner, emit }: TunnelOptions): Promise<void> {
  const by = owner.user === undefined ? await whoReaches(address, LISTENER_MODE) : 'nobody';
  if (by !== 'nobody') emit({ type: 'tunnel-reachable', by });
  if (address.kind === 'unix') {
    const text = await whoReplaces(address.path, owner.self).catch(() => undefined);
    if (text !== undefined) emit({ type: 'tunnel-replaceable', text });
  }
}
