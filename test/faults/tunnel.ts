import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../support/bench.ts';
import type { Child } from '../support/child.ts';
import type { OpenVpnClient, OpenVpnServer } from '../support/openvpn.ts';

/** The server took the signature: the TLS handshake is through. */
const THROUGH = /Control Channel: TLSv1/;
/** That, or the daemon gave the handshake up. */
const OVER = /Control Channel: TLSv1|SIG(?:USR1|TERM)\[soft,/;
const ASKED_TO_RESTART = /SIGUSR1\[hard,/;
const SIGNALLED = /MANAGEMENT: CMD 'signal SIGUSR1'/;
/** Before the agent has told that it knows `pk-sig`, it is asked for `rsa-sig`. */
const ANSWERED = /MANAGEMENT: CMD '(?:pk|rsa)-sig'/;
const LISTENS = /link remote: \[AF_UNSPEC\]/;
/** Milliseconds that a daemon may take for a handshake: a module's deadline, and OpenVPN's own repeats. */
const PATIENCE = 15_000;
/** No pauses: what is tried here is not how long OpenVPN waits. */
const AT_ONCE = ['--connect-retry', '0', '0'];
/** A daemon that gives a handshake up ends, so that it does not begin another one while it is told to. */
const ENDS = '--tls-exit';

/** What became of a handshake. */
export type Answer =
  | 'signed'
  | 'empty block'
  /** Held, or never asked; or asked, and never answered. */
  | 'no answer';

export interface TunnelOptions {
  /** Where its daemon listens for management clients, or connects to. */
  readonly management: string;
  readonly hold?: boolean;
  readonly managementClient?: boolean;
  /** Its daemon goes on by itself when it has given a handshake up. */
  readonly goesOn?: boolean;
  readonly clientArgs?: readonly string[];
  readonly serverArgs?: readonly string[];
}

/** A real OpenVPN client, which the agent signs for, and its server. */
export class Tunnel {
  client: OpenVpnClient;
  readonly #bench: Bench;
  readonly #server: OpenVpnServer;
  readonly #options: TunnelOptions;

  private constructor(bench: Bench, server: OpenVpnServer, options: TunnelOptions) {
    this.#bench = bench;
    this.#server = server;
    this.#options = options;
    this.client = this.#start();
  }

  static async start(bench: Bench, options: TunnelOptions): Promise<Tunnel> {
    const server = await bench.server({ args: [...AT_ONCE, ...(options.serverArgs ?? [])] });
    return new Tunnel(bench, server, options);
  }

  #start(): OpenVpnClient {
    const { management, hold = false, managementClient = false, goesOn = false, clientArgs = [] } = this.#options;
    return this.#bench.client(this.#server, {
      management: { address: management, port: 'unix' },
      certificate: { file: 'p256' },
      ...{ hold, managementClient },
      args: [...AT_ONCE, ...(goesOn ? [] : [ENDS]), ...clientArgs],
    });
  }

  /** Another daemon in the place of one that has ended, with its first handshake. */
  async startAnew(patience: number = PATIENCE): Promise<Answer> {
    await this.#freshServer();
    this.client = this.#start();
    return await this.outcome(0, patience);
  }

  /** A server without --mode server keeps a handshake that was given up, hears no other, and is confused by many quick ones. */
  async #freshServer(): Promise<void> {
    await this.#signal(this.#server, LISTENS);
  }

  /** Sends SIGUSR1 until it is heard: one that comes while OpenVPN restarts by itself is lost. @returns where its log says so */
  async #signal(child: Child, sign: RegExp): Promise<number | undefined> {
    const from = child.lines.length;
    for (const end = Date.now() + PATIENCE; Date.now() < end && !child.ended; ) {
      child.kill('SIGUSR1');
      const at = await within(child, 500, from, sign);
      if (at !== undefined) return at;
    }
    return undefined;
  }

  /** The daemon connects anew, or is started anew if it has ended. @returns how that went */
  async ask(patience: number = PATIENCE): Promise<Answer> {
    return await this.outcome(await this.restart(), patience);
  }

  /** Asks until there is a signature, for so many milliseconds. */
  async askUntilSigned(milliseconds: number): Promise<boolean> {
    for (const end = Date.now() + milliseconds; ; ) {
      if ((await this.ask()) === 'signed') return true;
      if (Date.now() > end) return false;
      // the request is refused at once, time and again
      await sleep(100);
    }
  }

  /**
   * Has the daemon connect anew, with a management interface that may still ask for something.
   * @returns where that stands in its log, for {@link outcome}
   */
  async restart(): Promise<number> {
    await this.#freshServer();
    const at = await this.#signal(this.client, ASKED_TO_RESTART);
    if (at !== undefined) return at + 1;
    // it waited for a signature, which it gave up by the signal, and so ended
    await this.#freshServer();
    this.client = this.#start();
    return 0;
  }

  /** What became of the handshake that began at a place of the daemon's log. */
  async outcome(from: number, patience: number = PATIENCE): Promise<Answer> {
    const { client } = this;
    const found = await within(client, patience, from, OVER);
    if (found === undefined) return 'no answer';
    const lines = client.lines.slice(from, found + 1);
    if ((lines.at(-1) ?? '').includes('Control Channel: TLSv1')) return 'signed';
    if (this.#options.goesOn !== true) await client.exited;
    return lines.some((line) => ANSWERED.test(line)) ? 'empty block' : 'no answer';
  }

  /** The daemon gets SIGUSR1 by its management interface, and begins anew. @returns how that goes */
  async afterSignal(from: number): Promise<Answer> {
    const signalled = await within(this.client, PATIENCE, from, SIGNALLED);
    if (signalled === undefined) return 'no answer';
    await this.#freshServer();
    return (await within(this.client, PATIENCE, signalled, THROUGH)) === undefined ? 'no answer' : 'signed';
  }
}

/** The first line from a place on that fits, within so many milliseconds. */
async function within(child: Child, milliseconds: number, from: number, pattern: RegExp): Promise<number | undefined> {
  const over = new AbortController();
  const timer = setTimeout(() => {
    over.abort();
  }, milliseconds);
  let next = from;
  const seen = child.until(pattern.source, () => {
    // whoever waits no more is off the list at the next line
    if (over.signal.aborted) return 'too late';
    while (next < child.lines.length && !pattern.test(child.lines[next] ?? '')) next++;
    return next < child.lines.length ? next : undefined;
  });
  const late = new Promise<'too late'>((resolve) => {
    over.signal.addEventListener('abort', () => {
      resolve('too late');
    });
  });
  const found = await Promise.race([seen.catch(() => 'too late' as const), late]);
  clearTimeout(timer);
  return found === 'too late' ? undefined : found;
}
