import { daemonOwner } from '../config/daemon-owner.ts';
import { managementPassword } from '../config/secrets.ts';
import type { KeySettings, Settings, TunnelSettings } from '../config/settings.ts';
import { AgentError } from '../errors.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { formatManagementAddress, type Relay } from '../management/index.ts';
import { Keyring } from './keyring.ts';
import { openRelay, place } from './open-relay.ts';
import { type AgentRounds, agentRounds } from './retry-rounds.ts';
import { RunningKey } from './running-key.ts';
import { secretsSurroundings, type Surroundings } from './surroundings.ts';
import { Tunnel } from './tunnel.ts';

/** What a module host's own deadline gets ahead, so that its error, which says more, comes first. In milliseconds. */
const DEADLINE_MARGIN = 500;

/** A tunnel of the agent, with what is its alone. */
interface RunningTunnel {
  readonly settings: TunnelSettings;
  readonly tunnel: Tunnel;
  readonly relay: Relay | undefined;
  readonly stop: AbortController;
  /** Settles when the last request is answered; undefined until it is served. */
  serving: Promise<void> | undefined;
  ending: Promise<void> | undefined;
  /** Why its key is of no use, if it ended for that. */
  failure: { readonly error: unknown } | undefined;
}

/**
 * The agent: owns tokens, keys and tunnels, any number of each, by the names that their settings have. Each is started,
 * changed and stopped alone; one that fails disturbs no other.
 */
export class Agent implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #surroundings: Surroundings;
  readonly #keyring: Keyring;
  readonly #rounds: AgentRounds;
  readonly #keys = new Map<string, RunningKey>();
  readonly #tunnels = new Map<string, RunningTunnel>();
  readonly #starting = new Set<string>();
  readonly #stop = new AbortController();
  #unlink: () => void = () => undefined;

  private constructor(settings: Settings, surroundings: Surroundings) {
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#keyring = new Keyring(settings.tokens, surroundings);
    this.#rounds = agentRounds(surroundings.clock);
  }

  /**
   * Starts the agent: listens wherever daemons or other clients are to connect, then opens the keys, since a port that is in
   * use must not cost a PIN's try.
   * @param signal ends the agent, as {@link stop} does
   * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_*; ERR_ABORTED at the signal. Keys that can't be opened are told by {@link ended}
   */
  static async open(settings: Settings, surroundings: Surroundings, signal: AbortSignal): Promise<Agent> {
    const agent = new Agent(settings, surroundings);
    const stop = (): void => {
      agent.stop();
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    agent.#unlink = () => {
      signal.removeEventListener('abort', stop);
    };
    try {
      for (const [name, key] of Object.entries(settings.keys)) agent.startKey(name, key);
      for (const [name, tunnel] of Object.entries(settings.tunnels)) await agent.#listen(name, tunnel);
      agent.#refuseAfterStop();
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
    for (const running of agent.#tunnels.values()) agent.#run(running);
    return agent;
  }

  /** Adds a key; it is opened when the first tunnel wants it. @throws AgentError ERR_USAGE if there is one of that name */
  startKey(name: string, settings: KeySettings): void {
    if (this.#keys.has(name)) throw new AgentError('ERR_USAGE', `there are two keys '${name}'`);
    this.#keys.set(name, new RunningKey(settings, this.#keyring, this.#surroundings));
  }

  /** Closes a key and forgets it. @throws AgentError ERR_USAGE if a tunnel uses it */
  async stopKey(name: string): Promise<void> {
    const users = [...this.#tunnels].filter(([, { settings }]) => settings.key === name).map(([user]) => user);
    if (users.length > 0) throw new AgentError('ERR_USAGE', `key '${name}' is used by tunnel ${users.join(', ')}`);
    const key = this.#keys.get(name);
    this.#keys.delete(name);
    await key?.[Symbol.asyncDispose]();
  }

  /** A key, as soon as it is open. @throws AgentError ERR_USAGE if there is none of that name; why it can't be opened */
  async key(name: string): Promise<OpenedKey> {
    return await this.#keyOf(name).opened();
  }

  /**
   * Adds a tunnel and serves its daemon from now on.
   * @throws AgentError ERR_USAGE if there is one of that name, or no such key; ERR_MANAGEMENT_*
   */
  async startTunnel(name: string, settings: TunnelSettings): Promise<void> {
    this.#run(await this.#listen(name, settings));
  }

  /** Ends a tunnel: requests under way are still answered, then its connections are closed. */
  async stopTunnel(name: string): Promise<void> {
    const running = this.#tunnels.get(name);
    running?.stop.abort();
    if (running) await ended(running);
    if (this.#tunnels.get(name) === running) this.#tunnels.delete(name);
  }

  /** Stops a tunnel and starts it with other settings. @throws AgentError as {@link startTunnel} does; then it is stopped */
  async changeTunnel(name: string, settings: TunnelSettings): Promise<void> {
    await this.stopTunnel(name);
    await this.startTunnel(name, settings);
  }

  /** Ends all tunnels, as {@link stopTunnel} does, and starts none any more. A prompt that stands is the terminal's to give up. */
  stop(): void {
    this.#stop.abort();
    for (const key of this.#keys.values()) key.giveUp();
  }

  /**
   * Resolves when all tunnels have ended.
   * @throws AgentError why a key can't be opened, if tunnels ended for that
   */
  async ended(): Promise<void> {
    await Promise.all([...this.#tunnels.values()].map(ended));
    const failed = [...this.#tunnels.values()].find(({ failure }) => failure);
    if (failed?.failure) throw failed.failure.error;
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlink();
    this.stop();
    await Promise.all([...this.#tunnels.keys()].map((name) => this.stopTunnel(name)));
    await Promise.all([...this.#keys.values()].map((key) => key[Symbol.asyncDispose]()));
    await this.#keyring[Symbol.asyncDispose]();
  }

  #refuseAfterStop(): void {
    if (this.#stop.signal.aborted) throw new AgentError('ERR_ABORTED', 'the agent was told to stop');
  }

  #keyOf(name: string): RunningKey {
    const key = this.#keys.get(name);
    if (!key) throw new AgentError('ERR_USAGE', `there is no key '${name}'`);
    return key;
  }

  /** Makes a tunnel and its relay: both listen from now on, where they are to listen at all. */
  async #listen(name: string, settings: TunnelSettings): Promise<RunningTunnel> {
    this.#refuseAfterStop();
    if (this.#tunnels.has(name) || this.#starting.has(name))
      throw new AgentError('ERR_USAGE', `there are two tunnels '${name}'`);
    this.#starting.add(name);
    try {
      const running = await this.#open(settings);
      this.#tunnels.set(name, running);
      return running;
    } finally {
      this.#starting.delete(name);
    }
  }

  async #open(settings: TunnelSettings): Promise<RunningTunnel> {
    const key = this.#keyOf(settings.key);
    const surroundings = this.#surroundings;
    const { clock, network } = surroundings;
    const owner = await daemonOwner(settings, surroundings.uid ?? 0);
    const stop = new AbortController();
    const relay = settings.relay && (await openRelay(settings.relay, surroundings));
    try {
      const tunnel = await Tunnel.open({
        ...settings,
        ...{ owner, relay, clock, network, rounds: this.#rounds },
        password: this.#passwordOf(settings),
        key: () => key.opened(),
        deadline: this.#settings.tokens.deadline + DEADLINE_MARGIN,
        signal: AbortSignal.any([this.#stop.signal, stop.signal]),
        emit: (event) => {
          surroundings.emit({ tunnel: formatManagementAddress(settings.address), ...event });
        },
      });
      this.#refuseAfterStop();
      return { settings, tunnel, relay, stop, serving: undefined, ending: undefined, failure: undefined };
    } catch (error) {
      await relay?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  #passwordOf({ password, address, openvpnConfig }: TunnelSettings) {
    if (password === undefined) return undefined;
    const around = secretsSurroundings(this.#surroundings);
    const what = `management password of ${place(address)}`;
    return () => managementPassword(password, what, around, openvpnConfig?.path);
  }

  #run(running: RunningTunnel): void {
    const { tunnel, stop, settings } = running;
    const key = this.#keyOf(settings.key);
    running.serving = tunnel.run();
    void ended(running);
    key.opened().catch(() => {
      running.failure = key.failure;
      stop.abort();
    });
  }
}

/** Settles when a tunnel has ended, served or not, and its relay with it. */
async function ended(running: RunningTunnel): Promise<void> {
  running.ending ??= end(running);
  await running.ending;
}

async function end({ serving, relay }: RunningTunnel): Promise<void> {
  await serving;
  await relay?.[Symbol.asyncDispose]();
}
