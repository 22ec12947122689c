import { once } from 'node:events';
import { lstatSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { AgentError, errorText, isAbsence } from '../errors.ts';
import { socketPathFault, whoReplaces } from '../management/internal.ts';
import { within } from '../promises.ts';
import { LineReader } from './line-reader.ts';
import { CONTROL_VERSION, MAX_REPLY, readResult, type ControlRequest } from './protocol.ts';

/** Milliseconds that an agent has for a reply: it may be busy with a module, or make whoever guesses a passphrase wait. */
const PATIENCE = 60_000;

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'no such socket: is the agent running?',
  ECONNREFUSED: 'nothing listens there: is the agent running?',
  EACCES: 'this user may not use it',
  ENOTSOCK: 'it is not a socket',
};

/** How long a reply is waited for. */
export interface Patience {
  /** Milliseconds. */
  readonly patience: number;
  /** What to say of an agent that takes longer. */
  readonly why: string;
}

/** A connection to the control socket of an agent. */
export class ControlClient implements Disposable {
  readonly #path: string;
  readonly #socket: Socket;

  private constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
  }

  /**
   * Connects, unless somebody beside the socket's owner and root could have put it there.
   * @throws AgentError ERR_CONTROL_CONNECT
   */
  static async open(path: string): Promise<ControlClient> {
    const refused = (error: unknown, hint: string): AgentError =>
      new AgentError('ERR_CONTROL_CONNECT', `can't connect to the control socket ${path}`, { cause: error, hint });
    const fault = socketPathFault(path);
    if (fault !== undefined) throw refused(undefined, fault);
    const failed = (error: unknown): AgentError =>
      refused(error, HINTS[(error as NodeJS.ErrnoException).code ?? ''] ?? errorText(error));
    let replacer: string | undefined;
    try {
      replacer = await whoReplaces(path, lstatSync(path).uid);
    } catch (error) {
      // not connected to either: whoever owns a folder on the way can have this look fail, and connecting succeed
      throw failed(error);
    }
    if (replacer !== undefined)
      throw new AgentError('ERR_CONTROL_CONNECT', `the control socket is not used: ${replacer}`);
    const socket = connect({ path });
    try {
      await once(socket, 'connect');
      socket.on('error', () => {
        socket.destroy();
      });
      return new ControlClient(path, socket);
    } catch (error) {
      socket.destroy();
      throw failed(error);
    }
  }

  /**
   * Makes one request.
   * @throws AgentError ERR_CONTROL_*, and what the agent replies
   */
  async request(
    request: Omit<ControlRequest, 'version'>,
    { patience, why }: Patience = { patience: PATIENCE, why: 'the agent takes too long' },
  ): Promise<unknown> {
    using limit = within(patience);
    const reader = new LineReader(MAX_REPLY);
    this.#socket.write(`${JSON.stringify({ version: CONTROL_VERSION, ...request })}\n`);
    return await new Promise((resolve, reject) => {
      const end = (why: string): void => {
        settle();
        reject(new AgentError('ERR_CONTROL_CONNECT', `no reply from the control socket ${this.#path}`, { hint: why }));
      };
      const onData = (chunk: Buffer): void => {
        const lines = reader.push(chunk);
        if (!lines) {
          this.#socket.destroy();
          end('it is too long');
          return;
        }
        const [line] = lines;
        if (line === undefined) return;
        settle();
        try {
          resolve(readResult(line));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      const onClose = (): void => {
        end('the connection was closed');
      };
      const onLate = (): void => {
        this.#socket.destroy();
        end(why);
      };
      const settle = (): void => {
        this.#socket.off('data', onData).off('close', onClose).off('end', onClose);
        limit.signal.removeEventListener('abort', onLate);
      };
      this.#socket.on('data', onData).on('close', onClose).on('end', onClose);
      limit.signal.addEventListener('abort', onLate, { once: true });
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/**
 * The control sockets in a folder that agents without a name of their own make; whether anybody listens there is not known.
 * @throws AgentError ERR_CONTROL_CONNECT for a folder that can't be read
 */
export function controlSocketsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^control(-\d+)?\.sock$/.test(name))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (isAbsence(error)) return [];
    const text = `can't look for control sockets in ${folder}`;
    throw new AgentError('ERR_CONTROL_CONNECT', text, { cause: error, hint: errorText(error) });
  }
}
