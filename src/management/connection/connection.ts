import type { Socket } from 'node:net';
import { AgentError } from '../../errors.ts';
import { type CommandOptions, CommandQueue, type OutgoingCommand } from './command-queue.ts';
import { checkBody, checkLine, MAX_PIPELINED_LINE, parseLine } from '../wire/words.ts';
import { type DecodedLine, LINE_CUT, LINE_CUT_BEFORE_2_6, LineDecoder } from '../wire/line-decoder.ts';
import { DEFAULT_MAX_HELD } from '../wire/held-bytes.ts';
import { notificationWord } from '../notifications/notification.ts';
import { type AssembledNotification, NotificationAssembler } from '../notifications/assembler.ts';
import { NotificationHub, type NotificationListener } from './notification-hub.ts';
import type { Notification, NotificationOf, NotificationType } from '../notifications/types.ts';
import type { CloseReason, DaemonVersion, ManagementOptions } from './options.ts';
import type { Reply } from '../commands/reply.ts';
import { commandOf, type ReplyShape, replyShape } from '../commands/table.ts';

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: AgentError) => void;
}

/** Bytes that may wait for a daemon which does not read, before anything more is written. */
const MAX_UNREAD = 1024 * 1024;
/** Replies that may be due at once: beyond it the daemon answers nothing any more. */
const MAX_DUE = 1024;

const GREETING = /^>INFO:OpenVPN Management Interface Version ([0-9]+)/;

/** One connection to a daemon: everything about it but the commands' own methods. */
export class ManagementConnection implements AsyncIterable<Notification>, AsyncDisposable {
  /** The daemon's address, for logs. */
  readonly peer: string;
  /** Settles when the connection has ended; never rejects. */
  readonly closed: Promise<CloseReason>;
  readonly #socket: Socket;
  readonly #options: ManagementOptions;
  readonly #decoder: LineDecoder;
  readonly #assembler = new NotificationAssembler();
  readonly #hub: NotificationHub;
  readonly #commands: CommandQueue;
  readonly #greeted: Deferred;
  #daemon: DaemonVersion | undefined;
  #passwordSent = false;
  #announcedVersion: number | undefined;
  #reason: CloseReason | undefined;

  /** @internal `socket` is connected; nothing was read from it yet. */
  constructor(socket: Socket, peer: string, options: ManagementOptions) {
    this.peer = peer;
    this.#socket = socket;
    this.#options = options;
    this.#decoder = new LineDecoder(options.encoding === undefined ? {} : { encoding: options.encoding });
    const changed = (): void => {
      this.#regulate();
    };
    this.#hub = new NotificationHub(changed);
    this.#commands = new CommandQueue(
      (bytes, written) => {
        this.#write(bytes, written);
      },
      changed,
      options.commandTimeout ?? 60_000,
      options.maxHeld,
    );
    this.#greeted = deferred();
    // whoever doesn't wait for the greeting learns of its failure through `closed`
    this.#greeted.promise.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
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
    // as early as can be: without a hold, a daemon asks for its first signature some milliseconds after it started
    if (options.password === undefined) this.#announce();
  }

  /** What the daemon says of itself; the rest of it once `version` was answered. */
  get daemonVersion(): DaemonVersion {
    return this.#daemon ?? { management: 0, title: undefined, release: undefined };
  }

  /** The client version that was announced last, undefined if none was. */
  get announcedVersion(): number | undefined {
    return this.#announcedVersion;
  }

  /**
   * Calls `listener` with each notification of a type (`*`: of any) and the lines that it came in. What came before
   * anybody listened is kept for the first who does, and for all others who start in the same tick.
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

  [Symbol.asyncIterator](): AsyncIterator<Notification> {
    return this.notifications();
  }

  /**
   * The next notification of a type that comes from now on.
   *
   * @throws AgentError ERR_ABORTED, ERR_MANAGEMENT_TIMEOUT (only if a timeout is given), ERR_MANAGEMENT_CLOSED
   */
  next<T extends NotificationType>(type: T, options: CommandOptions = {}): Promise<NotificationOf<T>> {
    return new Promise((resolve, reject) => {
      const { signal, timeout = 0 } = options;
      const done = (): void => {
        stop();
        forget();
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const fail = (error: AgentError): void => {
        done();
        reject(error);
      };
      const onAbort = (): void => {
        fail(new AgentError('ERR_ABORTED', `waiting for ${type} was given up`, { cause: signal?.reason }));
      };
      const timer =
        timeout > 0
          ? setTimeout(() => {
              fail(new AgentError('ERR_MANAGEMENT_TIMEOUT', `no ${type} came from OpenVPN within ${timeout} ms`));
            }, timeout)
          : undefined;
      const stop = this.on(type, (notification) => {
        done();
        resolve(notification);
      });
      const forget = this.#hub.atEnd(() => {
        // the hub may have ended long ago: then `stop` and `forget` are not there yet
        queueMicrotask(() => {
          fail(this.#closedError(this.#reason?.error));
        });
      });
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /**
   * Sends a command's line, and a block behind it if there is one, and returns the reply whether it is an error or not.
   * How many lines the reply has is known from {@link replyShape}; for commands that it doesn't know give `shape`.
   *
   * @throws AgentError ERR_MANAGEMENT_ARGUMENT if that can't be sent; ERR_MANAGEMENT_CLOSED, ERR_MANAGEMENT_TIMEOUT, ERR_ABORTED
   */
  async exchange(
    line: string,
    options: CommandOptions & { readonly body?: readonly string[]; readonly shape?: ReplyShape } = {},
  ): Promise<Reply> {
    const { body } = options;
    const { encoding = 'utf8' } = this.#options;
    if (body !== undefined) checkBody(body, encoding);
    checkLine(line, body === undefined ? undefined : MAX_PIPELINED_LINE, encoding);
    const [name = line, argument] = parseLine(line, encoding) ?? [];
    if (name === 'version' && argument !== undefined) this.#announcedVersion = Number.parseInt(argument, 10);
    const claims = ANSWERS.get(name);
    const text = body === undefined ? `${line}\n` : [line, ...body, 'END', ''].join('\n');
    return this.submit(
      {
        name,
        bytes: Buffer.from(text, encoding),
        shape: options.shape ?? replyShape(line, this.daemonVersion.management),
        says: commandOf(line)?.says ?? /^/,
        urgent: claims === undefined ? undefined : { claims },
        body,
      },
      options,
    );
  }

  /** Closes the connection; what was written still goes out. Commands that wait fail with ERR_MANAGEMENT_CLOSED. */
  async close(): Promise<void> {
    this.#finish({ by: 'client', error: undefined });
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Settles when the daemon has greeted us, rejects if it never will. */
  greeted(): Promise<void> {
    return this.#greeted.promise;
  }

  /** @internal Ends the connection, as it can't be used any longer. */
  fail(error: AgentError): void {
    this.#finish({ by: 'error', error });
  }

  protected async submit(command: OutgoingCommand, options: CommandOptions): Promise<Reply> {
    const reply = await this.#commands.submit(command, options);
    if (reply.lines[0]?.startsWith('OpenVPN Version: ') === true) this.#learnVersion(reply.lines);
    return reply;
  }

  #read(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk, (line) => {
        if (this.#reason?.by !== 'error') this.#take(line);
      });
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.fail(error);
    }
    this.#regulate();
  }

  #take(line: DecodedLine): void {
    if (line.kind === 'prompt') {
      this.#answerPrompt();
    } else if (line.text.startsWith('>')) {
      if (this.#daemon === undefined) this.#greet(line.text);
      const word = notificationWord(line.text);
      if (this.#commands.replies.takeNotification(word, line.text)) return;
      this.#assembler.push(line.text, line.kind === 'truncated', this.#deliver);
    } else if (this.#daemon === undefined) {
      this.#takeBeforeGreeting(line.text);
    } else if (!this.#commands.replies.take(line.text)) {
      this.#deliver({ notification: { type: 'STRAY', line: line.text }, lines: [line.text] });
    }
  }

  readonly #deliver = (assembled: AssembledNotification): void => {
    this.#hub.push(assembled);
  };

  #greet(line: string): void {
    const version = GREETING.exec(line)?.[1];
    if (version === undefined) return;
    const management = Number(version);
    this.#daemon = { management, title: undefined, release: undefined };
    this.#decoder.cutAt = management <= 3 ? LINE_CUT_BEFORE_2_6 : LINE_CUT;
    this.#announce();
    const { clientVersion } = this.#options;
    const shape = replyShape(`version ${clientVersion ?? ''}`, management);
    if (clientVersion !== undefined && shape.parts.length > 0) {
      this.#commands.replies.push({
        shape,
        says: /^Management client version set to /,
        done: (reply) => {
          this.#learnVersion(reply.lines);
        },
      });
    }
    this.#greeted.resolve();
  }

  #takeBeforeGreeting(text: string): void {
    if (text === '' || text === 'SUCCESS: password is correct') return;
    if (text.startsWith('ERROR: bad password')) {
      this.fail(this.#passwordRefused());
      return;
    }
    const seen = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
    const error = new AgentError(
      'ERR_MANAGEMENT_PROTOCOL',
      `${this.peer} doesn't speak OpenVPN's management protocol`,
      {
        hint: `it said ${seen}`,
      },
    );
    this.fail(error);
  }

  #answerPrompt(): void {
    const { password } = this.#options;
    if (password === undefined) {
      this.fail(
        new AgentError('ERR_MANAGEMENT_PASSWORD', `the management interface ${this.peer} asks for a password`, {
          hint: 'none is configured: name the password file behind the address and port',
        }),
      );
    } else if (this.#passwordSent) {
      // a wrong password gets no other answer than the prompt again (man_check_password in manage.c)
      this.fail(this.#passwordRefused());
    } else {
      this.#passwordSent = true;
      const bytes = Buffer.concat([password.bytes, Buffer.from('\n')]);
      this.#write(bytes, () => {
        bytes.fill(0);
      });
      this.#announce();
    }
  }

  #passwordRefused(): AgentError {
    return new AgentError('ERR_MANAGEMENT_PASSWORD', `the management interface ${this.peer} refused the password`, {
      hint: 'OpenVPN reads the first line of the password file that its --management names',
    });
  }

  #announce(): void {
    const { clientVersion } = this.#options;
    if (clientVersion === undefined || this.#announcedVersion !== undefined) return;
    this.#announcedVersion = clientVersion;
    this.#write(Buffer.from(`version ${clientVersion}\n`));
  }

  #learnVersion(lines: readonly string[]): void {
    const title = /^OpenVPN Version: (.*)$/.exec(lines[0] ?? '')?.[1];
    if (this.#daemon === undefined || title === undefined) return;
    this.#daemon = { ...this.#daemon, title, release: /^OpenVPN ([0-9]\S*)/.exec(title)?.[1] };
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
    } else if (lags && this.#commands.size === 0 && this.#daemon !== undefined) {
      this.#socket.pause();
    } else if (this.#socket.isPaused()) {
      this.#socket.resume();
    }
  }

  /** Whoever asks on and on, and neither reads nor answers, is not served on. */
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
    if (this.#socket.destroyed) return;
    // what was written still goes out, even if the daemon keeps its own side open
    if (reason.by === 'client') this.#socket.destroySoon();
    else this.#socket.destroy();
  }

  #ended(): void {
    const rest = this.#decoder.end();
    // a line that never ended is no line: shown as it is rather than as what it might have become
    if (rest !== undefined && this.#daemon !== undefined) {
      if (rest.startsWith('>')) this.#assembler.push(rest, true, this.#deliver);
      else this.#deliver({ notification: { type: 'STRAY', line: rest }, lines: [rest] });
    }
    this.#assembler.end(this.#deliver);
    const error = this.#closedError(this.#reason?.error);
    this.#greeted.reject(error);
    this.#commands.close(error);
    this.#hub.end(this.#reason?.by === 'error' ? error : undefined);
  }

  #closedError(error: AgentError | undefined): AgentError {
    return error ?? new AgentError('ERR_MANAGEMENT_CLOSED', `the management connection to ${this.peer} is closed`);
  }
}

/** Commands that answer the daemon's own requests: the lines that are their replies, wherever they come. */
const ANSWERS: ReadonlyMap<string, RegExp> = new Map([
  [
    'pk-sig',
    /^(?:SUCCESS|ERROR): (?:pk-sign|rsa-sign|rsa-sig|pk-sig) command |^ERROR: The (?:pk-sig|rsa-sig) command is not /,
  ],
  [
    'rsa-sig',
    /^(?:SUCCESS|ERROR): (?:pk-sign|rsa-sign|rsa-sig|pk-sig) command |^ERROR: The (?:pk-sig|rsa-sig) command is not /,
  ],
  ['certificate', /^(?:SUCCESS|ERROR): certificate command |^ERROR: The certificate command is not /],
]);

function deferred(): Deferred {
  let resolve: Deferred['resolve'] = () => undefined;
  let reject: Deferred['reject'] = () => undefined;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
