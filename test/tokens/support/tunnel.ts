import { ownAddress } from '../../support/bench.ts';
import { freePort } from '../../support/bench.ts';
import {
  managementArgs,
  type ClientOptions,
  type OpenVpnClient,
  type OpenVpnServer,
} from '../../support/openvpn.ts';
import { Pksigd } from '../../support/pksigd.ts';
import type { BedKey, TokenBed, TokenSetup } from '../setup/token-bed.ts';

/** OpenVPN got an answer that is none, gave this handshake up, and tries again. */
const GAVE_UP = /SIGUSR1\[soft,tls-error\]/;
const HELD = /Need hold release from management interface/;

export interface TunnelOptions {
  /** The values of `--key`; without them the bed's key of the certificate. */
  readonly keys?: readonly string[];
  readonly certificate?: ClientOptions['certificate'];
  /** More of pksigd's arguments. */
  readonly args?: readonly string[];
  readonly pinFile?: string;
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
    const { certificate = { file: 'p256' }, args = [], pinFile = bed.pinFile } = options;
    const keys = options.keys ?? ['file' in certificate ? keyUri(bed, bed.key(certificate.file)) : ''];
    const address = ownAddress();
    const management = { address, port: `${await freePort(address)}` };
    // over TCP a server forgets a handshake that was given up, and hears the next one at once
    const server = await bed.bench.server({ proto: 'tcp' });
    const client = bed.bench.client(server, { management, certificate });
    const keyArgs = keys.flatMap((key) => ['--key', key]);
    return new TokenTunnel(bed, { server, client, args: [...managementArgs(management), ...keyArgs, ...args], pinFile });
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
    await this.client.logged(HELD, times);
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

/** Makes a bed for one test, and unmakes it; what was said is printed when the test fails. */
export async function withBed<Bed extends TokenBed>(
  setup: TokenSetup & { start: () => Promise<Bed> },
  use: (bed: Bed) => Promise<void>,
): Promise<void> {
  const bed = await setup.start();
  try {
    await use(bed);
  } catch (error) {
    console.error(bed.bench.transcript);
    throw error;
  } finally {
    await bed.stop();
  }
}

/** Why tests with this setup are left out, if they are; says so. */
export function isMissing(setup: TokenSetup): boolean {
  const reason = setup.unavailable();
  if (reason !== undefined) console.warn(`tunnels with ${setup.name} are left out: ${reason}`);
  return reason !== undefined;
}
