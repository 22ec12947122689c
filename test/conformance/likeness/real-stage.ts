import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort, type Bench } from '../../support/bench.ts';
import type { OpenVpnClient } from '../../support/openvpn.ts';
import { signatureOf } from './signature.ts';
import { type Settings, Stage } from './dialogue.ts';

/** A real OpenVPN client, with a server. */
export class RealStage extends Stage {
  readonly #bench: Bench;
  readonly #daemon: OpenVpnClient;
  readonly #place: { readonly path: string } | { readonly port: number };
  readonly #server: Server | undefined;
  readonly #accepted: Socket[];

  private constructor(
    bench: Bench,
    daemon: OpenVpnClient,
    place: { readonly path: string } | { readonly port: number },
    server: Server | undefined,
    accepted: Socket[],
  ) {
    super();
    this.#bench = bench;
    this.#daemon = daemon;
    this.#place = place;
    this.#server = server;
    this.#accepted = accepted;
  }

  static async open(bench: Bench, settings: Settings): Promise<RealStage> {
    const { isHeld = true, password, isClient = false, isTcp = false, renegotiates, isImpatient, pings } = settings;
    const vpn = await bench.server({ args: ['--connect-retry', '0', '0'] });
    const place = isTcp ? { port: await freePort() } : { path: bench.path('m.sock') };
    const accepted: Socket[] = [];
    const server = isClient ? createServer((socket) => accepted.push(socket)) : undefined;
    if (server) {
      server.listen(place);
      await once(server, 'listening');
    }
    const passwordFile = password === undefined ? undefined : await bench.write('password', `${password}\n`);
    const daemon = bench.client(vpn, {
      management: {
        ...('port' in place ? { address: '127.0.0.1', port: `${place.port}` } : { address: place.path, port: 'unix' }),
        passwordFile,
      },
      certificate: { file: 'p256' },
      externalKey: '',
      hold: isHeld,
      managementClient: isClient,
      args: [
        ...['--connect-retry', '1', '5'],
        ...(renegotiates === true ? ['--reneg-sec', '1', '0'] : []),
        ...(pings === true ? ['--ping', '1'] : []),
        ...(isImpatient === true ? ['--hand-window', '10'] : []),
      ],
    });
    // a server without --mode server keeps to the handshake that it has begun
    daemon.process.stdout.on('data', (text: Buffer) => {
      if (/SIG\w+\[.*\] received, process restarting/.test(text.toString())) vpn.kill('SIGUSR1');
    });
    if (!isClient) await daemon.logged(/MANAGEMENT: .* listening on/);
    return new RealStage(bench, daemon, place, server, accepted);
  }

  protected override async join(): Promise<Socket> {
    if (this.#server) {
      if (this.#accepted.length === 0) await once(this.#server, 'connection');
      const [socket] = this.#accepted.splice(0, 1);
      if (!socket) throw new Error('no connection');
      return socket;
    }
    const socket = connect(this.#place);
    await once(socket, 'connect');
    return socket;
  }

  protected override async refusal(): Promise<string> {
    const socket = connect(this.#place);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    return error.code ?? error.message;
  }

  protected override signature(request: string): string {
    return signatureOf(request, createPrivateKey(readFileSync(this.#bench.recipe('p256.pem'))));
  }

  override async asks(): Promise<void> {
    await this.#daemon.logged(/Need information from management interface/);
  }

  protected override async ended(): Promise<void> {
    await this.#daemon.exited;
  }

  async close(): Promise<void> {
    for (const socket of this.#accepted) socket.destroy();
    const server = this.#server;
    if (server) await new Promise((resolve) => server.close(resolve));
  }
}
