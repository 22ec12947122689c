import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { AgentError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { LineDecoder, type Line } from './line-decoder.ts';
import { parseNotification, type Notification } from './notification.ts';

/** How to talk to a daemon. */
export interface ClientOptions {
  /** Asked when the daemon prompts for its management password. */
  readonly password?: () => Promise<Secret>;
  /** The management version that we announce (`version N`): 3 makes the daemon name the algorithm. */
  readonly clientVersion: number;
}

interface PendingReply {
  /** What the daemon says of this command, in SUCCESS and in ERROR. */
  readonly matches: RegExp;
  readonly resolve: (text: string) => void;
  readonly reject: (error: AgentError) => void;
}

/** base64 lines of a block: the daemon's line buffer has 1,024 bytes, and OpenSSL's habit is 64. */
const BLOCK_LINE = /.{1,64}/g;
/** A request line that ends where the daemon's buffer does is cut if nothing follows within this time, in ms. */
const TRUNCATION_WAIT = 200;
const FINAL_REPLY = /^(SUCCESS|ERROR): ?(.*)$/;

/** One connection with a daemon's management interface. Iterate it for the notifications; it ends with the connection. */
export class ManagementClient implements AsyncIterable<Notification>, AsyncDisposable {
  readonly #socket: Socket;
  readonly #options: ClientOptions;
  readonly #decoder = new LineDecoder();
  readonly #pending: PendingReply[] = [];
  readonly #queue: Notification[] = [];
  #wake: (() => void) | undefined;
  #ended: AgentError | undefined;
  #failure: AgentError | undefined;
  #truncation: NodeJS.Timeout | undefined;
  #asked = false;
  #announced = false;

  /** Takes over a connected socket. */
  constructor(socket: Socket, options: ClientOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk) => {
      this.#receive(chunk);
    });
    socket.on('error', (error) => {
      this.#failure ??= new AgentError('ERR_MANAGEMENT_CLOSED', `connection lost: ${error.message}`, { cause: error });
    });
    socket.on('close', () => {
      this.#end(this.#failure ?? new AgentError('ERR_MANAGEMENT_CLOSED', 'the daemon closed the connection'));
    });
    // before anything else: a daemon without hold fixes the form of its first request as soon as it makes one. But where
    // a password is to be asked for, the first line would be taken for it
    if (!options.password) this.#announce();
  }

  /** `hold release`. */
  async holdRelease(): Promise<void> {
    await this.#command('hold release', /hold release/);
  }

  /** `signal`: SIGUSR1 restarts the daemon's tunnel, SIGTERM ends it. */
  async signal(name: 'SIGHUP' | 'SIGTERM' | 'SIGUSR1' | 'SIGUSR2'): Promise<void> {
    await this.#command(`signal ${name}`, /signal/);
  }

  /** `certificate`: the PEM text that `>NEED-CERTIFICATE` asked for; empty if there is none. */
  async certificate(pem: string): Promise<void> {
    await this.#block(
      'certificate',
      pem.split(/\r?\n/).filter((line) => line !== ''),
      /certificate/,
    );
  }

  /** Answers a request; without a signature, with an empty block, which fails that handshake at once. */
  async signature(answer: 'pk-sig' | 'rsa-sig', signature: Uint8Array | undefined): Promise<void> {
    const text = signature === undefined ? '' : Buffer.from(signature).toString('base64');
    // 2.4 calls it rsa-sign in its replies
    await this.#block(answer, text.match(BLOCK_LINE) ?? [], /(?:pk|rsa)-sign?\b/);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Notification, void, undefined> {
    for (;;) {
      const notification = this.#queue.shift();
      if (notification) yield notification;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Why the connection ended; undefined while it lives. */
  get closeReason(): AgentError | undefined {
    return this.#ended;
  }

  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** The whole block in one write: one that breaks off leaves the daemon's request unanswerable until a restart. */
  async #block(command: string, lines: readonly string[], matches: RegExp): Promise<void> {
    await this.#command([command, ...lines, 'END'].join('\n'), matches);
  }

  async #command(text: string, matches: RegExp): Promise<string> {
    if (this.#ended) throw this.#ended;
    return await new Promise((resolve, reject) => {
      this.#pending.push({ matches, resolve, reject });
      this.#socket.write(`${text}\n`);
    });
  }

  #announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    // no reply is awaited: 2.3 and 2.4 print a version block, 2.5 to 2.7 nothing
    this.#socket.write(`version ${this.#options.clientVersion}\n`);
  }

  #receive(chunk: Buffer): void {
    clearTimeout(this.#truncation);
    try {
      for (const line of this.#decoder.push(chunk)) this.#handle(line);
    } catch (error) {
      this.#fail(error instanceof AgentError ? error : new AgentError('ERR_MANAGEMENT_PROTOCOL', String(error)));
    }
    if (this.#decoder.mayBeTruncated) {
      this.#truncation = setTimeout(() => {
        this.#handle(this.#decoder.cut());
      }, TRUNCATION_WAIT);
    }
  }

  #handle(line: Line): void {
    if (line.kind === 'prompt') {
      void this.#answerPrompt();
    } else if (line.kind === 'truncated') {
      const answer = line.text.startsWith('>PK') ? 'pk-sig' : 'rsa-sig';
      this.#notify({ type: 'SIGN_TRUNCATED', answer, length: line.text.length });
    } else {
      const notification = parseNotification(line.text);
      if (notification) this.#notify(notification);
      else this.#reply(line.text);
    }
  }

  #notify(notification: Notification): void {
    if (notification.type === 'INFO') this.#announce(); // the greeting: nobody asks for a password any more
    this.#queue.push(notification);
    this.#wake?.();
  }

  /** By what the reply says: commands behind a block may be answered before it. Other lines belong to nobody. */
  #reply(line: string): void {
    const [, verdict, text = ''] = FINAL_REPLY.exec(line) ?? [];
    if (verdict === undefined) return;
    const index = this.#pending.findIndex(({ matches }) => matches.test(text));
    const [pending] = index < 0 ? [] : this.#pending.splice(index, 1);
    if (verdict === 'SUCCESS') pending?.resolve(text);
    else pending?.reject(new AgentError('ERR_MANAGEMENT_COMMAND', `the daemon refused: ${text}`));
  }

  async #answerPrompt(): Promise<void> {
    const { password } = this.#options;
    if (!password) {
      this.#fail(
        new AgentError('ERR_MANAGEMENT_PASSWORD', 'the daemon wants its management password', {
          hint: 'give its password file behind the port',
        }),
      );
    } else if (this.#asked) {
      this.#fail(new AgentError('ERR_MANAGEMENT_PASSWORD', 'the daemon refused the management password'));
    } else {
      this.#asked = true;
      try {
        const secret = await password();
        // alone: what comes in the same write leaves some daemons waiting for more input
        this.#socket.write(Buffer.concat([secret.bytes, Buffer.from('\n')]));
      } catch (error) {
        this.#fail(error instanceof AgentError ? error : new AgentError('ERR_MANAGEMENT_PASSWORD', String(error)));
      }
    }
  }

  #fail(error: AgentError): void {
    this.#failure ??= error;
    this.#socket.destroy();
  }

  #end(error: AgentError): void {
    clearTimeout(this.#truncation);
    this.#ended ??= error;
    for (const { reject } of this.#pending.splice(0)) reject(this.#ended);
    this.#wake?.();
  }
}
