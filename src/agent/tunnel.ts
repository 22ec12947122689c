import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { certificatePem } from '../keyfile/pem.ts';
import {
  connectManagement,
  formatManagementAddress,
  listenManagement,
  type ManagementAddress,
  type ManagementClient,
  type ManagementListener,
  type Notification,
  type Relay,
} from '../management/index.ts';
import type { Secret } from '../secret.ts';
import { answer } from './answer.ts';
import type { OpenedKey } from './open-key.ts';

/** The logger that a tunnel writes to; pino's fits. */
export interface Log {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** One OpenVPN daemon to serve. */
export interface TunnelOptions {
  readonly address: ManagementAddress;
  /** The daemon connects to us (`--management-client`). */
  readonly listen: boolean;
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
/** connect-retry's default upper limit, in milliseconds. */
const LONGEST_HOLD = 300_000;
/** A connection that lived so long was no failed try. */
const STABLE = 10_000;

/** Serves one daemon, for as long as it is told to, over any number of connections. */
export class Tunnel {
  readonly name: string;
  readonly #options: TunnelOptions;
  /** Requests under way: a stop waits for them. */
  readonly #busy = new Set<Promise<void>>();

  readonly #serving = new Set<Promise<void>>();
  readonly #clients = new Set<ManagementClient>();
  #listener: ManagementListener | undefined;

  private constructor(options: TunnelOptions) {
    this.name = formatManagementAddress(options.address);
    this.#options = options;
  }

  /**
   * Makes a tunnel; where the daemon is to connect to us, listens from now on.
   * @throws AgentError ERR_MANAGEMENT_LISTEN
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    const tunnel = new Tunnel(options);
    if (options.listen) {
      tunnel.#listener = await listenManagement(options.address, {
        ...(await tunnel.#clientOptions()),
        onRejected: (error) => {
          options.log.error({ tunnel: tunnel.name, error: errorText(error) }, 'a daemon was turned away');
        },
      });
      options.log.info({ tunnel: tunnel.name }, 'listening for the daemon');
    }
    return tunnel;
  }

  /** Runs until the signal; resolves when the last request is answered. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    void this.#watchToken();
    if (this.#listener) {
      await this.#accept(this.#listener, signal);
    } else {
      await this.#connect(signal);
    }
    await Promise.all([...this.#serving, ...this.#busy]);
  }

  async #clientOptions(): Promise<{ clientVersion: number; password?: Secret; encoding?: 'latin1' }> {
    const password = await this.#options.password?.();
    return {
      clientVersion: CLIENT_VERSION,
      ...(password && { password }),
      ...(this.#options.relay && { encoding: 'latin1' }),
    };
  }

  async #accept(listener: ManagementListener, signal: AbortSignal): Promise<void> {
    const close = (): void => {
      void listener.close();
    };
    if (signal.aborted) close();
    signal.addEventListener('abort', close);
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
    opened?.signer.onLost(() => {
      for (const client of this.#clients) {
        log.warn({ tunnel: this.name, signal: name }, 'token lost: the daemon gets a signal');
        client.signal(name).catch((error: unknown) => {
          log.warn({ tunnel: this.name, error: errorText(error) }, 'the daemon took no signal');
        });
      }
    });
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { log, address } = this.#options;
    let delay = FIRST_RETRY;
    let said = '';
    const isStopped = (): boolean => signal.aborted;
    while (!isStopped()) {
      const started = Date.now();
      try {
        // no limit of time: a daemon serves one client, and another may have the seat for hours
        const options = { ...(await this.#clientOptions()), connectTimeout: 0 };
        await this.#serve(await abortable(connectManagement(address, options), signal));
      } catch (error) {
        if (isStopped()) return;
        const text = errorText(error);
        if (text !== said) log.info({ tunnel: this.name, error: text }, 'waiting for the daemon');
        said = text;
      }
      if (Date.now() - started > STABLE) delay = FIRST_RETRY;
      await sleep(delay, undefined, { signal }).catch(() => undefined);
      delay = Math.min(2 * delay, LAST_RETRY);
    }
  }

  /** Serves one connection until it ends; never throws. */
  async #serve(client: ManagementClient): Promise<void> {
    const { log, signal } = this.#options;
    log.info({ tunnel: this.name }, 'connected to the daemon');
    const stop = (): void => {
      void Promise.all(this.#busy).then(() => {
        void client.close();
      });
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    this.#clients.add(client);
    this.#options.relay?.attach(client);
    try {
      for await (const notification of client) {
        const handled = this.#handle(client, notification);
        // a stop waits for signatures, not for a key that may never be ready
        if (notification.type.endsWith('_SIGN') || notification.type === 'TRUNCATED') this.#track(handled);
      }
    } catch {
      // a daemon that broke the protocol: `closed` says how
    }
    this.#clients.delete(client);
    signal.removeEventListener('abort', stop);
    const { by, error } = await client.closed;
    const level = error && errorCode(error) !== 'ERR_MANAGEMENT_CLOSED' ? 'error' : 'info';
    log[level](
      { tunnel: this.name, reason: error ? errorText(error) : `closed by the ${by}` },
      'disconnected from the daemon',
    );
  }

  #track(work: Promise<void>): void {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
  }

  /** Never throws: what goes wrong with one notification concerns no other. */
  async #handle(client: ManagementClient, notification: Notification): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#respond(client, notification);
    } catch (error) {
      // once it is to stop, why is said elsewhere
      log[this.#options.signal.aborted ? 'debug' : 'warn'](
        { tunnel: this.name, notification: notification.type, error: errorText(error) },
        'no answer was possible',
      );
    }
  }

  async #respond(client: ManagementClient, notification: Notification): Promise<void> {
    const { key, log, deadline, signal, relay } = this.#options;
    const tunnel = this.name;
    switch (notification.type) {
      case 'PK_SIGN':
      case 'RSA_SIGN': {
        const request = { data: notification.data, algorithmText: notification.algorithm };
        const signer = key().then((opened) => opened.signer);
        const signature = await answer(request, signer, deadline, (level, fields, text) => {
          log[level]({ tunnel, ...fields }, text);
        });
        await reply(client, notification.type, signature);
        return;
      }
      case 'TRUNCATED':
        log.error(
          {
            tunnel,
            outcome: 'refused',
            code: 'ERR_REQUEST_TRUNCATED',
            error: `the daemon cut its request off at ${notification.line.length} bytes: leave 'digest' out of --management-external-key, or use TLS 1.3`,
          },
          'refused',
        );
        await reply(client, notification.of, undefined);
        return;
      case 'HOLD':
        log.debug({ tunnel }, 'the daemon is held');
        // the hold takes the place of the daemon's own pause between tries: released at once it would hammer the server
        await sleep(Math.min((notification.waitSeconds ?? 0) * 1000, LONGEST_HOLD), undefined, { signal });
        // after the pause, in which a token may go away
        await (await key()).signer.ready();
        if (relay?.takeHold(client) === false) return;
        await client.holdRelease();
        log.info({ tunnel }, 'hold released');
        return;
      case 'NEED-CERTIFICATE': {
        const { certificates } = await key();
        if (certificates.length === 0 && relay?.askForCertificate(client) === true) return;
        if (certificates.length === 0)
          log.error({ tunnel }, 'the daemon wants a certificate and there is none: give --cert');
        await client.certificate(certificates.map(certificatePem).join(''));
        return;
      }
      case 'PASSWORD':
        // only the questions: other texts may hold an Auth-Token
        if (notification.form === 'need' && relay === undefined)
          log.warn({ tunnel, name: notification.name }, 'the daemon asks for a password, which pksigd does not have');
        return;
      case 'FATAL':
        log.error({ tunnel, text: notification.text }, 'the daemon ended');
        return;
      default:
        log.debug({ tunnel, type: notification.type }, 'notification');
    }
  }
}

/** Gives up waiting at the signal; a connection that comes all the same is closed. */
async function abortable(connecting: Promise<ManagementClient>, signal: AbortSignal): Promise<ManagementClient> {
  const aborted = once(signal, 'abort').then(() => {
    throw new AgentError('ERR_ABORTED', 'stopped');
  });
  void connecting.then(
    (client) => {
      if (signal.aborted) void client.close();
    },
    () => undefined,
  );
  return await Promise.race([connecting, aborted]);
}

async function reply(client: ManagementClient, of: string, signature: Buffer | undefined): Promise<void> {
  if (of === 'RSA_SIGN') await client.rsaSig(signature ?? null);
  else await client.pkSig(signature ?? null);
}
