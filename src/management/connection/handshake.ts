import { AgentError } from '../../errors.ts';
import { type Resolvers, withResolvers } from '../../promises.ts';
import type { Reply } from '../commands/reply.ts';
import { COMMANDS, replyShape } from '../commands/table.ts';
import type { DaemonVersion, ManagementOptions } from './options.ts';
import type { AwaitedReply } from './reply-matcher.ts';

const GREETING = /^>INFO:OpenVPN Management Interface Version ([0-9]+)/;

/** What the handshake writes by. */
export interface HandshakeCommands {
  write(bytes: Buffer, written?: () => void): void;
  /** Awaits the reply to what the handshake wrote. */
  expect(reply: AwaitedReply): void;
}

/** The connection, as far as the handshake needs it. */
export interface HandshakeConnection {
  /** Ends the connection, as it can't be used. */
  fail(error: AgentError): void;
}

/** The beginning of a connection: the password, the announced version, the daemon's greeting. Knows who the daemon is. */
export class Handshake {
  readonly #peer: string;
  readonly #options: ManagementOptions;
  readonly #commands: HandshakeCommands;
  readonly #connection: HandshakeConnection;
  /** Who waits for the greeting. */
  #waiting: Resolvers<void> | undefined;
  /** Why it never comes. */
  #failure: AgentError | undefined;
  #daemon: DaemonVersion | undefined;
  #passwordSent = false;
  #announced: number | undefined;

  constructor(peer: string, options: ManagementOptions, commands: HandshakeCommands, connection: HandshakeConnection) {
    this.#peer = peer;
    this.#options = options;
    this.#commands = commands;
    this.#connection = connection;
  }

  /** Settles when the daemon has greeted us, rejects if it never will. */
  greeted(): Promise<void> {
    if (this.#daemon !== undefined) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting ??= withResolvers();
    return this.#waiting.promise;
  }

  /** Undefined until the daemon has greeted us. */
  get daemon(): DaemonVersion | undefined {
    return this.#daemon;
  }

  /** The client version that was announced last. */
  get announced(): number | undefined {
    return this.#announced;
  }

  /** The connection stands. */
  begin(): void {
    // as early as can be: without a hold, a daemon asks for its first signature some milliseconds after it started
    if (this.#options.password === undefined) this.#announce();
  }

  /** `ENTER PASSWORD:` came. */
  answerPrompt(): void {
    const { password } = this.#options;
    if (password === undefined) {
      this.#refuse(`the management interface ${this.#peer} asks for a password`, {
        hint: 'none is configured: name the password file behind the address and port',
      });
    } else if (this.#passwordSent) {
      // a wrong password gets no other answer than the prompt again (man_check_password in manage.c)
      this.#passwordRefused();
    } else {
      this.#passwordSent = true;
      const bytes = Buffer.concat([password.bytes, Buffer.from('\n')]);
      this.#commands.write(bytes, () => {
        bytes.fill(0);
      });
      this.#announce();
    }
  }

  /** A notification came before the greeting: it may be that. */
  takeNotification(line: string): void {
    const version = GREETING.exec(line)?.[1];
    if (version === undefined) return;
    const management = Number(version);
    this.#daemon = { management, title: undefined, release: undefined };
    this.#announce();
    const shape = replyShape(`version ${this.#announced ?? ''}`, management);
    if (this.#announced !== undefined && shape.parts.length > 0) {
      this.#commands.expect({
        shape,
        says: COMMANDS['version']?.says ?? /^/,
        done: (reply) => {
          this.takeReply(reply);
        },
      });
    }
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Any other line came before the greeting. */
  takeLine(text: string): void {
    if (text === '' || text === 'SUCCESS: password is correct') return;
    if (text.startsWith('ERROR: bad password')) {
      this.#passwordRefused();
      return;
    }
    const seen = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
    const message = `${this.#peer} doesn't speak OpenVPN's management protocol`;
    this.#connection.fail(new AgentError('ERR_MANAGEMENT_PROTOCOL', message, { hint: `it said ${seen}` }));
  }

  /** A `version` command is about to be sent, by which another version is announced. */
  announceAs(version: number): void {
    this.#announced = version;
  }

  /** A reply came: it may be that of `version`, which says which release the daemon is. */
  takeReply({ lines }: Reply): void {
    const title = /^OpenVPN Version: (.*)$/.exec(lines[0] ?? '')?.[1];
    if (this.#daemon === undefined || title === undefined) return;
    this.#daemon = { ...this.#daemon, title, release: /^OpenVPN ([0-9]\S*)/.exec(title)?.[1] };
  }

  /** The connection has ended. */
  end(error: AgentError): void {
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #announce(): void {
    const { clientVersion } = this.#options;
    if (clientVersion === undefined || this.#announced !== undefined) return;
    this.#announced = clientVersion;
    this.#commands.write(Buffer.from(`version ${clientVersion}\n`));
  }

  #passwordRefused(): void {
    this.#refuse(`the management interface ${this.#peer} refused the password`, {
      hint: 'OpenVPN reads the first line of the password file that its --management names',
    });
  }

  #refuse(message: string, options: { readonly hint: string }): void {
    this.#connection.fail(new AgentError('ERR_MANAGEMENT_PASSWORD', message, options));
  }
}
