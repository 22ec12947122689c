import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultBed } from '../tokens/setup/fault.ts';
import { faultSetup } from '../tokens/setup/fault.ts';
import type { Bench } from '../support/bench.ts';
import { Pksigd, type LogLine } from '../support/pksigd.ts';
import { Tunnel, type TunnelOptions } from './tunnel.ts';

/** Seconds that a call into the module may take. */
const DEADLINE = 2;

type Section = Readonly<Record<string, string | number | boolean>>;

export interface WorldOptions {
  /** What stands in the configuration beside, or instead of, what stands there anyway. */
  readonly sections?: Readonly<Record<string, Section>>;
  /** Stands in for node. */
  readonly launcher?: (bench: Bench) => Promise<string>;
  readonly environment?: (bench: Bench) => Promise<Record<string, string>>;
  /** Of the tunnel that is hit. */
  readonly tunnel?: (bench: Bench) => Partial<TunnelOptions>;
  /** What must be there before anything starts. */
  readonly prepare?: (bench: Bench) => Promise<void>;
}

/**
 * The built agent with two tunnels of real daemons, and an audit log: `hit` has its key in a token behind a shim that fails as it is
 * told, `other` has one in a file, and must be served whatever happens to the first.
 */
export class World implements AsyncDisposable {
  readonly bed: FaultBed;
  agent: Pksigd;
  hit!: Tunnel;
  other!: Tunnel;
  readonly #options: WorldOptions;
  readonly #environment: Record<string, string>;
  readonly #launcher: string | undefined;

  private constructor(bed: FaultBed, options: WorldOptions, environment: Record<string, string>, launcher?: string) {
    this.bed = bed;
    this.#options = options;
    this.#environment = environment;
    this.#launcher = launcher;
    this.agent = this.startAgent();
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const bed = await faultSetup.start();
    const { bench } = bed;
    try {
      for (const folder of ['run', 'state', 'audit']) await mkdir(bench.path(folder), { mode: 0o700 });
      await options.prepare?.(bench);
      await bench.write('pksigd.toml', configurationOf(bed, options.sections));
      const world = new World(
        bed,
        options,
        (await options.environment?.(bench)) ?? {},
        await options.launcher?.(bench),
      );
      const start = (name: string, more: Partial<TunnelOptions> = {}): Promise<Tunnel> =>
        Tunnel.start(bench, { management: bench.path(`run/${name}`), ...more });
      [world.hit, world.other] = await Promise.all([start('hit', options.tunnel?.(bench)), start('other')]);
      await Promise.all([world.hit.outcome(0), world.other.outcome(0)]);
      return world;
    } catch (error) {
      console.error(bench.transcript);
      await bed.stop();
      throw error;
    }
  }

  get bench(): Bench {
    return this.bed.bench;
  }

  get transcript(): string {
    return this.bench.transcript;
  }

  startAgent(): Pksigd {
    const args = ['run', '--config', this.bench.path('pksigd.toml')];
    const env = { ...this.bed.moduleEnvironment, ...this.#environment };
    const options = this.#launcher === undefined ? { env } : { env, launcher: this.#launcher };
    this.agent = this.bench.adopt(new Pksigd(this.bench.folder, args, undefined, options));
    return this.agent;
  }

  /** Another configuration, which the agent reads at its next SIGHUP. */
  async configure(sections: WorldOptions['sections'] = {}): Promise<void> {
    await this.bench.write('pksigd.toml', configurationOf(this.bed, { ...this.#options.sections, ...sections }));
  }

  /** The module hosts. */
  get hosts(): number[] {
    return this.agent.children;
  }

  /** Where the agent's log is now, for {@link codes}. */
  mark(): number {
    return this.agent.lines.length;
  }

  /** What the agent's log says of trouble from a place on: codes, or the texts of lines that have none. */
  codes(from: number): string[] {
    const lines = this.agent.lines.slice(from).filter((line) => /^\{"level":"(?:warn|error|fatal)"/.test(line));
    const words = lines.map((line) => JSON.parse(line) as LogLine).map(({ code, msg }) => String(code ?? msg));
    return [...new Set(words)].sort();
  }

  /** Waits for a line of the agent's log, from a place on. */
  async logged(from: number, pattern: RegExp): Promise<void> {
    const { agent } = this;
    await agent.until(pattern.source, () => agent.lines.slice(from).find((line) => pattern.test(line)));
  }

  /** Waits until the agent has looked at its token once more. */
  async lookedAt(): Promise<void> {
    const looks = async (): Promise<number> => (await this.bed.calls('C_GetSessionInfo')).length;
    for (const before = await looks(); (await looks()) === before; ) await sleep(50);
  }

  /** A path as the agent sees it, which may be in a mount namespace of its own. */
  inside(path: string): string {
    return `/proc/${this.agent.pid}/root${path}`;
  }

  /** What `audit verify` finds wrong with the log; undefined if it is as it must be. */
  async auditFault(): Promise<string | undefined> {
    const { bench } = this;
    const places = [bench.path('audit/log.jsonl'), bench.path('state')].map((path) => this.inside(path));
    const [log = '', state = ''] = places;
    const args = ['audit', 'verify', log, '--state-directory', state];
    const verify = bench.adopt(new Pksigd(bench.folder, args, undefined, {}));
    return (await verify.exited) === 0 ? undefined : verify.transcript;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bed.stop();
  }
}

function configurationOf(bed: FaultBed, more: WorldOptions['sections'] = {}): string {
  const { bench } = bed;
  const usual: Record<string, Section> = {
    log: { level: 'debug' },
    token: { 'pin-source': bed.pinFile, module: bed.modulePath, deadline: DEADLINE },
    state: { directory: bench.path('state') },
    agent: { control: bench.path('run/control.sock') },
    audit: { file: bench.path('audit/log.jsonl') },
    'key.token': { key: `pkcs11:${bed.key('p256').uri}` },
    'key.file': { key: bench.recipe('p256.pem') },
    'tunnel.hit': { key: 'token', management: `${bench.path('run/hit')} unix` },
    'tunnel.other': { key: 'file', management: `${bench.path('run/other')} unix` },
  };
  const names = new Set([...Object.keys(usual), ...Object.keys(more)]);
  return [...names]
    .map((name) => {
      const entries = Object.entries({ ...usual[name], ...more[name] });
      return `[${name}]\n${entries.map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('')}`;
    })
    .join('\n');
}
