import { Agent } from '../agent/agent.ts';
import type { Emit } from '../agent/events.ts';
import type { Surroundings } from '../agent/surroundings.ts';
import { monitorFlags } from '../config/file/agent-flags.ts';
import { settingsOf, type TunnelFlags } from '../config/flags.ts';
import type { MonitorFlags } from '../config/monitor-flags.ts';
import type { Settings } from '../config/settings.ts';
import { errorCode, errorText, explainBy } from '../errors.ts';
import type { LogLevel } from '../log-level.ts';
import { BoundServer, INHERITED } from '../management/internal.ts';
import type { Spawn } from '../pkcs11/index.ts';
import { refuseBesideConfig } from './beside-config.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { descriptorShortage } from './descriptor-limit.ts';
import { commandLineHint, configurationHint } from './hints.ts';
import { installedReleaseOnce } from './installed-release.ts';
import { LAST_MESSAGES, type Notifier, notifierOf } from './notifier.ts';
import { catchTheRest } from './last-net.ts';
import { Monitors } from './monitors.ts';
import { killGroup, processSurroundings } from './process-surroundings.ts';
import type { Reloader } from './reload.ts';
import { renewSockets } from './renew-sockets.ts';
import type { ServiceVariables } from './service-variables.ts';
import { handleSignals } from './signals.ts';
import { endAtOnce, stderrLog, type Logger } from './standard-streams.ts';

export interface RunFlags extends TunnelFlags, MonitorFlags {
  readonly config?: string;
  readonly logLevel: LogLevel;
}

/** Milliseconds without a daemon after which it is rehearsed what one will want. */
const REHEARSED_AFTER = 200;
/** Milliseconds until set-ups are looked at: a daemon that waits for its signature has it by then. */
const CHECKED_AFTER = 300;

/** By options, or by a file. */
interface Start {
  readonly settings: Settings;
  readonly logLevel: LogLevel;
  readonly monitor: MonitorFlags;
}

/** What `run` is to do. @param given the options that were given */
async function startOf(flags: RunFlags, given: readonly string[]): Promise<Start> {
  const { config, logLevel } = flags;
  if (config === undefined) return { settings: await settingsOf(flags), logLevel, monitor: flags };
  refuseBesideConfig(config, given);
  const { readConfiguration } = await import('../config/file/configuration.ts');
  const { settings, document, ...configuration } = await readConfiguration(config);
  return {
    settings,
    logLevel: given.includes('--log-level') ? logLevel : configuration.logLevel,
    monitor: monitorFlags(document.agent),
  };
}

/** Tells of tunnels what `check` says of their set-ups. */
async function tellStartChecks(
  agent: Agent,
  { tunnels, keys }: Settings,
  names: readonly string[],
  emit: Emit,
  isFile: boolean,
): Promise<void> {
  const { tellStartCheck } = await import('./start-check.ts');
  const isOnly = Object.keys(tunnels).length === 1;
  const options = {
    emit,
    explain: isFile ? configurationHint : commandLineHint,
    installedRelease: installedReleaseOnce(),
  };
  const bare = new Set<string>();
  for (const name of names) {
    const tunnel = tunnels[name];
    if (!tunnel) continue;
    const { key, openvpnConfig } = tunnel;
    const about = isOnly ? {} : openvpnConfig ? { tunnel: name } : { key };
    // without an .ovpn all that can be said is of the key
    if (!openvpnConfig && bare.has(key)) continue;
    if (!openvpnConfig) bare.add(key);
    void tellStartCheck(tunnel, agent.key(key), about, { ...options, policy: keys[key]?.policy });
  }
}

/** Tells of sockets that this process was given, and that nobody serves. */
function settleSockets(emit: Emit): void {
  for (const label of INHERITED.settle())
    emit({
      type: 'warning',
      text: `${label}, which pksigd was started with, belongs to nothing that is served: who connects there is turned away`,
    });
}

function tellShortage(settings: Settings, emit: Emit): void {
  const text = descriptorShortage(settings);
  if (text !== undefined) emit({ type: 'warning', text });
}

/** What SIGHUP does with a configuration file. */
async function reloaderOf(
  path: string,
  given: readonly string[],
  { log, emit, around }: { readonly log: Logger; readonly emit: Emit; readonly around: Watched },
): Promise<Reloader> {
  const { notifier, monitors } = around;
  const { Reloader } = await import('./reload.ts');
  return new Reloader({
    path,
    emit,
    setLogLevel: (level) => {
      // the option goes before the file
      if (!given.includes('--log-level')) log.level = level;
    },
    onMonitors: (monitor, wanted) => monitors.apply(monitor, wanted),
    onBegin: () => {
      monitors.beginReload();
      notifier?.reloading();
      INHERITED.hold();
    },
    onEnd: () => {
      settleSockets(emit);
      notifier?.reloaded();
    },
    onTunnels: (agent, settings, names) => {
      tellShortage(settings, emit);
      void tellStartChecks(agent, settings, names, emit, true);
    },
  });
}

/** Who hears of all that happens, and the service manager. */
interface Watched {
  readonly surroundings: Surroundings;
  readonly notifier: Notifier | undefined;
  readonly monitors: Monitors;
  readonly sockets: ServiceVariables['sockets'];
}

function watched(log: Logger, spawn: Spawn | undefined, service: ServiceVariables): Watched {
  const monitors = new Monitors(log);
  const { sockets } = service;
  const surroundings = { ...processSurroundings(log, spawn, monitors.hear), killGroup };
  const { clock, environment, emit } = surroundings;
  const warn = (text: string): void => {
    emit({ type: 'warning', text });
  };
  const status = (): string => monitors.summary;
  const notifier = notifierOf(service, { clock, environment, status, warn });
  if (!notifier) return { surroundings, notifier, monitors, sockets };
  const both: Emit = (event) => {
    emit(event);
    notifier.changed();
  };
  return { surroundings: { ...surroundings, emit: both }, notifier, monitors, sockets };
}

/**
 * `pksigd run`: serves daemons until a signal comes, or until all keys turn out to be of no use.
 * @param given the options that were given
 * @param service what the service manager gave, which is told how that goes
 */
export async function runCommand(
  flags: RunFlags,
  given: readonly string[],
  spawn: Spawn | undefined,
  service: ServiceVariables,
): Promise<void> {
  const log = stderrLog(flags.logLevel);
  const around = watched(log, spawn, service);
  const { notifier, monitors } = around;
  try {
    await run(flags, given, log, around);
    notifier?.stopping();
  } catch (error) {
    notifier?.stopping(errorText(error));
    throw error;
  } finally {
    await monitors[Symbol.asyncDispose]();
    await notifier?.told(LAST_MESSAGES);
  }
}

async function run(flags: RunFlags, given: readonly string[], log: Logger, around: Watched): Promise<void> {
  const { surroundings, notifier, monitors, sockets = [] } = around;
  const { emit } = surroundings;
  // what SIGHUP asks for while the file is read the first time is done after it
  const reloader =
    flags.config === undefined ? undefined : await reloaderOf(flags.config, given, { log, emit, around });
  if (reloader) explainBy(configurationHint);
  const stop = new AbortController();
  stop.signal.addEventListener('abort', () => notifier?.stopping(), { once: true });
  let refresh = (): void => undefined;
  handleSignals(stop, log, monitors.report, {
    reload: reloader?.ask,
    refresh: () => {
      refresh();
    },
  });
  const { settings, logLevel, monitor } = await startOf(flags, given);
  log.level = logLevel;
  catchTheRest(log, (error) => {
    BoundServer.removeFiles();
    endAtOnce(error);
  });
  await forbidCoreDumps();
  await INHERITED.adopt(sockets);
  // who comes from now on is the next process's
  const closeSockets = (): void => {
    INHERITED.close();
  };
  stop.signal.addEventListener('abort', closeSockets, { once: true });
  tellShortage(settings, emit);
  try {
    // before the agent: a port that is in use must not cost a PIN's try
    await monitors.begin(monitor);
    await using agent = await Agent.open(settings, surroundings, stop.signal);
    refresh = () => {
      void renewSockets(emit);
      void agent.refreshCertificates();
    };
    let checked: Promise<void> | undefined;
    const check = (): Promise<void> =>
      (checked ??= tellStartChecks(agent, settings, Object.keys(settings.tunnels), emit, reloader !== undefined));
    surroundings.clock.after(CHECKED_AFTER, () => void check());
    void agent.served().then((isServed) => {
      if (!isServed) return;
      notifier?.ready();
      surroundings.clock.after(REHEARSED_AFTER, () => void agent.rehearse());
    });
    await monitors.listen(monitor, agent, reloader);
    settleSockets(emit);
    reloader?.serve(agent, settings);
    await agent.ended().catch(async (error: unknown) => {
      // what is wrong with its .ovpn is told all the same
      await check();
      throw error;
    });
    // a configuration without tunnels may get some
    while (reloader && !stop.signal.aborted) {
      emit({ type: 'nothing-to-serve' });
      await reloader.next(stop.signal);
      await agent.ended();
    }
  } catch (error) {
    // told to stop while it began to listen
    if (errorCode(error) !== 'ERR_ABORTED' || !stop.signal.aborted) throw error;
  }
}
