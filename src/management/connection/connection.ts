/**
 * One connection to a daemon: its handshake, its commands in order, its notifications. For the client, which adds a method
 * for each command.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { AgentError } from '../../errors.ts';
import type { Reply } from '../commands/reply.ts';
import { COMMANDS, shapeOf } from '../commands/table.ts';
import { type AssembledNotification, NotificationAssembler } from '../notifications/assembler.ts';
import { notificationWord } from '../notifications/notification.ts';
import type { Notification, NotificationOf, NotificationType } from '../notifications/types.ts';
import { atoi } from '../wire/fields.ts';
import { DEFAULT_MAX_HELD } from '../wire/held-bytes.ts';
import { type DecodedLine, LINE_CUT, LINE_CUT_BEFORE_2_6, LineDecoder } from '../wire/line-decoder.ts';
import { checkBody, checkLine, MAX_LINE, MAX_PIPELINED_LINE, parseLine } from '../wire/words.ts';
import { daemonUserOf } from '../sockets/daemon-owner.ts';
import { endWithin } from '../sockets/end-within.ts';
import { type CommandOptions, CommandQueue, type ExchangeOptions, type OutgoingCommand } from './command-queue.ts';
import { Handshake } from './handshake.ts';
import { NotificationHub, type NotificationListener } from './notification-hub.ts';
import type { NotificationTaker, TakeNotification } from './notification-readers.ts';
import type { CloseReason, DaemonVersion, ManagementOptions } from './options.ts';

/** Bytes that may wait for a daemon which does not read, before anything more is written. */
const MAX_UNREAD = 1024 * 1024;
/** Milliseconds that a daemon has for reading what was written before we close. */
const WRITTEN_WITHIN = 2_000;
/** Bytes until the greeting: a daemon that speaks the protocol says two lines until then. */
const MAX_BEFORE_GREETING = 65_536;
/** Replies that may be due at once: beyond it the daemon answers nothing any more. */
const MAX_DUE = 1024;

/** One connection to a daemon: everything about it but the commands' own methods. */
export class ManagementConnection implements AsyncIterable<Notification>, AsyncDisposable {
  /** The daemon's address, for logs. */
  readonly peer: string;
  /** Settles when the connection has ended; never rejects. */
  readonly closed: Promise<CloseReason>;
  readonly #socket: Socket;
  readonly #options: ManagementOptions;
  readonly #decoder = new LineDecoder();
  readonly #assembler = new NotificationAssembler();
  readonly #hub: NotificationHub;
  readonly #commands: CommandQueue;
  readonly #handshake: Handshake;
  #reason: CloseReason | undefined;

  /** Whose the daemon's end is, where `owner` was given and the kernel told: a user ID. */
  get daemonUser(): number | undefined {
    return daemonUserOf(this.#socket);
  }

  /** @internal `socket` is connected; nothing was read from it yet. */
  constructor(socket: Socket, peer: string, options: ManagementOptions) {
    this.peer = peer;
    this.#socket = socket;
    this.#options = options;
    const changed = (): void => {
      this.#regulate();
    };
    const write = (bytes: Buffer, written?: () => void): void => {
      this.#write(bytes, written);
    };
    this.#hub = new NotificationHub(changed);
    this.#commands = new CommandQueue(write, changed, options.commandTimeout ?? 60_000, options.maxHeld);
    this.#handshake = new Handshake(peer, options, this.#commands, this);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#ended();
        resolve(this.#reason ?? { by: 'daemon', error: undefined });
      });
    });
    socket.on('error', (error) => {
      const text = `the management connection to ${peer} broke`;
      this.#reason ??= { by: 'daemon', error: new AgentError('ERR_MANAGEMENT_CLOSED', text, { cause: error }) };
    });
    socket.on('data', (chunk) => {
      this.#read(chunk);
    });
    this.#handshake.begin();
  }

  /** What the daemon says of itself; the rest of it once `version` was answered. */
  get daemonVersion(): DaemonVersion {
    return this.#handshake.daemon ?? { management: 0, title: undefined, release: undefined };
  }

  /** The client version that was announced last, undefined if none was. */
  get announcedVersion(): number | undefined {
    return this.#handshake.announced;
  }

  /**
   * Calls `listener` with each notification of a type (`*`: of any) and the lines that it came in. What came before the
   * first listener is kept for it, and for all others who start to listen in the same tick.
   *
   * @returns how to stop listening
   */
  on<T extends NotificationType>(type: T | '*', listener: NotificationListener<NotificationOf<T>>): () => void {
    return this.#hub.on(type, listener);
  }

  /**
   * All notifications from now on, in order. They wait for the reader: beyond `highWaterMark` the daemon is held back,
   * unless a reply is awaited, which may stand behind them. Ends when the connection does; throws its error.
   */
  notifications(): AsyncIterableIterator<Notification> {
    return this.#hub.stream();
  }

  /**
   * Has each notification from now on taken, one after the other: as {@link notifications}, but with nothing that waits
   * while there is none.
   *
   * @internal
   */
  takeEach(take: TakeNotification): NotificationTaker {
    return this.#hub.takeEach(take);
  }

  [Symbol.asyncIterator](): AsyncIterator<Notification> {
    return this.notifications();
  }

  /**
   * The next notification of a type that comes from now on.
   *
   * @throws AgentError ERR_ABORTED, ERR_MANAGEMENT_TIMEOUT (only if a timeout is given), ERR_MANAGEMENT_CLOSED
   */
  next<T extends NotificationType>(type: T, options: CommandOptions = {}): Promise<NotificationOf<T>> {
    return this.#hub.next(type, options, () => this.#closedError());
  }

  /**
   * Sends a command's line, and a block behind it if there is one, and returns the reply whether it is an error or not.
   * How many lines the reply has is known from {@link replyShape}; for commands that it doesn't know give `shape`.
   *
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT if that can't be sent; ERR_MANAGEMENT_CLOSED, ERR_MANAGEMENT_TIMEOUT, ERR_ABORTED
   */
  async exchange(line: string, options: ExchangeOptions = {}): Promise<Reply> {
    const { body, encoding } = options;
    if (body !== undefined) checkBody(body, encoding);
    checkLine(line, body === undefined ? MAX_LINE : MAX_PIPELINED_LINE, encoding);
    const words = parseLine(line, encoding);
    const [name = line, argument] = words ?? [];
    const entry = COMMANDS[name];
    if (name === 'version' && argument !== undefined) this.#handshake.announceAs(atoi(argument));
    const text = body === undefined ? `${line}\n` : [line, ...body, 'END', ''].join('\n');
    const command: OutgoingCommand = {
      name,
      bytes: Buffer.from(text, encoding),
      shape: options.shape ?? shapeOf(words, this.daemonVersion.management),
      says: entry?.says ?? /^/,
      claims: entry?.claims,
      // as the daemon's own lines are read
      body: body?.map((each) => Buffer.from(each, encoding).toString('utf8')),
    };
    return this.submit(command, options);
  }

  /** Closes the connection; what was written still goes out, if it is read within two seconds. Commands that wait fail with ERR_MANAGEMENT_CLOSED. */
  async close(): Promise<void> {
    this.#finish({ by: 'client', error: undefined });
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Settles when the daemon has greeted us, rejects if it never will. */
  greeted(): Promise<void> {
    return this.#handshake.greeted();
  }

  /** @internal Ends the connection, as it can't be used any longer. */
  fail(error: AgentError): void {
    this.#finish({ by: 'error', error });
  }

  /** @internal Whether notifications were handed out already: what listens from now on gets later ones only. */
  get isHeard(): boolean {
    return this.#hub.isHeard;
  }

  /** @internal Sends a command whose bytes were made by hand, as {@link exchange} does. */
  async submit(command: OutgoingCommand, options: CommandOptions = {}): Promise<Reply> {
    const reply = await this.#commands.submit(command, options);
    this.#handshake.takeReply(reply);
    return reply;
  }

  #read(chunk: Buffer): void {
    if (this.#handshake.daemon === undefined && this.#socket.bytesRead > MAX_BEFORE_GREETING) {
      const text = `${this.peer} sent ${MAX_BEFORE_GREETING} bytes and did not greet us`;
      this.fail(new AgentError('ERR_MANAGEMENT_PROTOCOL', text));
    }
    try {
      this.#decoder.push(chunk, (line, bytes) => {
        if (this.#reason?.by !== 'error') this.#take(line, bytes);
      });
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.fail(error);
    }
    this.#regulate();
  }

  #take(line: DecodedLine, bytes: string): void {
    if (line.kind === 'prompt') {
      this.#handshake.answerPrompt();
    } else if (line.text.startsWith('>') && !this.#commands.replies.holds(line.text)) {
      if (this.#handshake.daemon === undefined) this.#greet(line.text);
      const word = notificationWord(line.text);
      if (this.#commands.replies.takeNotification(word, line.text, bytes)) return;
      this.#deliver(line.text, line.kind === 'truncated', bytes);
    } else if (this.#handshake.daemon === undefined) {
      this.#handshake.takeLine(line.text);
    } else if (!this.#commands.replies.take(line.text, bytes)) {
      this.#deliverStray(line.text, bytes);
    }
  }

  #deliver(line: string, isCut: boolean, bytes: string): void {
    const sink = (assembled: AssembledNotification): void => {
      this.#hub.push(assembled);
    };
    this.#assembler.push(line, isCut, sink, bytes);
  }

  #deliverStray(line: string, bytes: string): void {
    this.#hub.push({ notification: { type: 'STRAY', line }, lines: [line], bytes: [bytes] });
  }

  #greet(line: string): void {
    this.#handshake.takeNotification(line);
    const { daemon } = this.#handshake;
    if (daemon === undefined) return;
    this.#decoder.cutAt = daemon.management <= 3 ? LINE_CUT_BEFORE_2_6 : LINE_CUT;
    this.#decoder.hasPrompts = false;
  }

  /** Holds the daemon back while readers lag, but never while a reply is awaited: it may stand behind what waits. */
  #regulate(): void {
    if (this.#socket.destroyed) return;
    const { highWaterMark = 1024, maxQueued = 1_048_576, maxHeld = DEFAULT_MAX_HELD } = this.#options;
    const { queued, held } = this.#hub;
    const lags = queued > highWaterMark || held > maxHeld / 8;
    if (queued > maxQueued || held > maxHeld) {
      const text = `${queued} notifications of ${this.peer} wait for their reader: too much to hold`;
      this.fail(new AgentError('ERR_MANAGEMENT_LIMIT', text));
    } else if (lags && this.#commands.size === 0 && this.#handshake.daemon !== undefined) {
      this.#socket.pause();
    } else if (this.#socket.isPaused()) {
      this.#socket.resume();
    }
  }

  /** A daemon that asks on and on, and neither reads nor answers, is not served any longer. */
  #write(bytes: Buffer, written?: () => void): void {
    if (this.#socket.writableLength <= MAX_UNREAD && this.#commands.replies.due <= MAX_DUE) {
      this.#socket.write(bytes, written);
      return;
    }
    written?.();
    this.fail(new AgentError('ERR_MANAGEMENT_LIMIT', `${this.peer} does not take or answer what it is sent`));
  }

  #finish(reason: CloseReason): void {
    this.#reason ??= reason;
    // a daemon that reads nothing any more must not keep the connection for ever
    if (reason.by === 'client') endWithin(this.#socket, WRITTEN_WITHIN);
    else this.#socket.destroy();
  }

  #ended(): void {
    this.#decoder.end((line, bytes) => {
      if (this.#handshake.daemon === undefined || line.kind === 'prompt') return;
      // a line that never ended is passed on as TRUNCATED or STRAY, not as what it might have become
      if (line.text.startsWith('>')) this.#deliver(line.text, true, bytes);
      else this.#deliverStray(line.text, bytes);
    });
    this.#assembler.end((assembled) => {
      this.#hub.push(assembled);
    });
    const error = this.#closedError();
    this.#handshake.end(error);
    this.#commands.close(error);
    this.#hub.end(this.#reason?.by === 'error' ? error : undefined);
  }

  #closedError(): AgentError {
    const text = `the management connection to ${this.peer} is closed`;
    return this.#reason?.error ?? new AgentError('ERR_MANAGEMENT_CLOSED', text);
  }
}
