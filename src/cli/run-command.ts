import { Agent } from '../agent/agent.ts';
import { settingsOf, type TunnelFlags } from '../config/flags.ts';
import { errorCode } from '../errors.ts';
import { BoundServer } from '../management/internal.ts';
import type { Spawn } from '../pkcs11/index.ts';
import type { LogLevel } from '../telemetry/log.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { catchTheRest } from './last-net.ts';
import { processSurroundings } from './process-surroundings.ts';
import { handleSignals } from './signals.ts';
import { endAtOnce, stderrLog } from './standard-streams.ts';
import { tellStartCheck } from './start-check.ts';

export interface RunFlags extends TunnelFlags {
  readonly logLevel: LogLevel;
}

/** `pksigd run`: serves a daemon until a signal comes, or until the key turns out to be of no use. */
export async function runCommand(flags: RunFlags, spawn: Spawn | undefined): Promise<void> {
  const settings = await settingsOf(flags);
  const log = stderrLog(flags.logLevel);
  const stop = new AbortController();
  handleSignals(stop, log);
  catchTheRest(log, (error) => {
    BoundServer.removeFiles();
    endAtOnce(error);
  });
  await forbidCoreDumps();
  try {
    const surroundings = processSurroundings(log, spawn);
    await using agent = await Agent.open(settings, surroundings, stop.signal);
    for (const { key, openvpnConfig } of Object.values(settings.tunnels))
      void tellStartCheck(openvpnConfig, agent.key(key), surroundings.emit);
    await agent.ended();
  } catch (error) {
    // told to stop while it began to listen
    if (errorCode(error) !== 'ERR_ABORTED' || !stop.signal.aborted) throw error;
  }
}
