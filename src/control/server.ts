import type { Socket } from 'node:net';
import { errorCode, errorText } from '../errors.ts';
import { closed, endWithin, type Listening, listenAt, ownAccess } from '../management/internal.ts';
import { type Clock, SYSTEM_CLOCK } from '../clock.ts';
import { Secret } from '../secret.ts';
import { LineReader } from './line-reader.ts';
import { CONTROL_VERSION, MAX_REQUEST, readRequest, type ControlReply, type ControlRequest } from './protocol.ts';

/** What the commands do. @throws AgentError what the reply is to tell */
export interface ControlActions {
  readonly status: () => unknown;
  readonly forget: () => Promise<unknown>;
  readonly lock: (passphrase: Secret | undefined) => Promise<void>;
  readonly unlock: (passphrase: Secret | undefined) => Promise<void>;
  readonly reload: () => Promise<unknown>;
}

export interface ControlOptions {
  readonly path: string;
  /** Group ID that may use it too. */
  readonly group?: number | undefined;
  readonly actions: ControlActions;
  readonly clock?: Clock | undefined;
}

/** At a time; whoever comes then is turned away. */
const MAX_CLIENTS = 16;
/** Milliseconds for which a client may be silent, or take nothing of a reply. */
const PATIENCE = 60_000;
/** Milliseconds that it has for reading the last reply. */
const LAST_READ = 2_000;

/** Listens for those who want to know or change something of the agent, over a unix socket. */
export class ControlServer implements AsyncDisposable {
  readonly path: string;
  readonly #options: ControlOptions;
  readonly #clients = new Set<Socket>();
  readonly #turnedAway = new Set<Socket>();
  /** Of the clients, those whose request is being answered. */
  readonly #busy = new Set<Socket>();
  #isRetired = false;
  #server: Listening | undefined;

  private constructor(options: ControlOptions) {
    this.path = options.path;
    this.#options = options;
  }

  /** @throws AgentError ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_LISTEN */
  static async listen(options: ControlOptions): Promise<ControlServer> {
    const control = new ControlServer(options);
    const { path, group } = options;
    const onClient = (socket: Socket): void => {
      control.#accept(socket);
    };
    const sockets = { allowHalfOpen: true };
    control.#server = await listenAt({ kind: 'unix', path }, ownAccess(group), sockets, onClient, 'control commands');
    // the agent's own work keeps it alive
    control.#server.unref();
    return control;
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {
      socket.destroy();
    });
    if (this.#clients.size >= MAX_CLIENTS) {
      this.#turnAway(socket);
      return;
    }
    this.#clients.add(socket);
    socket.once('close', () => this.#clients.delete(socket));
    socket.unref();
    void this.#serve(socket).catch(() => undefined);
  }

  /** It is gone when it has sent something, or has had its time: on a closed socket it could send nothing, and would not read why. */
  #turnAway(socket: Socket): void {
    this.#turnedAway.add(socket);
    const { clock = SYSTEM_CLOCK } = this.#options;
    const callOff = clock.after(LAST_READ, () => {
      socket.destroy();
    });
    socket.once('close', () => {
      callOff();
      this.#turnedAway.delete(socket);
    });
    const end = (request?: Buffer): void => {
      request?.fill(0);
      socket.destroySoon();
    };
    socket.end(replyLine(failure('ERR_CONTROL_BUSY', 'too many clients: try again')));
    socket.once('data', end).once('end', end).unref();
  }

  /** One request after the other: nothing more is read of a client that has not taken its reply. */
  async #serve(socket: Socket): Promise<void> {
    const reader = new LineReader(MAX_REQUEST);
    const { clock = SYSTEM_CLOCK } = this.#options;
    const end = (): void => {
      socket.destroy();
    };
    let callOff = clock.after(PATIENCE, end);
    try {
      for await (const chunk of socket) {
        const lines = reader.push(chunk as Buffer);
        (chunk as Buffer).fill(0);
        if (!lines) {
          const text = `not a request: it has more than ${MAX_REQUEST} bytes`;
          socket.write(replyLine(failure('ERR_CONTROL_PROTOCOL', text)));
          return;
        }
        for (const line of lines) {
          this.#busy.add(socket);
          // it is not the client that is silent meanwhile
          callOff();
          const reply = await this.#answer(line);
          callOff = clock.after(PATIENCE, end);
          await written(socket, replyLine(reply));
          this.#busy.delete(socket);
          if (this.#isRetired) return;
        }
      }
    } finally {
      callOff();
      reader.clear();
      this.#busy.delete(socket);
      // whatever it does with its own side: it would keep its place
      endWithin(socket, LAST_READ);
    }
  }

  async #answer(line: string): Promise<ControlReply> {
    try {
      return { version: CONTROL_VERSION, ok: true, result: (await this.#do(readRequest(line))) ?? null };
    } catch (error) {
      return failure(errorCode(error) ?? null, errorText(error));
    }
  }

  async #do({ command, passphrase }: ControlRequest): Promise<unknown> {
    const { actions } = this.#options;
    if (command === 'status') return actions.status();
    if (command === 'forget' || command === 'reload') return await actions[command]();
    const secret = passphrase === undefined ? undefined : new Secret(passphrase);
    try {
      await actions[command](secret);
    } finally {
      secret?.destroy();
    }
    return undefined;
  }

  /** Stops listening, and ends each connection as soon as its request is answered. */
  retire(): void {
    this.#isRetired = true;
    this.#server?.close();
    for (const socket of this.#turnedAway) socket.destroy();
    for (const socket of this.#clients) if (!this.#busy.has(socket)) socket.destroy();
  }

  /** Stops listening, and ends all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.#clients, ...this.#turnedAway]) socket.destroy();
    await closed(this.#server);
  }
}

function failure(code: Extract<ControlReply, { ok: false }>['code'], error: string): ControlReply {
  return { version: CONTROL_VERSION, ok: false, code, error };
}

function replyLine(reply: ControlReply): string {
  return `${JSON.stringify(reply)}\n`;
}

/** Resolves when the system has taken it. */
async function written(socket: Socket, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.write(text, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}
