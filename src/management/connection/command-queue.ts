import { AgentError } from '../../errors.ts';
import { SYSTEM_CLOCK } from '../../clock.ts';
import { withResolvers } from '../../promises.ts';
import type { Reply } from '../commands/reply.ts';
import type { ReplyShape } from '../commands/shape.ts';
import { type Encoding, MAX_PIPELINED_LINE } from '../wire/words.ts';
import { type AwaitedReply, ReplyMatcher } from './reply-matcher.ts';

/** How long to wait for a reply, and when to stop waiting. */
export interface CommandOptions {
  /** Stops waiting: ERR_ABORTED. A command that was sent already is carried out all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait for the reply: then ERR_MANAGEMENT_TIMEOUT. 0 waits for ever. Default: the client's. */
  readonly timeout?: number | undefined;
  /**
   * Gets the reply at once, before what the daemon sent behind it is read: for those who pass both on, in order. `bytes` is
   * its lines as they came, one character a byte (latin1).
   */
  readonly onReply?: ((reply: Reply, bytes: readonly string[]) => void) | undefined;
}

/** A command's block and options. */
export interface ExchangeOptions extends CommandOptions {
  /** The lines of a block behind it, without END. */
  readonly body?: readonly string[];
  /** For commands that the table doesn't know. */
  readonly shape?: ReplyShape;
  /** How line and block become bytes: `latin1` for those who pass on what others wrote. Default `utf8`. */
  readonly encoding?: Encoding;
}

/** A command, ready to be written. */
export interface OutgoingCommand {
  /** Its first word, for errors. */
  readonly name: string;
  /** All of its bytes, block and END included; zeroed if `secret`, once written or when they never will be. */
  readonly bytes: Buffer;
  readonly secret?: boolean;
  readonly shape: ReplyShape;
  readonly says: RegExp;
  /** Of an answer to the daemon's own request, which goes ahead of what is queued: the lines that are its reply. */
  readonly claims?: RegExp | undefined;
  /** The block's lines, without END. */
  readonly body?: readonly string[] | undefined;
}

interface Waiting {
  readonly command: OutgoingCommand;
  readonly settle: (outcome: Reply | AgentError, bytes?: readonly string[]) => void;
  /** Stops waiting for a reply after it was sent. */
  abandon: (() => void) | undefined;
}

/** One for all: of many connections few have commands under way, and hardly any more than one. */
const NONE: readonly Waiting[] = [];

const NO_REPLY: Reply = { text: undefined, lines: [], raw: [], error: undefined };

/**
 * Sends one command at a time and awaits its reply, so that an answer to a request for a signature never waits for
 * more than the write before it: such answers go out at once, each in one write and never inside another block.
 */
export class CommandQueue {
  readonly replies: ReplyMatcher;
  readonly #write: (bytes: Buffer, written?: () => void) => void;
  readonly #changed: () => void;
  readonly #defaultTimeout: number;
  #waiting: readonly Waiting[] = NONE;
  #sent: readonly Waiting[] = NONE;
  #current: Waiting | undefined;
  #closed: AgentError | undefined;

  /** @param maxHeld bytes of memory that one reply may take */
  constructor(
    write: (bytes: Buffer, written?: () => void) => void,
    changed: () => void,
    defaultTimeout: number,
    maxHeld?: number,
  ) {
    this.replies = new ReplyMatcher(maxHeld);
    this.#write = write;
    this.#changed = changed;
    this.#defaultTimeout = defaultTimeout;
  }

  /** Commands that are waited for, sent or not. */
  get size(): number {
    return this.#waiting.length + this.#sent.length;
  }

  /**
   * Sends a command when its turn comes; the reply may be one that carries an error.
   *
   * @throws AgentError ERR_MANAGEMENT_CLOSED, ERR_MANAGEMENT_TIMEOUT, ERR_ABORTED
   */
  async submit(command: OutgoingCommand, options: CommandOptions = {}): Promise<Reply> {
    const { signal, timeout = this.#defaultTimeout, onReply } = options;
    const given = (late?: number): AgentError => givenUp(command.name, late, signal);
    if (this.#closed !== undefined || signal?.aborted === true) {
      discard(command);
      throw this.#closed ?? given();
    }
    const { promise, resolve, reject } = withResolvers<Reply>();
    const giveUp = (): void => {
      this.#giveUp(waiting, given());
    };
    const expire = (): void => {
      this.#giveUp(waiting, given(timeout));
    };
    const callOff = timeout > 0 ? SYSTEM_CLOCK.after(timeout, expire, 'keep alive') : undefined;
    signal?.addEventListener('abort', giveUp);
    const waiting: Waiting = {
      command,
      abandon: undefined,
      settle: (outcome, bytes = []) => {
        callOff?.();
        signal?.removeEventListener('abort', giveUp);
        this.#sent = without(this.#sent, waiting);
        if (this.#current === waiting) this.#current = undefined;
        if (outcome instanceof AgentError) {
          reject(outcome);
        } else {
          onReply?.(outcome, bytes);
          resolve(outcome);
        }
      },
    };
    this.#waiting = [...this.#waiting, waiting];
    this.#pump();
    this.#changed();
    return await promise;
  }

  /** Writes what gets its reply by {@link expect}, or none. */
  write(bytes: Buffer, written?: () => void): void {
    this.#write(bytes, written);
  }

  /** Awaits the reply to what was written otherwise. */
  expect(reply: AwaitedReply): void {
    this.replies.push(reply);
  }

  /** The connection has ended: whatever waits, fails. */
  close(error: AgentError): void {
    this.#closed = error;
    const all = [...this.#sent, ...this.#waiting];
    for (const { command } of this.#waiting) discard(command);
    this.#waiting = NONE;
    for (const waiting of all) {
      const isDone = waiting.command.shape.closes === true && this.#sent.includes(waiting);
      waiting.settle(isDone ? NO_REPLY : error);
    }
  }

  #pump(): void {
    // behind a line that all but fills the daemon's buffer nothing may follow until it was read
    if (this.#current !== undefined && isLong(this.#current.command)) return;
    for (const waiting of this.#waiting.filter(({ command }) => command.claims !== undefined)) this.#send(waiting);
    const next = this.#waiting[0];
    if (this.#current !== undefined || next === undefined) return;
    this.#current = next;
    this.#send(next);
    // what gets no reply is done once it was sent
    if (next.command.shape.parts.length === 0) this.#pump();
  }

  #send(waiting: Waiting): void {
    const { command } = waiting;
    this.#waiting = without(this.#waiting, waiting);
    this.#sent = [...this.#sent, waiting];
    this.#write(command.bytes, () => {
      discard(command);
    });
    if (command.shape.parts.length === 0) {
      if (command.shape.closes !== true) waiting.settle(NO_REPLY);
      return;
    }
    const { shape, says, claims, body } = command;
    waiting.abandon = this.replies.push({
      ...{ shape, says, claims, body },
      done: (reply, bytes) => {
        waiting.settle(reply, bytes);
        this.#pump();
        this.#changed();
      },
    });
  }

  #giveUp(waiting: Waiting, error: AgentError): void {
    // of what was sent, the socket may have yet to read the bytes
    if (this.#waiting.includes(waiting)) discard(waiting.command);
    this.#waiting = without(this.#waiting, waiting);
    waiting.abandon?.();
    waiting.settle(error);
    // not at once: the same signal may be about to give up the next command too
    queueMicrotask(() => {
      this.#pump();
      this.#changed();
    });
  }
}

function without(all: readonly Waiting[], waiting: Waiting): readonly Waiting[] {
  const others = all.filter((each) => each !== waiting);
  return others.length === 0 ? NONE : others;
}

/** Its bytes are of no more use. */
function discard({ secret, bytes }: OutgoingCommand): void {
  if (secret === true) bytes.fill(0);
}

function isLong(command: OutgoingCommand): boolean {
  return command.body === undefined && command.bytes.length > MAX_PIPELINED_LINE + 1;
}

/** @param timeout milliseconds, if it was the time */
function givenUp(name: string, timeout: number | undefined, signal: AbortSignal | undefined): AgentError {
  return timeout === undefined
    ? new AgentError('ERR_ABORTED', `the ${name} command was given up`, { cause: signal?.reason })
    : new AgentError('ERR_MANAGEMENT_TIMEOUT', `OpenVPN didn't answer the ${name} command within ${timeout} ms`);
}
