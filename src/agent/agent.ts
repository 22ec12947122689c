import { isDeepStrictEqual } from 'node:util';
import { daemonOwner } from '../config/daemon-owner.ts';
import { defaultStateDirectory } from '../config/state-directory.ts';
import type { KeySettings, Settings, TokenSettings, TunnelSettings } from '../config/settings.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { formatManagementAddress } from '../management/index.ts';
import type { Secret } from '../secret.ts';
import { keyKind, keyKindName } from '../signing/public-key.ts';
import { Audit } from './audit/audit.ts';
import { decideBy } from './decide-by.ts';
import { compareKeys, compareTunnels, type Difference, type Renewed, wanted } from './difference.ts';
import { Lock } from './lock.ts';
import { Pace } from './pace.ts';
import { openRelay } from './open-relay.ts';
import { rehearse } from './rehearsal.ts';
import { TunnelAnswers } from './questions/tunnel-answers.ts';
import { type AgentRounds, agentRounds } from './retry-rounds.ts';
import { RunningKeys } from './running-keys.ts';
import { commonFailure, ended, passwordOf, type RunningTunnel } from './running-tunnel.ts';
import { secretsSurroundings, type Surroundings } from './surroundings.ts';
import { Tunnel } from './tunnel.ts';

/** What a module host's own deadline gets ahead, so that its error, which says more, comes first. In milliseconds. */
const DEADLINE_MARGIN = 500;

/**
 * The agent: owns tokens, keys and tunnels, any number of each, by the names that their settings have. Each is started,
 * changed and stopped alone; one that fails disturbs no other.
 */
export class Agent implements AsyncDisposable {
  #tokens: TokenSettings;
  readonly #surroundings: Surroundings;
  readonly #rounds: AgentRounds;
  readonly #lock: Lock;
  readonly #keys: RunningKeys;
  readonly #audit: Audit;
  readonly #tunnels = new Map<string, RunningTunnel>();
  readonly #starting = new Set<string>();
  readonly #stop = new AbortController();
  /** Aborted when there is something to do. */
  readonly #idle = new AbortController();
  /** The last {@link apply}: it settles when nothing is changed any more. */
  #applying: Promise<unknown> = Promise.resolve();
  /** How many of them are not over. */
  #changes = 0;
  #unlink: () => void = () => undefined;
  #end: Promise<void> | undefined;

  private constructor({ tokens }: Settings, surroundings: Surroundings) {
    this.#tokens = tokens;
    this.#surroundings = surroundings;
    this.#keys = new RunningKeys(tokens, surroundings, {
      onWaiting: () => {
        this.#settle();
      },
      users: (key) => this.#usersOf(key),
    });
    this.#rounds = agentRounds(surroundings.clock);
    this.#lock = new Lock(surroundings.clock);
    const { clock, emit, pid, uid, release = 'unknown' } = surroundings;
    this.#audit = new Audit({ clock, emit, pid, uid, release });
  }

  /**
   * Starts the agent: opens its audit log, listens wherever daemons or other clients are to connect, then opens the keys, since a port that is in
   * use must not cost a PIN's try. A tunnel that can't start is told of, and keeps no other from starting; if none can, that
   * is an error.
   * @param signal ends the agent, as {@link stop} does
   * @throws AgentError ERR_USAGE, ERR_AUDIT_*, ERR_MANAGEMENT_*; ERR_ABORTED at the signal. Keys that can't be opened are told by {@link ended}
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
      await agent.#audit.open(settings.audit, agent.#stateDirectory(settings));
      for (const [name, key] of Object.entries(settings.keys)) agent.startKey(name, key);
      await agent.#listenAll(settings);
      agent.#refuseAfterStop();
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
    for (const [name, running] of agent.#tunnels) agent.#run(name, running);
    return agent;
  }

  /** Where it is, worked out when it is needed: there may be none. */
  #stateDirectory({ tokens }: Settings): () => string {
    return () => tokens.pins.stateDirectory ?? defaultStateDirectory(this.#surroundings.environment);
  }

  async #listenAll({ tunnels, broken = [] }: Settings): Promise<void> {
    const failed = broken.map(({ name, error }): [string, unknown] => [name, error]);
    for (const [name, tunnel] of Object.entries(tunnels)) {
      try {
        await this.#listen(name, tunnel);
      } catch (error) {
        failed.push([name, error]);
      }
      this.#refuseAfterStop();
    }
    if (failed[0] && this.#tunnels.size === 0) throw failed[0][1];
    for (const [name, error] of failed) this.#tellFailure(name, error);
  }

  #tellFailure(tunnel: string, error: unknown): void {
    if (errorCode(error) === 'ERR_ABORTED' && this.#stop.signal.aborted) return;
    this.#surroundings.emit({ type: 'tunnel-failed', tunnel, code: errorCode(error), error: errorText(error) });
  }

  /** Adds a key; it is opened when the first tunnel wants it. @throws AgentError ERR_USAGE if there is one of that name */
  startKey(name: string, settings: KeySettings): void {
    this.#keys.start(name, settings);
  }

  /** The tunnels of a key, by their names. */
  #usersOf(key: string): string[] {
    return [...this.#tunnels].filter(([, { settings }]) => settings.key === key).map(([name]) => name);
  }

  /** Closes a key and forgets it. @throws AgentError ERR_USAGE if a tunnel uses it */
  async stopKey(name: string): Promise<void> {
    const users = this.#usersOf(name);
    if (users.length > 0) throw new AgentError('ERR_USAGE', `key '${name}' is used by tunnel ${users.join(', ')}`);
    await this.#keys.stop(name);
  }

  /** A key, as soon as it is open. @throws AgentError ERR_USAGE if there is none of that name; why it can't be opened */
  async key(name: string): Promise<OpenedKey> {
    return await this.#keys.get(name).opened();
  }

  /**
   * Adds a tunnel and serves its daemon from now on.
   * @throws AgentError ERR_USAGE if there is one of that name, or no such key; ERR_MANAGEMENT_*
   */
  async startTunnel(name: string, settings: TunnelSettings): Promise<void> {
    this.#run(name, await this.#listen(name, settings));
  }

  /** Ends a tunnel: requests under way are still answered, then its connections are closed. */
  async stopTunnel(name: string): Promise<void> {
    const running = this.#tunnels.get(name);
    running?.stop.abort();
    // the last request may take a while, and the next tunnel may want the address now
    running?.relay?.stopListening();
    if (running) await ended(running);
    if (this.#tunnels.get(name) === running) this.#tunnels.delete(name);
    this.#settle();
  }

  /** Stops a tunnel and starts it with other settings. @throws AgentError as {@link startTunnel} does; then it is stopped */
  async changeTunnel(name: string, settings: TunnelSettings): Promise<void> {
    await this.stopTunnel(name);
    await this.startTunnel(name, settings);
  }

  /** Lets go of all PINs and logs out of all tokens, until the next use. Keys of files stay. @returns how many tokens */
  async forget(): Promise<number> {
    const tokens = await this.#keys.forget();
    this.#surroundings.emit({ type: 'pins-forgotten', tokens });
    return tokens;
  }

  /** Reads the certificates of all keys anew, and tries those again that could not be opened. Never rejects. */
  async refreshCertificates(): Promise<void> {
    this.#keys.hurry();
    await this.#keys.refresh();
  }

  /**
   * Refuses every request from now on, with ERR_LOCKED.
   * @param passphrase what it takes to unlock
   * @throws AgentError ERR_LOCKED if it is locked
   */
  async lock(passphrase: Secret | undefined): Promise<void> {
    this.#lock.gate.check();
    const locking = this.#lock.lock(passphrase);
    this.#surroundings.emit({ type: 'agent-locked' });
    await locking;
  }

  /** Answers requests again, if it is locked. @throws AgentError ERR_PASSPHRASE_INCORRECT */
  async unlock(passphrase: Secret | undefined): Promise<void> {
    if (await this.#lock.unlock(passphrase)) this.#surroundings.emit({ type: 'agent-unlocked' });
  }

  /** Whether there is one, served or not. */
  get hasTunnels(): boolean {
    return this.#tunnels.size > 0;
  }

  /**
   * Runs what serving a daemon runs, unless a daemon was or is there: its first signature is then not slower than those that
   * follow. No key signs, no token is asked. Never rejects.
   */
  async rehearse(): Promise<void> {
    const kinds = new Set<string>();
    for (const { key } of [...this.#tunnels.values()].map(({ settings }) => settings)) {
      if (this.#idle.signal.aborted) return;
      const publicKey = this.#keys.get(key).publicKey;
      if (!publicKey || kinds.has(keyKindName(keyKind(publicKey)))) continue;
      kinds.add(keyKindName(keyKind(publicKey)));
      await rehearse(publicKey, this.#surroundings.clock, this.#idle.signal).catch(() => undefined);
    }
  }

  /** Ends all tunnels, as {@link stopTunnel} does, and starts none any more. A prompt that stands is the terminal's to give up. */
  stop(): void {
    this.#idle.abort();
    this.#stop.abort();
    this.#keys.giveUp();
  }

  /**
   * Takes other settings: keys and tunnels are added, changed and removed as it needs. Those that are the same notice
   * nothing. A key is changed, too, if its files are; and whatever has failed is tried again. Where a key can't be opened as
   * it is to be, it stays as it is.
   * @param others takes what else changes, when tunnels have let go of their addresses and before `reloaded` is told, and
   *   returns the sockets that it bound anew, which `reloaded` names. Never rejects
   * @returns the tunnels' difference
   * @throws AgentError ERR_ABORTED: it was told to stop
   */
  async apply(settings: Settings, others: () => Promise<Renewed> = () => Promise.resolve({})): Promise<Difference> {
    // a key that is opened now would be opened for nothing
    this.#refuseAfterStop();
    const applied = this.#applying.then(() => this.#apply(settings, others));
    this.#changes += 1;
    this.#applying = applied
      .catch(() => undefined)
      .finally(() => {
        this.#changes -= 1;
        this.#settle();
      });
    return await applied;
  }

  async #apply(settings: Settings, others: () => Promise<Renewed>): Promise<Difference> {
    await this.#audit.apply(settings.audit, this.#stateDirectory(settings));
    for (const { name, error } of settings.broken ?? []) this.#tellFailure(name, error);
    const present = new Map([...this.#tunnels].map(([name, running]) => [name, running.settings]));
    const presentKeys = this.#keys.settings;
    const next = wanted(settings, present, presentKeys);

    this.#tokens = { ...this.#tokens, deadline: settings.tokens.deadline };
    this.#keys.deadline = this.#tokens.deadline;
    const isRenewed = !isDeepStrictEqual(this.#tokens, settings.tokens);
    // what was renewed is taken over without a tunnel's noticing; what can't be is opened anew below
    if (!isRenewed) await this.#keys.refresh('before reload');
    const keys = compareKeys(presentKeys, next.keys, await this.#keys.stale());
    const opened = isRenewed ? undefined : await this.#keys.open(keys.changed, next.keys);
    const tunnels = compareTunnels(
      present,
      next.tunnels,
      (name, { key }) => isRenewed || opened?.has(key) === true || this.#tunnels.get(name)?.failure !== undefined,
    );

    const stopped = new Map([...tunnels.removed, ...tunnels.changed].map((name) => [name, this.stopTunnel(name)]));
    // a key is closed behind the last request for it; where none is, each tunnel waits for itself alone
    if (isRenewed || keys.removed.length > 0 || (opened?.size ?? 0) > 0) await Promise.all(stopped.values());
    if (isRenewed) await this.#keys.renew((this.#tokens = settings.tokens));
    await Promise.all(keys.removed.map((name) => this.stopKey(name)));
    await Promise.all([...(opened ?? [])].map(([name, key]) => this.#keys.replace(name, key)));
    for (const [name, key] of next.keys) {
      if (isRenewed || !presentKeys.has(name)) this.startKey(name, key);
    }
    const started = [...tunnels.added, ...tunnels.changed].map(async (name) => {
      await stopped.get(name);
      await this.#startOf(name, next.tunnels);
    });
    await Promise.all([...stopped.values(), ...started]);
    for (const { answers } of this.#tunnels.values()) answers?.retry();
    this.#keys.hurry();
    const renewed = await others();

    for (const change of ['added', 'changed', 'removed'] as const) {
      for (const tunnel of tunnels[change]) this.#surroundings.emit({ type: `tunnel-${change}`, tunnel });
    }
    this.#surroundings.emit({
      type: 'settings-applied',
      tunnels: [...next.tunnels.keys(), ...(settings.broken ?? []).map(({ name }) => name)],
      ...{ keys: [...next.keys.keys()], tokens: this.#keys.tokens },
    });
    const [added, changed, removed] = [tunnels.added.length, tunnels.changed.length, tunnels.removed.length];
    const changedKeys = isRenewed ? presentKeys.size - keys.removed.length : (opened?.size ?? 0);
    this.#surroundings.emit({
      type: 'reloaded',
      ...{ added, changed, removed, ...renewed },
      unchanged: next.tunnels.size - added - changed,
      keys: keys.added.length + changedKeys + keys.removed.length,
    });
    return tunnels;
  }

  /** Starts a tunnel, or tells why it does not. */
  async #startOf(name: string, settings: ReadonlyMap<string, TunnelSettings>): Promise<void> {
    const own = settings.get(name);
    if (!own) return;
    await this.startTunnel(name, own).catch((error: unknown) => {
      this.#tellFailure(name, error);
    });
  }

  /**
   * Resolves when of each tunnel's key it is known whether it is open, can't be opened, or waits for its token.
   * @returns whether there is a tunnel that is served, or none at all
   */
  async served(): Promise<boolean> {
    const keys = [...this.#tunnels.values()].map(({ settings }) => this.#keys.get(settings.key));
    await Promise.all(keys.map(({ decided }) => decided));
    return keys.length === 0 || keys.some(({ keepsAgent }) => keepsAgent);
  }

  /** What only waits to be tried again ends, if nothing else is served, or may be: whoever starts the agent is told why. */
  #settle(): void {
    if (this.#changes > 0 || this.#starting.size > 0) return;
    const keys = [...this.#tunnels.values()].map(({ settings }) => this.#keys.get(settings.key));
    if (keys.some(({ keepsAgent }) => keepsAgent)) return;
    for (const key of keys) key.giveIn();
  }

  /**
   * Resolves when all tunnels have ended, and no more are about to start.
   * @throws AgentError why a key can't be opened, if all tunnels ended for that
   */
  async ended(): Promise<void> {
    for (;;) {
      const before = [...this.#tunnels.values()];
      await this.#applying;
      await Promise.all(before.map(ended));
      await this.#applying;
      const now = [...this.#tunnels.values()];
      if (now.length === before.length && now.every((running) => before.includes(running))) break;
    }
    const failure = commonFailure([...this.#tunnels.values()]);
    if (failure) throw failure.error;
  }

  /** Ends everything: who asks again waits for the same end. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#end ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#unlink();
    this.stop();
    await this.#applying;
    await Promise.all([...this.#tunnels.keys()].map((name) => this.stopTunnel(name)));
    await this.#keys[Symbol.asyncDispose]();
    // what tunnels had to have written down is
    await this.#audit.close();
  }

  #refuseAfterStop(): void {
    if (this.#stop.signal.aborted) throw new AgentError('ERR_ABORTED', 'the agent was told to stop');
  }

  /** Makes a tunnel and its relay: both listen from now on, where they are to listen at all. */
  async #listen(name: string, settings: TunnelSettings): Promise<RunningTunnel> {
    this.#refuseAfterStop();
    if (this.#tunnels.has(name) || this.#starting.has(name))
      throw new AgentError('ERR_USAGE', `there are two tunnels '${name}'`);
    this.#starting.add(name);
    try {
      const running = await this.#open(name, settings);
      this.#tunnels.set(name, running);
      return running;
    } finally {
      this.#starting.delete(name);
      this.#settle();
    }
  }

  async #open(name: string, settings: TunnelSettings): Promise<RunningTunnel> {
    const key = this.#keys.get(settings.key);
    const surroundings = this.#surroundings;
    const { clock, network } = surroundings;
    const { signal } = this.#stop;
    const owner = await daemonOwner(settings, surroundings.uid ?? 0);
    const stop = new AbortController();
    const deadline = (): number => this.#tokens.deadline + DEADLINE_MARGIN;
    const answers =
      settings.answers &&
      new TunnelAnswers(settings.answers, name, {
        commands: surroundings,
        secrets: secretsSurroundings(surroundings, signal),
      });
    const relay = settings.relay && (await openRelay(settings.relay, surroundings, signal));
    try {
      const tunnel = await Tunnel.open({
        ...settings,
        ...{ owner, relay, answers, clock, network, rounds: this.#rounds },
        password: passwordOf(settings, surroundings, this.#stop.signal),
        key: () => key.opened(),
        choose: (hint, manner) => key.choose(hint, manner),
        hint: settings.openvpnConfig?.directives.get('management-external-cert')?.[0],
        onKeyFailure: () => void key.refresh(),
        onKeyChange: (listener) => key.onChange(listener),
        decide: decideBy(key, name, settings, clock),
        gates: [this.#lock.gate, key.gate],
        pace: new Pace(clock),
        record: (asking) => this.#audit.record({ tunnel: name, ...asking }),
        isRecorded: () => this.#audit.isKept,
        get deadline() {
          return deadline();
        },
        signal: AbortSignal.any([signal, stop.signal]),
        emit: (event) => {
          if (event.type === 'daemon-connected' && !this.#idle.signal.aborted) this.#idle.abort();
          surroundings.emit({ tunnel: name, ...event });
        },
      });
      this.#refuseAfterStop();
      surroundings.emit({
        type: 'tunnel-opened',
        tunnel: name,
        key: settings.key,
        listens: settings.listen,
        relay: settings.relay && formatManagementAddress(settings.relay.address),
      });
      return { settings, tunnel, relay, answers, stop, serving: undefined, ending: undefined, failure: undefined };
    } catch (error) {
      await relay?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  #run(name: string, running: RunningTunnel): void {
    const { tunnel, stop, settings } = running;
    const key = this.#keys.get(settings.key);
    running.serving = tunnel.run();
    void ended(running).then(() => {
      this.#surroundings.emit({ type: 'tunnel-closed', tunnel: name });
    });
    key.opened().catch(() => {
      running.failure = key.failure;
      stop.abort();
      // of the only key the agent's end tells
      const isOnly = [...this.#tunnels.values()].every((other) => other.settings.key === settings.key);
      if (running.failure && !isOnly) this.#tellFailure(name, running.failure.error);
      this.#settle();
    });
  }
}
