import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Clock, SYSTEM_CLOCK } from '../clock.ts';
import { type ManagementAddress } from '../management/index.ts';
import { closed, isLocal, type Listening, listenAt, ownAccess } from '../management/internal.ts';
import { AgentError } from '../errors.ts';
import type { AgentState } from '../status/agent-state.ts';
import type { AgentMetrics } from './metrics.ts';

export interface MetricsServerOptions {
  /** A loopback address or a unix socket. */
  readonly address: ManagementAddress;
  /** Group ID that may use the unix socket too. */
  readonly group?: number | undefined;
  readonly metrics: Pick<AgentMetrics, 'text' | 'contentType'>;
  readonly state: AgentState;
  readonly clock?: Clock | undefined;
}

const MAX_CLIENTS = 16;
/** Milliseconds that a connection has to ask, and then to take the answer. */
const PATIENCE = 5_000;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

/** A browser that was led here by another name is no monitor. */
function isOwnHost(host: string | undefined, address: ManagementAddress): boolean {
  return address.kind === 'unix' || /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host ?? '');
}

/** Whether a tunnel could sign now, if its daemon asked. */
function isReady(state: AgentState, name: string): boolean {
  const tunnel = state.tunnels.get(name);
  if (!tunnel?.isServed || state.isLocked || tunnel.last?.outcome === 'failed') return false;
  return tunnel.daemons > 0 && tunnel.key !== undefined && state.keys.get(tunnel.key)?.state === 'open';
}

/** Serves metrics and health over HTTP. */
export class MetricsServer implements AsyncDisposable {
  readonly #options: MetricsServerOptions;
  /** The oldest first. */
  readonly #sockets = new Set<Socket>();
  /** Those that have not asked yet, the oldest first. */
  readonly #silent = new Set<Socket>();
  readonly #clock: Clock;
  readonly #http: Server;
  #server: Listening | undefined;

  private constructor(options: MetricsServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#http = createServer((request, response) => {
      // the first one of its connection: of a thousand in one read each would be an answer, made before anything else is done
      if (this.#silent.delete(request.socket)) void this.#respond(request, response);
    });
  }

  /**
   * @throws AgentError ERR_USAGE for an address that others reach; ERR_MANAGEMENT_IN_USE, ERR_MANAGEMENT_ADDRESS,
   *   ERR_MANAGEMENT_LISTEN
   */
  static async listen(options: MetricsServerOptions): Promise<MetricsServer> {
    const { address, group } = options;
    if (!isLocal(address))
      throw new AgentError('ERR_USAGE', 'metrics are served on loopback addresses and unix sockets only', {
        hint: 'they name tunnels and tokens: put a proxy with TLS and a password before them',
      });
    const served = new MetricsServer(options);
    const onClient = (socket: Socket): void => {
      served.#accept(socket);
    };
    // as node:http takes it: it has no listener of its own
    served.#server = await listenAt(address, ownAccess(group), { allowHalfOpen: true }, onClient, 'metrics');
    served.#server.unref();
    return served;
  }

  /** With the port that the system picked, if 0 was asked for. */
  get address(): ManagementAddress {
    const { address } = this.#options;
    return this.#server?.addressOf(address) ?? address;
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {
      socket.destroy();
    });
    // Node's own limits hold only for servers that listen themselves
    const callOff = this.#clock.after(PATIENCE, () => {
      socket.destroy();
    });
    if (this.#sockets.size >= MAX_CLIENTS) this.#makeRoom();
    this.#sockets.add(socket);
    this.#silent.add(socket);
    socket.once('close', () => {
      callOff();
      this.#leave(socket);
    });
    socket.unref();
    this.#http.emit('connection', socket);
  }

  /** Who asks slowly, or takes its answer slowly, keeps nobody else out. */
  #makeRoom(): void {
    const [oldest] = this.#silent.size > 0 ? this.#silent : this.#sockets;
    if (!oldest) return;
    oldest.destroy();
    this.#leave(oldest);
  }

  #leave(socket: Socket): void {
    this.#sockets.delete(socket);
    this.#silent.delete(socket);
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, type, body } = await this.#answer(request).catch(() => ({
      ...{ status: 500, type: TEXT, body: 'failed\n' },
    }));
    // one request a connection: places are few
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', connection: 'close' });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer({ method, url = '', headers }: IncomingMessage): Promise<Answer> {
    const { address, metrics, state } = this.#options;
    if (!isOwnHost(headers.host, address)) return { status: 403, type: TEXT, body: 'name this host by its address\n' };
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, type: TEXT, body: 'GET only\n' };
    // a path may begin with two slashes, which no host follows
    const target = url.startsWith('/') ? `http://localhost${url}` : url;
    if (!URL.canParse(target)) return { status: 400, type: TEXT, body: 'that is no address\n' };
    const { pathname, searchParams } = new URL(target);
    if (pathname === '/metrics') return { status: 200, type: metrics.contentType, body: await metrics.text() };
    if (pathname === '/healthz') return { status: 200, type: TEXT, body: 'ok\n' };
    if (pathname !== '/readyz') return { status: 404, type: TEXT, body: 'there are /metrics, /healthz, /readyz\n' };
    const tunnel = searchParams.get('tunnel');
    if (tunnel !== null && !state.tunnels.has(tunnel)) return { status: 404, type: TEXT, body: 'no such tunnel\n' };
    const names = tunnel === null ? [...state.tunnels.keys()] : [tunnel];
    const tunnels = Object.fromEntries(names.map((name) => [name, isReady(state, name)]));
    const ready = Object.values(tunnels).every(Boolean) && names.length > 0;
    return { status: ready ? 200 : 503, type: JSON_TYPE, body: `${JSON.stringify({ ready, tunnels })}\n` };
  }

  /** Stops listening, and ends all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closed(this.#server);
  }
}
