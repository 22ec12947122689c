import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ManagementAddress } from '../../../src/management/index.ts';
import { OPENVPN } from '../../support/openvpn.ts';

/** `2.6` of `OpenVPN 2.6.14 …`. */
export const release: string =
  /^OpenVPN (\d+\.\d+)/.exec(spawnSync(OPENVPN, ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? 'none';

/** A folder of its own with a CA, a server's and a client's certificate (P-256), gone with `remove`. */
export class Lab {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'pksigd-mgmt-'));
  readonly #running = new Set<RealDaemon>();

  constructor() {
    this.openssl('req', '-x509', '-subj', '/CN=Test CA', '-keyout', 'ca.key', '-out', 'ca.crt', ...EC);
    for (const [name, usage] of [
      ['server', 'serverAuth'],
      ['client', 'clientAuth'],
    ] as const) {
      writeFileSync(this.path(`${name}.ext`), `extendedKeyUsage=${usage}\nkeyUsage=digitalSignature\n`);
      this.openssl('req', '-subj', `/CN=test-${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`, ...EC);
      const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30'];
      this.openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.ext`, ...signing);
    }
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Starts openvpn in the lab's folder; `prefix` goes before the command (`ip netns exec …`). */
  start(args: readonly string[], prefix: readonly string[] = []): RealDaemon {
    const daemon = new RealDaemon([...prefix, OPENVPN, '--cd', this.folder, '--verb', '3', ...args]);
    this.#running.add(daemon);
    return daemon;
  }

  async remove(): Promise<void> {
    await Promise.all([...this.#running].map((daemon) => daemon.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs openssl in the lab's folder. */
  openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: 'ignore' });
  }
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An openvpn process of ours. */
export class RealDaemon {
  log = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #wake: () => void = () => undefined;
  #gone = false;

  constructor(command: readonly string[]) {
    const [program = '', ...args] = command;
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.log += chunk.toString();
        this.#wake();
      });
    }
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code) => {
        this.#gone = true;
        this.#wake();
        resolve(code);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Waits until the daemon has logged `text`. */
  async logged(text: string): Promise<void> {
    while (!this.log.includes(text)) {
      if (this.#gone) throw new Error(`openvpn ended before ${JSON.stringify(text)}:\n${this.log}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  exited(): Promise<number | null> {
    return this.#exited;
  }

  async stop(): Promise<void> {
    if (!this.#gone) this.#child.kill('SIGTERM');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 60_000);
    await this.#exited;
    clearTimeout(kill);
  }
}

/**
 * A UDP port that was free a moment ago, and stays so: none of those that the system gives to sockets which ask for no port,
 * among them those of other tests' clients.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const socket = createSocket('udp4');
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once('error', () => {
        resolve(false);
      });
      socket.bind(port, '127.0.0.1', () => {
        resolve(true);
      });
    });
    await new Promise<void>((resolve) => socket.close(resolve));
    if (isFree) return port;
  }
}

/** Options of a server without a network device, at `port` of 127.0.0.1. */
export function serverArgs(port: number): string[] {
  return [
    ...['--dev', 'null', '--tls-server', '--proto', 'udp', '--local', '127.0.0.1', '--port', String(port)],
    ...['--ca', 'ca.crt', '--cert', 'server.crt', '--key', 'server.key', '--dh', 'none', '--ifconfig-noexec'],
  ];
}

/** Options of a client of it, without its key. */
export function clientArgs(port: number): string[] {
  return [
    ...['--dev', 'null', '--tls-client', '--proto', 'udp', '--remote', '127.0.0.1', String(port), '--nobind'],
    ...['--ca', 'ca.crt', '--ifconfig-noexec', '--route-noexec'],
  ];
}

/** The words of `--management` for an address. */
export function managementArgs(address: ManagementAddress): string[] {
  return address.kind === 'unix'
    ? ['--management', address.path, 'unix']
    : ['--management', address.host, String(address.port)];
}

/** Why tests with a TUN device can't run here; undefined if they can. */
export function whyNoTun(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to make a network namespace and a TUN device';
  if (!existsSync('/dev/net/tun')) {
    try {
      execFileSync('sh', ['-c', 'mkdir -p /dev/net && mknod /dev/net/tun c 10 200'], { stdio: 'ignore' });
    } catch {
      return 'no /dev/net/tun, and it cannot be made';
    }
  }
  try {
    execFileSync('unshare', ['--net', 'sh', '-c', 'ip link set lo up && ip tuntap add dev tun0 mode tun'], {
      stdio: 'ignore',
    });
    return undefined;
  } catch {
    return 'no TUN device in a network namespace of our own';
  }
}
