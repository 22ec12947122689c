import { randomInt } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { inject, test as base, type TestAPI } from 'vitest';
import type { Child } from './child.ts';
import { OpenVpnClient, OpenVpnServer, type ClientOptions, type ServerOptions } from './openvpn.ts';
import { Pksigd, type PksigdOptions } from './pksigd.ts';

/** The keys of softhsm/make-token. */
export const KEYS = ['rsa2048', 'rsa3072', 'rsa4096', 'p256', 'p384', 'p521', 'ed25519', 'ed448'] as const;
export type KeyName = (typeof KEYS)[number];
export type KeyHome = 'file' | 'SoftHSM';

/** What one test works with: a folder, a loopback address, keys, and processes that end with the test. */
export class Bench {
  readonly folder: string;
  readonly #children: Child[] = [];
  readonly #ends: (() => Promise<void>)[] = [];
  #token: Promise<string> | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Bench> {
    return new Bench(await mkdtemp(join(tmpdir(), 'pksigd-test-')));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async write(name: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
    await writeFile(this.path(name), content, { mode });
    return this.path(name);
  }

  /** A file of softhsm/make-token's keys, such as `p256.pem`, `p256.pub.pem`, `p256.crt`, `ca.crt`. */
  recipe(file: string): string {
    return join(inject('recipe'), 'keys', file);
  }

  get pinFile(): string {
    return join(inject('recipe'), 'pin');
  }

  async pin(): Promise<string> {
    return (await readFile(this.pinFile, 'utf8')).trim();
  }

  /** This test's own copy of the token: the path of its SOFTHSM2_CONF. */
  token(): Promise<string> {
    this.#token ??= (async () => {
      await cp(join(inject('recipe'), 'tokens'), this.path('tokens'), { recursive: true });
      const conf = await readFile(join(inject('recipe'), 'softhsm2.conf'), 'utf8');
      return this.write('softhsm2.conf', conf.replaceAll(inject('recipe'), this.folder));
    })();
    return this.#token;
  }

  /** The value of `--key`. `query` overrules the URI's query attributes. */
  key(name: KeyName, home: KeyHome, query: Record<string, string> = {}): string {
    if (home === 'file') return this.recipe(`${name}.pem`);
    const attributes = { 'module-path': inject('softhsmModule'), 'pin-source': `file:${this.pinFile}`, ...query };
    return `pkcs11:token=pksigd;object=${name}?${Object.entries(attributes)
      .map(([attribute, value]) => `${attribute}=${value}`)
      .join('&')}`;
  }

  server(options: ServerOptions = {}): Promise<OpenVpnServer> {
    return OpenVpnServer.start(this, options);
  }

  client(server: OpenVpnServer, options: ClientOptions): OpenVpnClient {
    return this.adopt(new OpenVpnClient(this, server, options));
  }

  async pksigd(args: readonly string[], options: PksigdOptions = {}): Promise<Pksigd> {
    const softhsm2Conf = args.some((arg) => arg.includes('pkcs11:')) ? await this.token() : undefined;
    return this.adopt(new Pksigd(this.folder, args, softhsm2Conf, options));
  }

  /** Ends `child` with the test. */
  adopt<T extends Child>(child: T): T {
    this.#children.push(child);
    return child;
  }

  /** Does this at the end of the test, behind its processes. */
  onEnd(work: () => Promise<void>): void {
    this.#ends.push(work);
  }

  /** What all processes of this test said. */
  get transcript(): string {
    return this.#children.map((child) => child.transcript).join('\n');
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop()));
    await Promise.all(this.#ends.map((end) => end()));
    await removeFolder(this.folder);
  }
}

/** Module hosts of an agent that was killed end a moment later, and may write until then. */
async function removeFolder(path: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await rm(path, { recursive: true, force: true });
      return;
    } catch (error) {
      if (tries === 100 || !(error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY')) throw error;
      await setTimeout(100);
    }
  }
}

/** A test with a bench of its own; when the test fails, its processes' logs are printed. */
export const test: TestAPI<{ bench: Bench }> = base.extend<{ bench: Bench }>({
  bench: async ({ onTestFailed }, use) => {
    const bench = await Bench.open();
    onTestFailed(({ task }) => {
      console.error(`${task.name}:\n${bench.transcript}`);
    });
    await use(bench);
    await bench.close();
  },
});

/**
 * A TCP port on `address` that was free a moment ago, and stays so: none of those that the system gives to sockets which
 * ask for no port (on Linux from 32,768 on), among them the UDP sockets of other tests' clients on all addresses.
 */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => {
        resolve(false);
      });
      server.listen(port, address, () => {
        resolve(true);
      });
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

let addresses = 0;

/**
 * An IPv4 loopback address that no other test of this run uses: a port that was free a moment ago
 * stays free on it, as nobody else asks for one there.
 */
export function ownAddress(): string {
  addresses += 1;
  return `127.${1 + (process.pid % 250)}.${1 + (Math.floor(process.pid / 250) % 250)}.${1 + (addresses % 250)}`;
}
