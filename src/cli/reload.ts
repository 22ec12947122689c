import type { Agent } from '../agent/agent.ts';
import type { Emit } from '../agent/events.ts';
import { monitorFlags } from '../config/file/agent-flags.ts';
import { type Configuration, readConfiguration } from '../config/file/configuration.ts';
import type { MonitorFlags } from '../config/monitor-flags.ts';
import type { Settings } from '../config/settings.ts';
import { defaultStateDirectory } from '../config/state-directory.ts';
import { placesOf } from '../config/tunnels.ts';
import { prepareStateFolder } from '../disk/safe-folder.ts';
import { AgentError, errorCode, errorText } from '../errors.ts';
import { Listeners } from '../listeners.ts';
import type { LogLevel } from '../log-level.ts';
import { unlessAborted } from '../promises.ts';
import { renewSockets } from './renew-sockets.ts';

export interface ReloadOptions {
  /** The configuration's file. */
  readonly path: string;
  readonly emit: Emit;
  readonly setLogLevel: (level: LogLevel) => void;
  /**
   * Takes who may ask what the agent is doing, as far as addresses are free by then; and again when tunnels have let go of
   * theirs, without `wanted`: where these will listen.
   */
  readonly onMonitors: (flags: MonitorFlags, wanted?: ReadonlySet<string>) => Promise<void>;
  /** Told before each reload and after it. */
  readonly onBegin: () => void;
  readonly onEnd: () => void;
  /** Told of tunnels that were added or changed. */
  readonly onTunnels: (agent: Agent, settings: Settings, names: readonly string[]) => void;
}

/** An editor empties a file before it writes it, and a full disk leaves it so: that ends no tunnel. @throws AgentError ERR_CONFIG */
function refuseEmpty(agent: Agent, { silent, settings: { tunnels, broken = [] } }: Configuration): void {
  if (silent === undefined || Object.keys(tunnels).length + broken.length > 0 || !agent.hasTunnels) return;
  throw new AgentError('ERR_CONFIG', `the file is empty: ${silent} has no section, and all tunnels would end`, {
    hint: 'to serve none, leave a section, such as [log]',
  });
}

/**
 * All keys begin anew with another state directory: with one that can't be used none in a token could be opened.
 * @throws AgentError ERR_STATE_DIRECTORY
 */
async function checkState({ tokens }: Settings, present: Settings): Promise<void> {
  const { stateDirectory } = tokens.pins;
  if (stateDirectory === present.tokens.pins.stateDirectory) return;
  await prepareStateFolder(stateDirectory ?? defaultStateDirectory(process.env), process.geteuid?.());
}

/**
 * Reads the configuration anew and has the agent take it. A broken one changes nothing, and each of its mistakes is told.
 * @returns the settings that hold from now on
 */
async function reload(
  agent: Agent,
  present: Settings,
  { path, emit, setLogLevel, onMonitors, onTunnels }: ReloadOptions,
): Promise<Settings> {
  try {
    const configuration = await readConfiguration(path);
    refuseEmpty(agent, configuration);
    const { settings, logLevel, document } = configuration;
    const monitor = monitorFlags(document.agent);
    await checkState(settings, present);
    setLogLevel(logLevel);
    await onMonitors(monitor, placesOf(Object.values(settings.tunnels)));
    const { added, changed } = await agent.apply(settings, async () => {
      await onMonitors(monitor);
      return await renewSockets(emit);
    });
    onTunnels(agent, settings, [...added, ...changed]);
    return settings;
  } catch (error) {
    const details = error instanceof AgentError ? error.details : [];
    for (const text of details) emit({ type: 'configuration-fault', text });
    // who asked for it reads this alone
    const text = [errorText(error), ...details.slice(0, 1)].join(': ');
    emit({ type: 'reload-failed', code: errorCode(error), error: text });
    return present;
  }
}

/** Milliseconds, the longest that a timer takes. */
const FOREVER = 2 ** 31 - 1;

/** Reloads one after the other: whatever is asked for while one is under way is one more. */
export class Reloader {
  readonly #options: ReloadOptions;
  #agent: Agent | undefined;
  #settings: Settings | undefined;
  #isAsked = false;
  #isBusy = false;
  readonly #ends = new Listeners();

  constructor(options: ReloadOptions) {
    this.#options = options;
  }

  /** From now on there is an agent with these settings, for what was asked before, too. */
  serve(agent: Agent, settings: Settings): void {
    this.#agent = agent;
    this.#settings = settings;
    this.#go();
  }

  readonly ask = (): void => {
    this.#isAsked = true;
    this.#go();
  };

  /** Waits for the end of the next reload, or for the signal. */
  async next(signal: AbortSignal): Promise<void> {
    // signals alone keep no process alive
    const alive = setInterval(() => undefined, FOREVER);
    await unlessAborted(this.#ends.next(), signal).catch(() => undefined);
    clearInterval(alive);
  }

  #go(): void {
    if (this.#isBusy || !this.#isAsked || !this.#agent || !this.#settings) return;
    this.#isAsked = false;
    this.#isBusy = true;
    this.#options.onBegin();
    void reload(this.#agent, this.#settings, this.#options).then((settings) => {
      this.#settings = settings;
      this.#isBusy = false;
      this.#options.onEnd();
      this.#ends.tell();
      this.#go();
    });
  }
}
