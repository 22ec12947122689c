import { Agent } from '../agent/agent.ts';
import type { Emit } from '../agent/events.ts';
import { settingsOf, type TunnelFlags } from '../config/flags.ts';
import type { Settings } from '../config/settings.ts';
import { AgentError, errorCode, explainBy } from '../errors.ts';
import type { LogLevel } from '../log-level.ts';
import { BoundServer } from '../management/internal.ts';
import type { Spawn } from '../pkcs11/index.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { commandLineHint, configurationHint } from './hints.ts';
import { installedRelease } from './installed-release.ts';
import { catchTheRest } from './last-net.ts';
import { processSurroundings } from './process-surroundings.ts';
import type { Reloader } from './reload.ts';
import { handleSignals } from './signals.ts';
import { endAtOnce, stderrLog, type Logger } from './standard-streams.ts';
import { tellStartCheck } from './start-check.ts';

export interface RunFlags extends TunnelFlags {
  readonly config?: string;
  readonly logLevel: LogLevel;
}

/** What stands beside a configuration file; all else is said in it. */
const BESIDE_CONFIG = new Set(['--config', '--log-level']);

/** By options, or by a file. */
interface Start {
  readonly settings: Settings;
  readonly logLevel: LogLevel;
}

/** What `run` is to do. @param given the options that were given */
async function startOf(flags: RunFlags, given: readonly string[]): Promise<Start> {
  const { config, logLevel } = flags;
  if (config === undefined) return { settings: await settingsOf(flags), logLevel };
  const others = given.filter((option) => !BESIDE_CONFIG.has(option));
  if (others.length > 0) {
    throw new AgentError('ERR_USAGE', `--config says all that ${others.join(', ')} would`, {
      hint: `leave ${others.length === 1 ? 'it' : 'them'} out, and write it into ${config}`,
    });
  }
  const { readConfiguration } = await import('../config/file/configuration.ts');
  const configuration = await readConfiguration(config);
  return given.includes('--log-level') ? { ...configuration, logLevel } : configuration;
}

/** Tells of tunnels what `check` says of their set-ups. */
function tellStartChecks(
  agent: Agent,
  { tunnels }: Settings,
  names: readonly string[],
  emit: Emit,
  isFile: boolean,
): void {
  const isOnly = Object.keys(tunnels).length === 1;
  let release: Promise<string | undefined> | undefined;
  const options = {
    emit,
    explain: isFile ? configurationHint : commandLineHint,
    installedRelease: () => (release ??= installedRelease()),
  };
  for (const name of names) {
    const { key, openvpnConfig } = tunnels[name] ?? {};
    if (key !== undefined) void tellStartCheck(openvpnConfig, agent.key(key), isOnly ? undefined : name, options);
  }
}

/** What SIGHUP does with a configuration file. */
async function reloaderOf(path: string, given: readonly string[], log: Logger, emit: Emit): Promise<Reloader> {
  const { Reloader } = await import('./reload.ts');
  return new Reloader({
    path,
    emit,
    setLogLevel: (level) => {
      // the option goes before the file
      if (!given.includes('--log-level')) log.level = level;
    },
    onTunnels: (agent, settings, names) => {
      tellStartChecks(agent, settings, names, emit, true);
    },
  });
}

/**
 * `pksigd run`: serves daemons until a signal comes, or until all keys turn out to be of no use.
 * @param given the options that were given
 */
export async function runCommand(flags: RunFlags, given: readonly string[], spawn: Spawn | undefined): Promise<void> {
  const log = stderrLog(flags.logLevel);
  const surroundings = processSurroundings(log, spawn);
  const { emit } = surroundings;
  // what SIGHUP asks for while the file is read the first time is done after it
  const reloader = flags.config === undefined ? undefined : await reloaderOf(flags.config, given, log, emit);
  if (reloader) explainBy(configurationHint);
  const stop = new AbortController();
  handleSignals(stop, log, reloader?.ask);
  const { settings, logLevel } = await startOf(flags, given);
  log.level = logLevel;
  catchTheRest(log, (error) => {
    BoundServer.removeFiles();
    endAtOnce(error);
  });
  await forbidCoreDumps();
  try {
    await using agent = await Agent.open(settings, surroundings, stop.signal);
    tellStartChecks(agent, settings, Object.keys(settings.tunnels), emit, reloader !== undefined);
    reloader?.serve(agent);
    await agent.ended();
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
