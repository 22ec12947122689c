import { setTimeout as sleep } from 'node:timers/promises';
import { type AgentErrorCode, errorCode, errorText } from '../errors.ts';
import {
  type CloseReason,
  connectManagement,
  formatManagementAddress,
  type DaemonOwner,
  listenManagement,
  type ManagementAddress,
  type ManagementClient,
  type ManagementListener,
  type Relay,
} from '../management/index.ts';
import { whoReaches, whoReplaces } from '../management/internal.ts';
import type { Secret } from '../secret.ts';
import { connectComplaint, NO_GREETING, NOBODY_CONNECTS, shortLived } from './connect-complaint.ts';
import { limitedLog, type Log } from './log.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { ServedDaemon } from './served-daemon.ts';
import { type Complaint, SYSTEM_CLOCK, Trouble } from './trouble.ts';
import { unlessAborted } from '../promises.ts';

/** One OpenVPN daemon to serve. */
export interface TunnelOptions {
  readonly address: ManagementAddress;
  /** The daemon connects to us (`--management-client`). */
  readonly listen: boolean;
  /** Whose the daemon's end must be, wherever the kernel tells. */
  readonly owner: DaemonOwner;
  /** How many daemons that connect to us may be there at a time. */
  readonly maxDaemons: number;
  /** Gets the management password, anew at each connection. */
  readonly password?: (() => Promise<Secret>) | undefined;
  /** The key, as soon as it is ready: until then the daemon is held. Always the same promise. */
  readonly key: () => Promise<OpenedKey>;
  /** What the daemon is told when the token goes away: nothing, SIGUSR1 or SIGTERM. */
  readonly onTokenRemoval: TokenRemovalAction;
  /** Milliseconds after which a request is answered, with an empty block if there is no signature. */
  readonly deadline: number;
  /** Other management clients, who get what is not for us. */
  readonly relay?: Relay | undefined;
  /** Ends the tunnel: requests under way are still answered. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What to do to the daemon when the token goes away. */
export type TokenRemovalAction = 'none' | 'restart' | 'disconnect';
const REMOVAL_SIGNALS = { restart: 'SIGUSR1', disconnect: 'SIGTERM' } as const;

/** Management version 3 makes the daemon name the algorithm; nothing above it concerns us. */
const CLIENT_VERSION = 3;
const FIRST_RETRY = 100;
const LAST_RETRY = 5_000;
/** Where a person must help first, there is no hurry; a wrong password takes the daemon's only seat for a moment. */
const LAST_RETRY_OF_MISTAKES = 15_000;
/** Of the socket that daemons connect to: private. */
const LISTENER_MODE = 0o600;
/** How those are turned away who need not be the daemon. */
const STRANGERS: ReadonlySet<AgentErrorCode> = new Set([
  'ERR_MANAGEMENT_LIMIT',
  'ERR_MANAGEMENT_PEER',
  'ERR_MANAGEMENT_CLOSED',
  'ERR_MANAGEMENT_TIMEOUT',
  'ERR_ABORTED',
]);
/** A connection that lived so long was no failed try. */
const STABLE = 10_000;
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
  readonly #log: Log;
  readonly #serving = new Set<Promise<unknown>>();
  readonly #daemons = new Set<ServedDaemon>();
  /** No connection to the daemon can be made, or none that lasts. */
  readonly #connecting: Trouble;
  /** Nobody connects to us. */
  readonly #lonely: Trouble;
  #listener: ManagementListener | undefined;

  private constructor(options: TunnelOptions) {
    this.name = formatManagementAddress(options.address);
    this.#options = options;
    this.#log = limitedLog(options.log, () => SYSTEM_CLOCK.now());
    this.#connecting = new Trouble(this.#log, { tunnel: this.name }, 'the daemon is served again');
    this.#lonely = new Trouble(this.#log, { tunnel: this.name }, 'a daemon is connected');
  }

  /**
   * Makes a tunnel; where the daemon is to connect to us, listens from now on.
   * @throws AgentError ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_LISTEN
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    const tunnel = new Tunnel(options);
    if (options.listen) {
      tunnel.#listener = await listenManagement(options.address, {
        ...(await tunnel.#clientOptions()),
        mode: LISTENER_MODE,
        maxDaemons: options.maxDaemons,
        // from the first moment on: a socket is removed however early the end comes
        signal: options.signal,
        onRejected: (error, _, count) => {
          const fields = { tunnel: tunnel.name, code: error.code, error: errorText(error) };
          const level = STRANGERS.has(error.code) ? 'warn' : 'error';
          tunnel.#log[level](count === 1 ? fields : { ...fields, count }, 'a daemon was turned away');
        },
      });
      options.log.info({ tunnel: tunnel.name }, 'listening for the daemon');
      await warnOfReach(options, tunnel.name);
    }
    return tunnel;
  }

  /** Runs until the signal; resolves when the last request is answered. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    void this.#watchToken();
    if (this.#listener) {
      await this.#accept(this.#listener);
    } else {
      await this.#connect(signal);
    }
    await Promise.all(this.#serving);
    this.#connecting.stop();
    this.#lonely.stop();
  }

  async #clientOptions(): Promise<{
    clientVersion: number;
    maxHeld: number;
    owner: DaemonOwner;
    password?: Secret;
  }> {
    const password = await this.#options.password?.();
    return {
      clientVersion: CLIENT_VERSION,
      maxHeld: this.#options.relay ? MAX_HELD_WITH_RELAY : MAX_HELD,
      owner: this.#options.owner,
      ...(password && { password }),
    };
  }

  async #accept(listener: ManagementListener): Promise<void> {
    this.#lonely.set(NOBODY_CONNECTS);
    for await (const client of listener) {
      const served = this.#serve(client);
      this.#serving.add(served);
      void served.finally(() => this.#serving.delete(served));
    }
  }

  async #watchToken(): Promise<void> {
    const { key, onTokenRemoval, log } = this.#options;
    if (onTokenRemoval === 'none') return;
    const name = REMOVAL_SIGNALS[onTokenRemoval];
    const opened = await key().catch(() => undefined);
    const undo = opened?.signer.onLost(() => {
      for (const daemon of this.#daemons) {
        log.warn({ tunnel: this.name, signal: name }, 'token lost: the daemon gets a signal');
        daemon.signal(name).catch((error: unknown) => {
          log.warn({ tunnel: this.name, error: errorText(error) }, 'the daemon took no signal');
        });
      }
    });
    const { signal } = this.#options;
    if (signal.aborted) undo?.();
    else if (undo) signal.addEventListener('abort', undo, { once: true });
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const isStopped = (): boolean => signal.aborted;
    let said: unknown;
    for (let delay = FIRST_RETRY; !isStopped(); ) {
      const complaint = await this.#serveOnce(signal);
      if (isStopped()) return;
      if (complaint === undefined) {
        delay = FIRST_RETRY;
      } else {
        const { error } = (complaint.fields ?? {}) as { error?: unknown };
        if (error !== said && complaint.patience !== undefined)
          this.#log.info({ tunnel: this.name, error }, 'waiting for the daemon');
        said = error;
        this.#connecting.set(complaint);
      }
      await sleep(delay, undefined, { signal }).catch(() => undefined);
      const isMistake = complaint?.level === 'error';
      delay = Math.min(2 * delay, isMistake ? LAST_RETRY_OF_MISTAKES : LAST_RETRY);
    }
  }

  /** One connection, from the try to its end. @returns what kept it from being made, or from lasting */
  async #serveOnce(signal: AbortSignal): Promise<Complaint | undefined> {
    const greeting = new Trouble(this.#log, { tunnel: this.name }, 'OpenVPN answers');
    const onConnected = (): void => {
      this.#connecting.hush();
      greeting.set(NO_GREETING);
    };
    try {
      // no limit of time: a daemon serves one client, and another may have the seat for hours
      const options = { ...(await this.#clientOptions()), connectTimeout: 0, onConnected };
      const client = await abortable(connectManagement(this.#options.address, options), signal);
      greeting.clear();
      const stopWaiting = SYSTEM_CLOCK.after(STABLE, () => {
        this.#connecting.clear();
      });
      const started = SYSTEM_CLOCK.now();
      const reason = await this.#serve(client);
      stopWaiting();
      return SYSTEM_CLOCK.now() - started < STABLE ? shortLived(reasonText(reason)) : undefined;
    } catch (error) {
      return connectComplaint(error);
    } finally {
      greeting.stop();
    }
  }

  /** Serves one connection until it ends; never throws. */
  async #serve(client: ManagementClient): Promise<CloseReason> {
    const { key, deadline, relay, signal, log } = this.#options;
    this.#lonely.clear();
    this.#log.info({ tunnel: this.name }, 'connected to the daemon');
    const daemon = new ServedDaemon(client, {
      ...{ tunnel: this.name, key, deadline, relay, signal, log },
      limitedLog: this.#log,
      clock: SYSTEM_CLOCK,
    });
    this.#daemons.add(daemon);
    const reason = await daemon.serve();
    this.#daemons.delete(daemon);
    const { error } = reason;
    const level = error && errorCode(error) !== 'ERR_MANAGEMENT_CLOSED' ? 'error' : 'info';
    this.#log[level]({ tunnel: this.name, reason: reasonText(reason) }, 'disconnected from the daemon');
    if (this.#listener && this.#daemons.size === 0 && !signal.aborted) this.#lonely.set(NOBODY_CONNECTS);
    return reason;
  }
}

function reasonText({ by, error }: CloseReason): string {
  return error ? errorText(error) : `closed by the ${by}`;
}

/** Says who else than this user and root can come to a listener, or pass for it. */
async function warnOfReach({ address, owner, log }: TunnelOptions, tunnel: string): Promise<void> {
  const reach = owner.user === undefined ? await whoReaches(address, LISTENER_MODE) : 'nobody';
  if (reach === 'network')
    log.warn({ tunnel }, 'whoever reaches this address can pass for the daemon: use a unix socket');
  if (reach === 'users')
    log.warn(
      { tunnel },
      'every user of this host can connect here, or take the port first: name --management-user, or use a unix socket',
    );
  if (address.kind === 'unix') {
    const replaced = await whoReplaces(address.path, owner.self).catch(() => undefined);
    if (replaced !== undefined) log.warn({ tunnel }, replaced);
  }
}

/** Gives up waiting at the signal; a connection that comes all the same is closed. */
async function abortable(connecting: Promise<ManagementClient>, signal: AbortSignal): Promise<ManagementClient> {
  void connecting.then(
    (client) => {
      if (signal.aborted) void client.close();
    },
    () => undefined,
  );
  return await unlessAborted(connecting, signal);
}
