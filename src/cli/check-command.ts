import { Keyring } from '../agent/keyring.ts';
import type { Surroundings } from '../agent/surroundings.ts';
import { answerSettings, givesPasswords } from '../config/answers.ts';
import type { ManagementCheck } from '../check/daemon.ts';
import { checkSetup } from '../check/setup.ts';
import { failure, type Report } from '../check/verdict.ts';
import { configCertificate } from '../config/config-certificate.ts';
import { keySettings, requiredKey, tokenSettings, tunnelSettings, type TunnelFlags } from '../config/flags.ts';
import { readOpenVpnConfig, type OpenVpnConfig, type PlacedLine } from '../config/openvpn-config.ts';
import { AgentError, explainBy } from '../errors.ts';
import type { LogLevel } from '../log-level.ts';
import { ownUser } from '../own-user.ts';
import { refuseBesideConfig } from './beside-config.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { commandLineHint, configurationHint } from './hints.ts';
import { keyOf, migrationOf, socketFor, toMigrate } from './migration.ts';
import { installedRelease } from './installed-release.ts';
import { directiveWords, managementCheck } from './management-check.ts';
import { checkPolicy, checkRelay } from './named-check.ts';
import { sightOf } from './policy-sight.ts';
import { processSurroundings } from './process-surroundings.ts';
import { isLogPretty, stderrLog, type Logger } from './standard-streams.ts';
import { Verdicts } from './verdicts.ts';

export interface CheckFlags extends TunnelFlags {
  readonly config?: string;
  readonly login?: boolean;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

async function readConfig(path: string, lines: PlacedLine[], report: Report): Promise<OpenVpnConfig | undefined> {
  try {
    return await readOpenVpnConfig(path, undefined, (line) => lines.push(line));
  } catch (error) {
    report(failure('config', error));
    return undefined;
  }
}

/**
 * `pksigd check`: a verdict a line on standard output; the exit code is that of the first failure.
 * @param given the options that were given
 * @param repeated of these, with their words, what `run` would be given as well
 */
export async function checkCommand(
  flags: CheckFlags,
  given: readonly string[],
  repeated: readonly string[],
): Promise<void> {
  const { config, login = false, json = false } = flags;
  if (config !== undefined) refuseBesideConfig(config, given);
  const verdicts = new Verdicts(json, config === undefined ? commandLineHint : configurationHint);
  // beside verdicts lines of JSON are for programs only
  const log = stderrLog(flags.logLevel, !json || isLogPretty);
  if (config === undefined) {
    await checkOptions(flags, repeated, log, verdicts);
  } else {
    explainBy(configurationHint);
    await forbidCoreDumps();
    const { checkConfiguration } = await import('./check-configuration.ts');
    await checkConfiguration(config, login, checkSurroundings(log), verdicts);
  }
  process.exitCode = verdicts.exitCode;
}

/** Checks what the options of `run` say. */
async function checkOptions(
  flags: CheckFlags,
  repeated: readonly string[],
  log: Logger,
  { report }: Verdicts,
): Promise<void> {
  const { login = false } = flags;
  if (flags.management && flags.openvpnConfig !== undefined) {
    throw new AgentError('ERR_USAGE', 'give --management or --openvpn-config', { hint: 'one of the two' });
  }
  const [configPath, ...others] = flags.openvpnConfig ?? [];
  if (others.length > 0) throw new AgentError('ERR_USAGE', 'check looks at one --openvpn-config at a time');
  const lines: PlacedLine[] = [];
  const config = configPath === undefined ? undefined : await readConfig(configPath, lines, report);
  const old = config && toMigrate(config, lines);
  // the lines name it
  const given = old ? flags.key : requiredKey(flags);
  await forbidCoreDumps();
  const surroundings = checkSurroundings(log);
  await using keyring = new Keyring(tokenSettings(flags), surroundings);
  const named = given || !old ? { copies: given ?? [] } : await keyOf(old, flags.module, keyring.tokens);
  const key = keySettings({ ...flags, key: named.copies });

  const words = flags.management ?? config?.management;
  let managementWords = config && socketFor(config.path);
  let management: ManagementCheck | undefined;
  try {
    const listen = flags.managementClient ?? config?.directives.has('management-client') ?? false;
    const tunnel = words && tunnelSettings(flags, words, listen);
    await checkRelay(tunnel?.relay, surroundings, report);
    management = tunnel && {
      ...(await managementCheck(tunnel, config, surroundings)),
      mayComeLater: flags.management === undefined,
    };
    if (words) managementWords = await directiveWords(words, configPath);
  } catch (error) {
    report(failure('management', error));
  }
  const setup = {
    ...keyring.options(key),
    login,
    management,
    managementWords,
    directives: config?.directives,
    configCertificate: config && configCertificate(config),
    sight: sightOf(key.policy),
    installedRelease,
    user: ownUser().name,
    answersPasswords: givesPasswords(answerSettings(flags)),
    now: Date.now(),
    migration: old && migrationOf(old, named, repeated),
  };
  await checkPolicy(key.policy, report);
  await (login ? keyring.waiting(key, '', () => checkSetup(setup, report)) : checkSetup(setup, report));
}

/** Without the log lines that say what a verdict says. */
function checkSurroundings(log: Logger): Surroundings {
  const surroundings = processSurroundings(log);
  return {
    ...surroundings,
    emit: (event) => {
      if (event.type !== 'pin-count-low') surroundings.emit(event);
    },
  };
}
