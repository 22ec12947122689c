/**
 * Several management clients behind one connection: for an agent that takes the daemon's only seat and lets others in
 * behind it.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { type Clock, SYSTEM_CLOCK } from '../../clock.ts';
import { AgentError, errorText } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { ManagementClient } from '../client/client.ts';
import type { RelayRights } from '../commands/table.ts';
import { LINE_CUT_BEFORE_2_6 } from '../wire/line-decoder.ts';
import { hasEnvironment, notificationWord } from '../notifications/notification.ts';
import type { Notification } from '../notifications/types.ts';
import { formatManagementAddress, type ManagementAddress } from '../sockets/address.ts';
import { KEEP_ALIVE } from '../sockets/keep-alive.ts';
import { type Listening, listenAt } from '../sockets/listen.ts';
import { isLocal } from '../sockets/reach.ts';
import { PasswordGate } from './password-gate.ts';
import { Places } from './places.ts';
import { Questions } from './questions.ts';
import { RelayClient } from './relay-client.ts';
import { adjust, carryOut } from './relay-commands.ts';
import type { RelayContext } from './relay-exchange.ts';
import { includes, visible } from './rights.ts';
import type { Topic } from './subscriptions.ts';

/** How a relay is set up. */
export interface RelayOptions {
  readonly address: ManagementAddress;
  /** The password that clients are asked for, as by a daemon whose `--management` names a password file. It is not kept. Default: none. */
  readonly password?: Secret | undefined;
  /** What clients may do. Default `read`. */
  readonly rights?: RelayRights | undefined;
  /** Mode of a unix socket. Default 0o600. */
  readonly mode?: number | undefined;
  /** Group ID of a unix socket. */
  readonly group?: number | undefined;
  /** Clients stay when the daemon goes, and are greeted again when it is back. Default: their connections end. */
  readonly keep?: boolean | undefined;
  /** Bytes that may wait for a client that doesn't read, before it is dropped. Default 1 MiB. */
  readonly maxBuffered?: number | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Told of clients that come and go. */
  readonly onEvent?: ((event: RelayEvent) => void) | undefined;
}

export interface RelayEvent {
  readonly type: 'connected' | 'disconnected' | 'refused' | 'dropped';
  readonly client: string;
  readonly reason?: string;
}

const FULL = 'too many clients';
/** Milliseconds between two events which say that there is no place. */
const QUIET = 10_000;

const GREETING = '>INFO:OpenVPN Management Interface Version ';
const TOPIC_OF: Readonly<Record<string, Topic>> = { LOG: 'log', STATE: 'state', ECHO: 'echo' };

/**
 * Many management clients behind one: to each it is the daemon's management interface. Requests for signatures and
 * certificates, and the answers to them, stay with the program that made the connection to the daemon.
 */
export class Relay implements AsyncDisposable {
  readonly #options: RelayOptions;
  readonly #context: RelayContext;
  readonly #clock: Clock;
  readonly #gate: PasswordGate | undefined;
  readonly #places = new Places();
  /** Clients that wait for a daemon to greet them. */
  readonly #waiting = new Set<() => void>();
  #server: Listening | undefined;
  #greeting: string | undefined;
  #withheld: readonly string[] = [];
  #count = 0;
  /** When it was last told that there was no place. */
  #fullSince = Number.NEGATIVE_INFINITY;

  private constructor(options: RelayOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#gate = options.password && new PasswordGate(options.password, this.#clock);
    this.#context = {
      rights: options.rights ?? 'read',
      questions: new Questions(),
      clients: this.#places.clients,
      keep: options.keep ?? false,
      upstream: undefined,
      asked: new Set(),
      interval: 0,
      repeatTo: undefined,
    };
  }

  /**
   * Listens from now on. Clients that come before a daemon does wait for its greeting. A unix socket that nothing listens on
   * is replaced.
   *
   * @throws AgentError ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_LISTEN; ERR_USAGE for a TCP address
   *   that others reach, without a password
   */
  static async listen(options: RelayOptions): Promise<Relay> {
    const { address, mode = 0o600, group } = options;
    if (options.password === undefined && !isLocal(address))
      throw new AgentError('ERR_USAGE', `a relay on ${formatManagementAddress(address)} needs a password`, {
        hint: 'name a password file behind the port, or use a unix socket or a loopback address',
      });
    const relay = new Relay(options);
    // a client that ends its side (`echo status | nc`) still gets its replies
    const sockets = { allowHalfOpen: true, noDelay: true };
    const onClient = (socket: Socket): void => {
      relay.#accept(socket);
    };
    relay.#server = await listenAt(address, { mode, group }, sockets, onClient, "the relay's clients");
    return relay;
  }

  /** Where it listens: with the port that the system picked, if 0 was asked for. */
  get address(): ManagementAddress {
    const { address } = this.#options;
    return this.#server?.addressOf(address) ?? address;
  }

  /**
   * Relays this daemon from now on, instead of any other. What it has said so far, its greeting first, is passed on: so
   * nothing else may have listened to this connection before.
   *
   * @param onAnswered told when the daemon has its answer to what {@link Relay.isAsking} says
   * @throws AgentError ERR_USAGE if something has listened to it
   */
  attach(upstream: ManagementClient, onAnswered: () => void = () => undefined): void {
    if (upstream.isHeard)
      throw new AgentError('ERR_USAGE', 'a relay must be attached before anything listens to its connection');
    this.#detach();
    // it was asked for nothing yet, whatever clients wanted while none was there
    this.#context.asked.clear();
    this.#context.interval = 0;
    this.#context.questions.onOver = onAnswered;
    this.#context.upstream = upstream;
    upstream.on('*', (notification, _, bytes) => {
      if (this.#context.upstream === upstream) this.#pass(notification, bytes);
    });
    void upstream.closed.then(() => {
      if (this.#context.upstream === upstream) this.#detach();
    });
    // what clients that were kept asked for
    adjust(this.#context);
  }

  /**
   * The agent is about to release the hold itself. False if one of the clients was faster: a release too many
   * could count for the next hold.
   */
  takeHold(upstream: ManagementClient): boolean {
    return this.takeQuestion(upstream, 'HOLD');
  }

  /** Whether the daemon waits for a client's answer to a notification of this type. */
  isAsking(upstream: ManagementClient, type: Notification['type']): boolean {
    return this.#context.upstream === upstream && this.#context.questions.isOpen(type);
  }

  /** Whether a client is connected that has this right, and so may answer. */
  hasClient(right: RelayRights): boolean {
    if (!includes(this.#context.rights, right)) return false;
    return [...this.#places.clients].some(({ greeted }) => greeted);
  }

  /** The agent is about to answer the daemon's question itself. False if one of the clients was faster. */
  takeQuestion(upstream: ManagementClient, type: Notification['type']): boolean {
    return this.#context.upstream !== upstream || this.#context.questions.take(type);
  }

  /** The agent has no certificate: the daemon's question for one goes to the clients after all. False if there are none. */
  askForCertificate(upstream: ManagementClient): boolean {
    if (this.#context.upstream !== upstream || this.#withheld.length === 0) return false;
    this.#context.questions.ask('NEED-CERTIFICATE', this.#withheld);
    this.#broadcast(this.#withheld, true);
    this.#withheld = [];
    return true;
  }

  /** The agent is about to give the daemon its certificate. False if one of the clients was faster. */
  takeCertificate(upstream: ManagementClient): boolean {
    if (this.#context.upstream !== upstream) return true;
    const isWithheld = this.#withheld.length > 0;
    this.#withheld = [];
    return isWithheld || this.#context.questions.take('NEED-CERTIFICATE');
  }

  /** Lets nobody in any more; whoever is there stays until {@link close}. Its address is free at once. */
  stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Stops listening and ends all connections. */
  async close(): Promise<void> {
    this.stopListening();
    const { all } = this.#places;
    for (const client of all) client.close();
    await Promise.all(all.map((client) => client.closed));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #detach(): void {
    if (this.#context.upstream === undefined) return;
    this.#context.upstream = undefined;
    this.#context.repeatTo = undefined;
    this.#context.questions.forget();
    this.#greeting = undefined;
    this.#withheld = [];
    if (this.#options.keep === true) return;
    // those that were never greeted know nothing of this daemon: they wait for the next
    for (const client of this.#places.clients) if (client.greeted) client.close();
  }

  /** @param lines one character a byte: whatever they are, they are passed on unchanged */
  #pass(notification: Notification, lines: readonly string[]): void {
    const { type } = notification;
    if (type === 'STRAY') return;
    const { repeatTo, questions } = this.#context;
    if (repeatTo !== undefined && lines[0] === questions.lines[0]) {
      this.#context.repeatTo = undefined;
      repeatTo.notify(textOf(lines, true));
      return;
    }
    questions.note(notification, lines);
    if (type === 'PK_SIGN' || type === 'RSA_SIGN') return;
    if (type === 'TRUNCATED') {
      // not what began with a block: more lines would be taken for its rest
      const line = lines[0] ?? '';
      if (lines.length === 1 && !hasEnvironment(line) && !notification.of.endsWith('_SIGN'))
        // what the daemon cut has no line end, but what the end of its connection cut gets one: clients may be kept
        this.#broadcast(lines, line.length < LINE_CUT_BEFORE_2_6);
    } else if (type === 'NEED-CERTIFICATE') {
      this.#withheld = lines;
    } else if (this.#greeting === undefined && (lines[0] ?? '').startsWith(GREETING)) {
      this.#greet(lines[0] ?? '');
    } else {
      this.#broadcast(lines, true);
    }
  }

  #greet(line: string): void {
    this.#greeting = line;
    for (const client of this.#places.clients) if (client.greeted) this.#welcome(client);
    for (const wake of [...this.#waiting]) wake();
  }

  #welcome(client: RelayClient): void {
    client.greeted = true;
    client.notify(textOf([this.#greeting ?? '', ...this.#context.questions.lines], true));
  }

  #broadcast(lines: readonly string[], ended: boolean): void {
    const seen = visible(lines, this.#context.rights);
    if (seen.length === 0) return;
    const text = textOf(seen, ended);
    const word = notificationWord(seen[0] ?? '');
    const topic = TOPIC_OF[word];
    const counted = word === 'BYTECOUNT' ? '' : /^>BYTECOUNT_CLI:(\d+),/.exec(seen[0] ?? '')?.[1];
    const now = this.#clock.now();
    for (const client of this.#places.clients) {
      if (!client.greeted) continue;
      if (topic !== undefined && !client.subscriptions.active.has(topic)) continue;
      if (counted !== undefined && !client.subscriptions.takesByteCount(counted, now, this.#context.interval)) continue;
      client.notify(text);
    }
  }

  #accept(socket: Socket): void {
    this.#count += 1;
    socket.setKeepAlive(true, KEEP_ALIVE);
    const client = new RelayClient(socket, {
      name: `#${this.#count}`,
      gate: this.#gate,
      clock: this.#clock,
      maxBuffered: this.#options.maxBuffered ?? 1024 * 1024,
      onDropped: ({ name }, reason) => this.#options.onEvent?.({ type: 'dropped', client: name, reason }),
    });
    const isStranger = this.#gate !== undefined;
    if (!isStranger) {
      if (this.#admit(client)) void this.#serve(client);
      return;
    }
    const out = this.#places.takeStranger(client);
    if (out !== undefined) this.#turnAway(out, 'too many others have not given the password');
    if (out !== client) void this.#serve(client);
  }

  /** Gives it a place; false if there is none. */
  #admit(client: RelayClient): boolean {
    const out = this.#places.admit(client);
    if (out === client) this.#turnAway(client, FULL);
    else out?.destroy();
    return out !== client;
  }

  /** Ends the connection of a client for which there is no place. */
  #turnAway(client: RelayClient, reason: string): void {
    client.destroy();
    // a flood of connections is not to become a flood of events
    const now = this.#clock.now();
    if (now - this.#fullSince < QUIET) return;
    this.#fullSince = now;
    this.#options.onEvent?.({ type: 'refused', client: client.name, reason });
  }

  /** One client's life; never throws. */
  async #serve(client: RelayClient): Promise<void> {
    const { onEvent } = this.#options;
    try {
      if (!(await client.authenticate())) {
        if (!client.wasDiscarded)
          onEvent?.({ type: 'refused', client: client.name, reason: 'no password, or a wrong one' });
      } else if (this.#gate === undefined || this.#admit(client)) {
        onEvent?.({ type: 'connected', client: client.name });
        await this.#daemon(client);
        if (!client.gone && this.#greeting !== undefined) this.#welcome(client);
        await carryOut(client, this.#context);
        onEvent?.({ type: 'disconnected', client: client.name });
      }
    } catch (error) {
      client.destroy();
      onEvent?.({ type: 'dropped', client: client.name, reason: errorText(error) });
    } finally {
      this.#places.leave(client);
      client.close();
      adjust(this.#context);
    }
  }

  /** Settles when a daemon is there, or the client is gone: one that wants nothing and says nothing more is gone, too. */
  async #daemon(client: RelayClient): Promise<void> {
    while (this.#greeting === undefined && !client.hasLeft) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
        void client.left().then(wake);
      });
    }
  }
}

function textOf(lines: readonly string[], ended: boolean): string {
  return ended ? `${lines.join('\r\n')}\r\n` : lines.join('\r\n');
}
