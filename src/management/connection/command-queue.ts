import { AgentError } from '../../errors.ts';
import { MAX_PIPELINED_LINE } from '../wire/words.ts';
import type { Reply } from '../commands/reply.ts';
import { ReplyQueue } from './reply-matcher.ts';
import type { ReplyShape } from '../commands/table.ts';

/** How long to wait for a reply, and when to stop waiting. */
export interface CommandOptions {
  /** Stops waiting: ERR_ABORTED. A command that was sent already is carried out all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait for the reply: then ERR_MANAGEMENT_TIMEOUT. 0 waits for ever. Default: the client's. */
  readonly timeout?: number | undefined;
  /** Gets the reply at once, before whatever the daemon sent behind it is read: for those who pass both on, in order. */
  readonly onReply?: ((reply: Reply) => void) | undefined;
}

/** A command, ready to be written. */
export interface OutgoingCommand {
  /** Its first word, for errors. */
  readonly name: string;
  /** All of its bytes, block and END included; zeroed once written if `secret`. */
  readonly bytes: Buffer;
  readonly secret?: boolean;
  readonly shape: ReplyShape;
  readonly says: RegExp;
  /** An answer to the daemon's own request: goes ahead of whatever is queued; replies that match `claims` are its own. */
  readonly urgent?: { readonly claims: RegExp } | undefined;
  /** The block's lines, without END. */
  readonly body?: readonly string[] | undefined;
}

interface Waiting {
  readonly command: OutgoingCommand;
  readonly settle: (outcome: Reply | AgentError) => void;
  /** Stops waiting for a reply after it was sent. */
  abandon: (() => void) | undefined;
}

/**
 * Sends one command at a time and awaits its reply, so that an answer to a request for a signature never waits for
 * more than the write before it: such answers go out at once, each in one write and never inside another block.
 */
export class CommandQueue {
  readonly replies: ReplyQueue;
  readonly #write: (bytes: Buffer, written: () => void) => void;
  readonly #changed: () => void;
  readonly #defaultTimeout: number;
  #waiting: Waiting[] = [];
  #sent = new Set<Waiting>();
  #current: Waiting | undefined;
  #closed: AgentError | undefined;

  /** @param maxHeld bytes of memory that one reply may take */
  constructor(
    write: (bytes: Buffer, written: () => void) => void,
    changed: () => void,
    defaultTimeout: number,
    maxHeld?: number,
  ) {
    this.replies = new ReplyQueue(maxHeld);
    this.#write = write;
    this.#changed = changed;
    this.#defaultTimeout = defaultTimeout;
  }

  /** Commands that somebody waits for, sent or not. */
  get size(): number {
    return this.#waiting.length + this.#sent.size;
  }

  /**
   * Sends a command when its turn comes; the reply may be one that carries an error.
   *
   * @throws AgentError ERR_MANAGEMENT_CLOSED, ERR_MANAGEMENT_TIMEOUT, ERR_ABORTED
   */
  submit(command: OutgoingCommand, options: CommandOptions = {}): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
      const { signal, timeout = this.#defaultTimeout, onReply } = options;
      if (signal?.aborted === true) {
        reject(aborted(command.name, signal));
        return;
      }
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => {
        this.#giveUp(waiting, aborted(command.name, signal));
      };
      const waiting: Waiting = {
        command,
        abandon: undefined,
        settle: (outcome) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          this.#sent.delete(waiting);
          if (this.#current === waiting) this.#current = undefined;
          if (outcome instanceof AgentError) {
            reject(outcome);
          } else {
            onReply?.(outcome);
            resolve(outcome);
          }
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      if (timeout > 0) {
        timer = setTimeout(() => {
          const text = `OpenVPN didn't answer the ${command.name} command within ${timeout} ms`;
          this.#giveUp(waiting, new AgentError('ERR_MANAGEMENT_TIMEOUT', text));
        }, timeout);
      }
      this.#waiting.push(waiting);
      this.#pump();
      this.#changed();
    });
  }

  /** The connection has ended: whatever waits, fails. */
  close(error: AgentError): void {
    this.#closed = error;
    const all = [...this.#sent, ...this.#waiting];
    this.#waiting = [];
    for (const waiting of all) {
      if (waiting.command.shape.closes === true && this.#sent.has(waiting)) {
        waiting.settle({ text: undefined, lines: [], raw: [], error: undefined });
      } else {
        waiting.settle(error);
      }
    }
  }

  #pump(): void {
    if (this.#closed !== undefined) return;
    // behind a line that all but fills the daemon's buffer nothing may follow until it was read
    if (this.#current !== undefined && isLong(this.#current.command)) return;
    for (const waiting of this.#waiting.filter(({ command }) => command.urgent !== undefined)) this.#send(waiting);
    const next = this.#waiting[0];
    if (this.#current !== undefined || next === undefined) return;
    this.#current = next;
    this.#send(next);
    // what gets no reply is done once it was sent
    if (next.command.shape.parts.length === 0 && next.command.shape.closes !== true) this.#pump();
  }

  #send(waiting: Waiting): void {
    const { command } = waiting;
    this.#waiting = this.#waiting.filter((each) => each !== waiting);
    this.#sent.add(waiting);
    this.#write(command.bytes, () => {
      if (command.secret === true) command.bytes.fill(0);
    });
    if (command.shape.parts.length === 0) {
      if (command.shape.closes !== true) waiting.settle({ text: undefined, lines: [], raw: [], error: undefined });
      return;
    }
    waiting.abandon = this.replies.push({
      shape: command.shape,
      says: command.says,
      claims: command.urgent?.claims,
      body: command.body,
      done: (reply) => {
        waiting.settle(reply);
        this.#pump();
        this.#changed();
      },
    });
  }

  #giveUp(waiting: Waiting, error: AgentError): void {
    this.#waiting = this.#waiting.filter((each) => each !== waiting);
    waiting.abandon?.();
    waiting.settle(error);
    // not at once: the same signal may be about to give up the next command too
    queueMicrotask(() => {
      this.#pump();
      this.#changed();
    });
  }
}

function isLong(command: OutgoingCommand): boolean {
  return command.body === undefined && command.bytes.length > MAX_PIPELINED_LINE + 1;
}

function aborted(name: string, signal: AbortSignal | undefined): AgentError {
  return new AgentError('ERR_ABORTED', `the ${name} command was given up`, { cause: signal?.reason });
}
