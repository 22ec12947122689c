import { existsSync } from 'node:fs';
import { freePort, ownAddress, type Bench, type KeyName } from './bench.ts';
import { Child } from './child.ts';

/** Debian's is where only root looks. */
const INSTALLED = ['/usr/sbin/openvpn', '/usr/local/sbin/openvpn'].find((path) => existsSync(path)) ?? 'openvpn';

/** Another build of OpenVPN than the installed one can be tried: OPENVPN=/path/to/openvpn. */
export const OPENVPN: string = process.env['OPENVPN'] ?? INSTALLED;

export interface ServerOptions {
  proto?: 'udp' | 'tcp';
  /** The one TLS version spoken; without it OpenVPN's choice, which is 1.3. */
  tls?: '1.0' | '1.2' | '1.3' | undefined;
  args?: readonly string[];
  /** Takes the place of this server, which has ended. */
  insteadOf?: OpenVpnServer;
  /** Asks a management client for its signatures, and has no key of its own. */
  externalKey?: { management: Management; words: string };
}

/** OpenVPN without a network device: what both ends have in common. */
const COMMON = ['--dev', 'null', '--ifconfig-noexec', '--verb', '3', '--dh', 'none'];
const COMPLETED = /Initialization Sequence Completed/;

/** A real OpenVPN server on a loopback address of its own; it trusts the CA of softhsm/make-token. */
export class OpenVpnServer extends Child {
  readonly address: string;
  readonly port: number;
  readonly proto: 'udp' | 'tcp';

  private constructor(bench: Bench, address: string, port: number, options: ServerOptions) {
    const { proto = 'udp', tls, args = [], externalKey } = options;
    const version = tls === undefined ? [] : ['--tls-version-min', tls, '--tls-version-max', tls];
    const local = ['--local', address, '--port', `${port}`, '--proto', proto === 'tcp' ? 'tcp-server' : 'udp'];
    const certificates = ['--ca', bench.recipe('ca.crt'), '--cert', bench.recipe('server.crt')];
    const key = externalKey
      ? [...managementArgs(externalKey.management), '--management-external-key', ...externalKey.words.split(' ')]
      : ['--key', bench.recipe('server.pem')];
    super('openvpn server', OPENVPN, [
      ...['--tls-server', ...COMMON, ...local, ...certificates, ...key, ...version, ...args],
    ]);
    this.address = address;
    this.port = port;
    this.proto = proto;
  }

  static async start(bench: Bench, options: ServerOptions): Promise<OpenVpnServer> {
    const address = options.insteadOf?.address ?? ownAddress();
    const port = options.insteadOf?.port ?? (await freePort(address));
    const server = bench.adopt(new OpenVpnServer(bench, address, port, options));
    await server.logged(/link remote: \[AF_UNSPEC\]|Listening for incoming TCP connection/);
    return server;
  }

  /** Waits until `times` handshakes with a client's certificate are through. */
  async handshakes(times: number): Promise<void> {
    await this.logged(/Control Channel: TLSv1/, times);
  }
}

/** Where the management interface is, in the words of `--management`. */
export interface Management {
  address: string;
  /** A port number, or `unix`. */
  port: string;
  passwordFile?: string | undefined;
}

/** The directive's arguments, the same for OpenVPN and for pksigd. */
export function managementArgs({ address, port, passwordFile }: Management): string[] {
  return ['--management', address, port, ...(passwordFile === undefined ? [] : [passwordFile])];
}

export interface ClientOptions {
  management: Management;
  /** Whose certificate the client shows, from a file, or by asking the management client for it. */
  certificate: { file: KeyName } | { hint: string };
  /** The arguments of `--management-external-key`, such as `nopadding pkcs1 pss`. */
  externalKey?: string;
  /** Adds `--management-client`: OpenVPN connects to the management client. */
  managementClient?: boolean;
  hold?: boolean;
  args?: readonly string[];
}

/** A real OpenVPN client that asks its management client for signatures. */
export class OpenVpnClient extends Child {
  constructor(bench: Bench, server: OpenVpnServer, options: ClientOptions) {
    const { externalKey = 'nopadding pkcs1 pss', certificate } = options;
    super('openvpn client', OPENVPN, [
      ...['--tls-client', ...COMMON, '--ca', bench.recipe('ca.crt'), '--nobind', '--connect-retry', '1', '1'],
      ...['--remote', server.address, `${server.port}`, server.proto === 'tcp' ? 'tcp-client' : 'udp'],
      ...managementArgs(options.management),
      ...(options.managementClient === true ? ['--management-client'] : []),
      ...(options.hold === false ? [] : ['--management-hold']),
      ...['--management-external-key', ...externalKey.split(' ').filter((word) => word !== '')],
      ...('file' in certificate
        ? ['--cert', bench.recipe(`${certificate.file}.crt`)]
        : ['--management-external-cert', certificate.hint]),
      ...(options.args ?? []),
    ]);
  }

  /** Waits until the tunnel has been up `times` times. */
  async connected(times = 1): Promise<void> {
    await this.logged(COMPLETED, times);
  }
}

/** An .ovpn with these lines, for a client of `server` without a network device. */
export async function clientConfig(bench: Bench, lines: readonly string[], server?: OpenVpnServer): Promise<string> {
  const common = ['tls-client', 'dev null', 'ifconfig-noexec', 'verb 3', 'nobind', 'connect-retry 1 1'];
  const remote = [`remote ${server?.address ?? '127.0.0.1'} ${server?.port ?? 9} udp`, `ca ${bench.recipe('ca.crt')}`];
  return await bench.write('client.ovpn', `${[...common, ...remote, ...lines].join('\n')}\n`);
}
