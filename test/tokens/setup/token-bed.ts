import { execFile, spawnSync } from 'node:child_process';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Bench, type KeyName } from '../../support/bench.ts';
import type { Child } from '../../support/child.ts';

/** A key on a token, and what signatures by it are checked with. */
export interface BedKey {
  readonly name: KeyName;
  /** The path attributes of its pkcs11: URI. */
  readonly uri: string;
  readonly publicKey: KeyObject;
  /** A certificate's file, for tokens that tell nothing of the public half. */
  readonly certificate?: string;
}

/** What a setup finds out. */
export interface BedParts {
  readonly modulePath: string;
  readonly keys: readonly BedKey[];
  /** For the module's process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What C_Initialize wants as a string. */
  readonly initArgs?: string | undefined;
  /** Without it the token's keys need no login. */
  readonly pin?: string | undefined;
  /** The process that stands behind the module, for tests that kill it. */
  readonly daemon?: Child | undefined;
  /** Stands in for node where the module runs in namespaces of its own. */
  readonly launcher?: string;
}

/** A real PKCS#11 module with a token and keys, in a folder of its own. */
export class TokenBed {
  readonly bench: Bench;
  readonly modulePath: string;
  readonly keys: readonly BedKey[];
  readonly environment: Readonly<Record<string, string>>;
  readonly initArgs: string | undefined;
  readonly pin: string | undefined;
  readonly pinFile: string;
  readonly launcher: string;
  readonly daemon: Child | undefined;

  constructor(bench: Bench, pinFile: string, parts: BedParts) {
    this.bench = bench;
    this.pinFile = pinFile;
    this.modulePath = parts.modulePath;
    this.keys = parts.keys;
    this.environment = parts.environment ?? {};
    this.initArgs = parts.initArgs;
    this.pin = parts.pin;
    this.daemon = parts.daemon;
    this.launcher = parts.launcher ?? process.execPath;
  }

  key(name: KeyName): BedKey {
    const key = this.keys.find((candidate) => candidate.name === name);
    if (!key) throw new Error(`no key ${name} on this token`);
    return key;
  }

  /** The module's processes' environment: nothing of this machine's but PATH. */
  get moduleEnvironment(): Record<string, string> {
    return { ...toolEnvironment(), HOME: this.bench.folder, ...this.environment };
  }

  async stop(): Promise<void> {
    await this.bench.close();
  }
}

/** The columns of docs/TOKENS.md. */
export const COLUMNS = {
  RSA: [
    'PKCS #1, DigestInfo',
    'PKCS #1, MD5-SHA1',
    'PKCS #1, message',
    'PSS, digest',
    'PSS, message',
    'raw, PKCS #1 block',
    'raw, PSS block',
  ],
  ECDSA: ['P-256', 'P-384', 'P-521'],
  EdDSA: ['Ed25519', 'Ed448'],
} as const;
export type Column = (typeof COLUMNS)[keyof typeof COLUMNS][number];

/** One module of the test bed. */
export interface TokenSetup {
  readonly name: string;
  /** Debian packages, for whoever reads that they are missing. */
  readonly packages: readonly string[];
  /** Why the token has no such keys, or can't sign so with any: what stands in the table then. */
  readonly lacks?: Readonly<Partial<Record<Column, string>>>;
  /** Why it can't be set up on this machine; undefined if it can. */
  readonly unavailable: () => string | undefined;
  readonly start: () => Promise<TokenBed>;
}

/** A PIN that every module takes: openCryptoki allows 4 to 8 bytes, PIV 6 to 8 digits. */
export const PIN = '471108';
export const SO_PIN = '87654321';

function toolEnvironment(): Record<string, string> {
  return { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C.UTF-8' };
}

/** Runs a tool to its end. @returns what it wrote to standard output */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; cwd?: string; input?: string } = {},
): Promise<string> {
  const { env, cwd, input } = options;
  return await new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { env: { ...toolEnvironment(), ...env }, ...(cwd !== undefined && { cwd }) },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else reject(new Error(`${command} ${args.join(' ')}: ${stdout}${stderr}`, { cause: error }));
      },
    );
    // a tool that reads nothing may be gone by now: its status says how it went
    child.stdin?.on('error', () => undefined).end(input ?? '');
  });
}

function folders(): string[] {
  const multiarch = readdirSync('/usr/lib').filter((name) => name.includes('-linux-'));
  const libraries = [...multiarch.map((name) => join('/usr/lib', name)), '/usr/lib64', '/usr/lib', '/usr/local/lib'];
  return [
    ...libraries.flatMap((folder) => [join(folder, 'pkcs11'), folder, join(folder, 'softhsm')]),
    '/usr/lib/pcsc/drivers',
  ];
}

/** A shared library of this machine, by its file's name. */
function findLibrary(file: string): string | undefined {
  return folders()
    .map((folder) => join(folder, file))
    .find((path) => existsSync(path));
}

export function library(file: string): string {
  const path = findLibrary(file);
  if (path === undefined) throw new Error(`no ${file} on this machine`);
  return path;
}

export function findTool(tool: string): string | undefined {
  return `${toolEnvironment()['PATH'] ?? ''}:/usr/libexec/p11-kit:/usr/lib/p11-kit`
    .split(':')
    .map((folder) => join(folder, tool))
    .find((path) => existsSync(path));
}

/** What is missing of these libraries and tools; as an unavailable() says it. */
export function missing(libraries: readonly string[], tools: readonly string[], asRoot = false): string | undefined {
  const absent = [
    ...libraries.filter((file) => findLibrary(file) === undefined),
    ...tools.filter((tool) => findTool(tool) === undefined),
  ];
  if (absent.length > 0) return `no ${absent.join(', ')}`;
  return asRoot && !canMakeNamespaces() ? 'it needs root, for namespaces of its own' : undefined;
}

let namespaces: boolean | undefined;

/** Root may be forbidden to, in a container. */
function canMakeNamespaces(): boolean {
  const script = 'ip link set lo up && mount -t tmpfs none /run';
  const args = ['--net', '--mount', '--propagation', 'private', 'sh', '-ec', script];
  namespaces ??= spawnSync('unshare', args, { env: toolEnvironment(), stdio: 'ignore' }).status === 0;
  return namespaces;
}

/** A bed in a new folder; everything that was started ends if the setup fails. */
export async function makeBed(build: (bench: Bench) => Promise<BedParts>): Promise<TokenBed> {
  const bench = await Bench.open();
  try {
    const parts = await build(bench);
    return new TokenBed(bench, await bench.write('bed.pin', `${parts.pin ?? ''}\n`), parts);
  } catch (error) {
    const { transcript } = bench;
    await bench.close();
    throw transcript === '' ? error : new Error(transcript, { cause: error });
  }
}

/** A key of the run's own recipe, which was brought onto the token. */
export async function recipeKey(bench: Bench, name: KeyName, uri: string): Promise<BedKey> {
  return { name, uri, publicKey: createPublicKey(await readFile(bench.recipe(`${name}.pub.pem`))) };
}
