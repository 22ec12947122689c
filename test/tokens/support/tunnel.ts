import { freePort, ownAddress } from '../../support/bench.ts';
import { managementArgs, type ClientOptions, type OpenVpnClient, type OpenVpnServer } from '../../support/openvpn.ts';
import { Pksigd } from '../../support/pksigd.ts';
import type { BedKey, TokenBed } from '../setup/token-bed.ts';

/** OpenVPN got an answer that is none, gave this handshake up, and tries again. */
const GAVE_UP = /SIGUSR1\[soft,tls-error\]/;

export interface TunnelOptions {
  /** The values of `--key`; without them the bed's key of the certificate. */
  readonly keys?: readonly string[];
  readonly certificate?: ClientOptions['certificate'];
  /** More of pksigd's arguments. */
  readonly args?: readonly string[];
  readonly pinFile?: string;
  /** Handshakes are given up: over TCP a server forgets such a one, and hears the next at once. Takes longer. */
  readonly fails?: boolean;
}

/** The value of `--key` for a key of a bed. */
export function keyUri(bed: TokenBed, key: BedKey, modulePath: string = bed.modulePath): string {
  return `pkcs11:${key.uri}?module-path=${modulePath}`;
}

/** A real OpenVPN client, its server, and the built pksigd that signs for it with the keys of a bed. */
export class TokenTunnel {
  readonly server: OpenVpnServer;
  readonly client: OpenVpnClient;
  readonly #bed: TokenBed;
  readonly #args: readonly string[];
  readonly #pinFile: string;
  #pksigd: Pksigd;
  #ups = 0;

  private constructor(
    bed: TokenBed,
    parts: { server: OpenVpnServer; client: OpenVpnClient; args: readonly string[]; pinFile: string },
  ) {
    this.#bed = bed;
    this.server = parts.server;
    this.client = parts.client;
    this.#args = parts.args;
    this.#pinFile = parts.pinFile;
    this.#pksigd = this.start();
  }

  /** Starts all three; the daemon is held until the key is ready. */
  static async open(bed: TokenBed, options: TunnelOptions = {}): Promise<TokenTunnel> {
    const { certificate = { file: 'p256' }, args = [], pinFile = bed.pinFile, fails = false } = options;
    const keys = options.keys ?? ['file' in certificate ? keyUri(bed, bed.key(certificate.file)) : ''];
    const address = ownAddress();
    const management = { address, port: `${await freePort(address)}` };
    const server = await bed.bench.server({ proto: fails ? 'tcp' : 'udp' });
    const pause = fails ? [] : ['--connect-retry', '0', '0'];
    const client = bed.bench.client(server, { management, certificate, args: pause });
    const keyArgs = keys.flatMap((key) => ['--key', key]);
    return new TokenTunnel(bed, {
      server,
      client,
      args: [...managementArgs(management), ...keyArgs, ...args],
      pinFile,
    });
  }

  get pksigd(): Pksigd {
    return this.#pksigd;
  }

  /** Starts pksigd, in the place of one that has ended. */
  start(pinFile: string = this.#pinFile): Pksigd {
    const args = ['run', ...this.#args, '--pin-source', pinFile, '--deadline', '5', '--log-level', 'debug'];
    const child = new Pksigd(this.#bed.bench.folder, args, undefined, { env: { ...this.#bed.environment } });
    this.#pksigd = this.#bed.bench.adopt(child);
    return child;
  }

  /** Waits until the tunnel is up once more. */
  async up(): Promise<void> {
    await this.client.connected(++this.#ups);
  }

  /** Makes the daemon begin anew. */
  restart(): void {
    this.client.kill('SIGUSR1');
  }

  /** A new handshake, to its end. */
  async again(): Promise<void> {
    this.restart();
    await this.up();
  }

  /** Waits until the daemon is held for the `times`-th time. */
  async held(times: number): Promise<void> {
    await this.pksigd.message('the daemon is held', times);
  }

  /** Handshakes that the daemon gave up. */
  get lost(): number {
    return this.client.count(GAVE_UP);
  }

  /** The log's messages of these kinds, in their order. */
  said(...kinds: string[]): unknown[] {
    return this.pksigd.log.map(({ msg }) => msg).filter((msg) => kinds.includes(String(msg)));
  }

  /** The process of the module host that was started last. */
  get hostPid(): number {
    return Number(this.pksigd.messages('module host started').at(-1)?.['pid']);
  }
}
