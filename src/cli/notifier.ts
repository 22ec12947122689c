import { spawn } from 'node:child_process';
import { type Clock, pause } from '../clock.ts';
import { errorText } from '../errors.ts';
import type { ServiceVariables } from './service-variables.ts';

/** Milliseconds that pass between two texts of the status, at least: many daemons may come at once. */
const STATUS_PAUSE = 1_000;

/** Milliseconds that the last messages get at the end, if nobody reads them: systemd-notify itself gives up after as many. */
export const LAST_MESSAGES = 5_000;

/** Gives a message, `NAME=value` each, to the service manager. */
export type Send = (message: readonly string[]) => Promise<void>;

/**
 * Node has no unix datagrams, systemd's own command has. It waits until systemd has read the message, and so must be let
 * finish; it belongs to our control group, not to our process: `NotifyAccess=all`.
 */
function systemdNotify(notifySocket: string, environment: Readonly<NodeJS.ProcessEnv>): Send {
  const { PATH } = environment;
  const env = { NOTIFY_SOCKET: notifySocket, ...(PATH !== undefined && { PATH }) };
  return async (message) => {
    await new Promise<void>((resolve, reject) => {
      const child = spawn('systemd-notify', ['--', ...message], { stdio: 'ignore', env });
      child.on('error', reject);
      child.on('exit', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`systemd-notify ended with ${code ?? 'a signal'}`));
      });
    });
  };
}

export interface NotifierOptions {
  readonly send: Send;
  readonly clock: Clock;
  /** A line for people: how we are now. */
  readonly status: () => string;
  /** Told once that the service manager can't be told anything. */
  readonly warn: (text: string) => void;
}

/** Tells the service manager how we are: sd_notify(3). Messages go one after the other, and none is waited for. */
export class Notifier {
  readonly #options: NotifierOptions;
  #sending: Promise<void> = Promise.resolve();
  /** The text that was told last. */
  #status: string | undefined;
  #isStatusDue = false;
  /** Messages that are on their way, or wait for that. */
  #unsent = 0;
  #isPinging = false;
  #isReady = false;
  #isReloading = false;
  #isStopping = false;
  #hasWarned = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Tunnels are served. */
  ready(): void {
    if (this.#isReady || this.#isStopping) return;
    this.#isReady = true;
    this.#tell('READY=1', ...this.#newStatus());
  }

  /** Settings are read anew, from now until {@link reloaded}. At the start there is nothing to reload yet. */
  reloading(): void {
    if (!this.#isReady || this.#isStopping) return;
    this.#isReady = false;
    this.#isReloading = true;
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  reloaded(): void {
    if (this.#isReloading) this.ready();
    this.#isReloading = false;
  }

  /** No more than this is told. @param status why, if it is not that we were told to */
  stopping(status?: string): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#tell('STOPPING=1', ...(status === undefined ? [] : [statusOf(status)]));
  }

  /** Something has happened: the status is told a moment later, if it is another then. */
  changed(): void {
    if (this.#isStopping || this.#isStatusDue) return;
    this.#isStatusDue = true;
    this.#options.clock.after(STATUS_PAUSE, () => {
      // of a manager that reads slowly only the last one waits
      if (this.#unsent === 0) this.#tellStatus();
      else
        void this.told().then(() => {
          this.#tellStatus();
        });
    });
  }

  #tellStatus(): void {
    this.#isStatusDue = false;
    const status = this.#isStopping ? [] : this.#newStatus();
    if (status.length > 0) this.#tell(...status);
  }

  /** Says in half of the time that it has that the event loop goes on. */
  watch(watchdogUsec: number): void {
    const { clock } = this.#options;
    const ping = (): void => {
      clock.after(watchdogUsec / 2_000, ping);
      // one that is still on its way says it too
      if (this.#isPinging) return;
      this.#isPinging = true;
      this.#tell('WATCHDOG=1');
      void this.told().then(() => (this.#isPinging = false));
    };
    ping();
  }

  /** When all is told. @param most milliseconds to wait for that; default: for ever */
  async told(most?: number): Promise<void> {
    if (most === undefined) {
      await this.#sending;
      return;
    }
    const late = new AbortController();
    await Promise.race([this.#sending, pause(this.#options.clock, most, late.signal)]);
    late.abort();
  }

  #newStatus(): string[] {
    const status = this.#options.status();
    if (status === this.#status) return [];
    this.#status = status;
    return [statusOf(status)];
  }

  #tell(...message: string[]): void {
    const { send, warn } = this.#options;
    this.#unsent += 1;
    this.#sending = this.#sending
      .then(() => send(message))
      .catch((error: unknown) => {
        if (!this.#hasWarned) warn(`the service manager can't be told how pksigd is: ${errorText(error)}`);
        this.#hasWarned = true;
      })
      .finally(() => {
        this.#unsent -= 1;
      });
  }
}

function statusOf(text: string): string {
  return `STATUS=${text.replaceAll('\n', ' ')}`;
}

/** What tells the service manager, if there is one; else undefined. */
export function notifierOf(
  { notifySocket, watchdogUsec }: ServiceVariables,
  options: Omit<NotifierOptions, 'send'> & { readonly environment: Readonly<NodeJS.ProcessEnv> },
): Notifier | undefined {
  if (notifySocket === undefined) return undefined;
  const notifier = new Notifier({ ...options, send: systemdNotify(notifySocket, options.environment) });
  if (watchdogUsec !== undefined) notifier.watch(watchdogUsec);
  return notifier;
}
