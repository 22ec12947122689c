import { KEYS } from '../../support/bench.ts';
import { managementArgs, type OpenVpnClient, type OpenVpnServer } from '../../support/openvpn.ts';
import { Pksigd } from '../../support/pksigd.ts';
import { run, type BedKey, type TokenBed } from '../setup/token-bed.ts';

export interface TunnelOptions {
  /** Further arguments of `pksigd run`. */
  readonly args?: readonly string[];
  /** Further arguments of the OpenVPN client. */
  readonly clientArgs?: readonly string[];
  readonly serverArgs?: readonly string[];
  /** Without it TCP, which ends with a broken handshake: over UDP the server waits for a minute. */
  readonly proto?: 'udp';
  /** The values of --key; without it the key's URI. */
  readonly keys?: readonly string[];
}

/** Seconds that a call into the module may take: cards that were pulled hang, and a busy machine takes its time for all. */
const DEADLINE = '10';
/** OpenVPN got an answer that is none, gave this handshake up, and tries again. */
const GAVE_UP = /SIGUSR1\[soft,(tls-error|connection-reset)\]/;
/** For many handshakes of which none is given up. */
export const QUICK: TunnelOptions = { proto: 'udp', clientArgs: ['--connect-retry', '0', '0'] };
let tunnels = 0;

/** A certificate for a key that the token made itself, by the CA that the server trusts. */
async function certificateOf(bed: TokenBed, key: BedKey): Promise<string> {
  const { bench } = bed;
  const known = KEYS.includes(key.name) ? bench.recipe(`${key.name}.crt`) : '';
  const subject = await run('openssl', ['x509', '-in', known, '-noout', '-pubkey']).catch(() => '');
  const own = key.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  if (subject.trim() === own.trim()) return known;
  const spki = await bench.write(`tunnel-${key.name}.pub.pem`, own);
  const file = bench.path(`tunnel-${key.name}.crt`);
  const issuer = ['-CA', bench.recipe('ca.crt'), '-CAkey', bench.recipe('ca.pem'), '-days', '30', '-out', file];
  await run('openssl', ['x509', '-new', '-force_pubkey', spki, '-subj', `/CN=${key.name}`, ...issuer]);
  return file;
}

/** `pksigd run`, a real OpenVPN client that it signs for, and the server. */
export class TokenTunnel implements AsyncDisposable {
  readonly pksigd: Pksigd;
  readonly client: OpenVpnClient;
  readonly server: OpenVpnServer;
  /** Where the client is to be found, in pksigd's words. */
  readonly management: readonly string[];

  private constructor(pksigd: Pksigd, client: OpenVpnClient, server: OpenVpnServer, management: readonly string[]) {
    this.pksigd = pksigd;
    this.client = client;
    this.server = server;
    this.management = management;
  }

  /** The value of --key for a key of the bed. */
  static uri(bed: TokenBed, key: BedKey, modulePath: string = bed.modulePath): string {
    return `pkcs11:${key.uri}?module-path=${modulePath}&pin-source=file:${bed.pinFile}`;
  }

  static async start(bed: TokenBed, key: BedKey, options: TunnelOptions = {}): Promise<TokenTunnel> {
    const { bench } = bed;
    const management = { address: bench.path(`management-${++tunnels}`), port: 'unix' };
    const { args = [], clientArgs = [], serverArgs = [], keys = [TokenTunnel.uri(bed, key)] } = options;
    const server = await bench.server({ proto: options.proto ?? 'tcp', args: serverArgs });
    const certificate = ['--cert', await certificateOf(bed, key)];
    const client = bench.client(server, {
      management,
      certificate: { file: 'p256' }, // the last one given counts
      args: [...certificate, ...clientArgs],
    });
    const address = managementArgs(management);
    return new TokenTunnel(TokenTunnel.pksigd(bed, [...address, ...args], keys), client, server, address);
  }

  /** `pksigd run` with the bed's module. */
  static pksigd(bed: TokenBed, args: readonly string[], keys: readonly string[]): Pksigd {
    const key = keys.flatMap((value) => ['--key', value]);
    const all = ['run', '--deadline', DEADLINE, '--log-level', 'debug', ...key, ...args];
    return bed.bench.adopt(new Pksigd(bed.bench.folder, all, undefined, { env: bed.moduleEnvironment }));
  }

  /** How often the tunnel has been up. */
  get connections(): number {
    return this.client.count(/Initialization Sequence Completed/);
  }

  /** Handshakes that the client gave up. */
  get lost(): number {
    return this.client.count(GAVE_UP);
  }

  /** The process of the module host that was started last. */
  get host(): number {
    const pid = this.pksigd.messages('module host started').at(-1)?.['pid'];
    if (typeof pid !== 'number') throw new Error('no module host was started');
    return pid;
  }

  /** Makes the client connect anew. */
  restart(): void {
    this.client.kill('SIGUSR1');
  }

  /** Makes the client connect anew, and waits until it has. */
  async again(): Promise<void> {
    const { connections } = this;
    this.restart();
    await this.client.connected(connections + 1);
  }

  /** The log's messages of these kinds, in their order. */
  said(...kinds: string[]): unknown[] {
    return this.pksigd.log.map(({ msg }) => msg).filter((msg) => kinds.includes(String(msg)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.stop();
    await this.pksigd.stop();
    await this.server.stop();
  }
}
