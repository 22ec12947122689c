import { resolve } from 'node:path';
import { disturbance } from '../check/directives.ts';
import type { ManagementCheck } from '../check/daemon.ts';
import { checkSetup } from '../check/setup.ts';
import { explained, failure, formatVerdict, type Report, type Verdict } from '../check/verdict.ts';
import { Keyring } from '../agent/keyring.ts';
import { secretsSurroundings, type Surroundings } from '../agent/surroundings.ts';
import { daemonOwner } from '../config/daemon-owner.ts';
import { keySettings, requiredKey, tokenSettings, tunnelSettings, type TunnelFlags } from '../config/flags.ts';
import { managementPassword, publicPasswordWord } from '../config/secrets.ts';
import type { TunnelSettings } from '../config/settings.ts';
import { configCertificate } from '../config/config-certificate.ts';
import { ownUser } from '../own-user.ts';
import { readOpenVpnConfig, type OpenVpnConfig } from '../config/openvpn-config.ts';
import { AgentError } from '../errors.ts';
import { printableJson } from '../telemetry/printable.ts';
import type { LogLevel } from '../log-level.ts';
import { forbidCoreDumps } from './core-dumps.ts';
import { EXIT, exitCode } from './exit-codes.ts';
import { commandLineHint } from './hints.ts';
import { installedRelease } from './installed-release.ts';
import { isLogPretty, print, stderrLog } from './standard-streams.ts';
import { processSurroundings } from './process-surroundings.ts';

export interface CheckFlags extends TunnelFlags {
  readonly login?: boolean;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

async function readConfig(path: string, report: Report): Promise<OpenVpnConfig | undefined> {
  try {
    return await readOpenVpnConfig(path);
  } catch (error) {
    report(failure('config', error));
    return undefined;
  }
}

/** The words for the .ovpn: ours for a password's source may not be OpenVPN's, and it may be the password itself. */
async function directiveWords(
  [address = '', port = '', password]: readonly string[],
  configuration: string | undefined,
): Promise<string[]> {
  const words = [port === 'unix' ? resolve(address) : address, port];
  if (password === undefined) return words;
  const isOpenVpns = configuration !== undefined && password === 'stdin';
  return [...words, isOpenVpns ? password : await publicPasswordWord(password, configuration)];
}

async function managementCheck(
  tunnel: TunnelSettings,
  config: OpenVpnConfig | undefined,
  surroundings: Surroundings,
): Promise<ManagementCheck> {
  const { address, listen, password: word } = tunnel;
  const around = secretsSurroundings(surroundings);
  const what = `management password of ${address.kind === 'unix' ? address.path : address.host}`;
  return {
    address,
    owner: await daemonOwner(tunnel, surroundings.uid ?? 0),
    listen,
    ...(word !== undefined && { password: () => managementPassword(word, what, around, config?.path) }),
    disturbs: config && disturbance(config.directives),
  };
}

/** `pksigd check`: a verdict a line on standard output; the exit code is that of the first failure. */
export async function checkCommand(flags: CheckFlags): Promise<void> {
  if (flags.management && flags.openvpnConfig !== undefined) {
    throw new AgentError('ERR_USAGE', 'give --management or --openvpn-config', { hint: 'one of the two' });
  }
  const key = keySettings({ ...flags, key: requiredKey(flags) });
  const [configPath, ...others] = flags.openvpnConfig ?? [];
  if (others.length > 0) throw new AgentError('ERR_USAGE', 'check looks at one --openvpn-config at a time');
  // beside verdicts lines of JSON are for programs only
  const log = stderrLog(flags.logLevel, flags.json !== true || isLogPretty);
  await forbidCoreDumps();
  const surroundings = processSurroundings(log);
  await using keyring = new Keyring(tokenSettings(flags), surroundings);
  let failed: Verdict | undefined;
  const report: Report = (found) => {
    const verdict = explained(found, commandLineHint);
    if (verdict.outcome === 'fail') failed ??= verdict;
    const lines = flags.json === true ? [printableJson(JSON.stringify(verdict))] : formatVerdict(verdict);
    print(`${lines.join('\n')}\n`);
  };

  const config = configPath === undefined ? undefined : await readConfig(configPath, report);
  const words = flags.management ?? config?.management;
  let managementWords: readonly string[] | undefined;
  let management: ManagementCheck | undefined;
  try {
    const listen = flags.managementClient ?? config?.directives.has('management-client') ?? false;
    const tunnel = words && tunnelSettings(flags, words, listen);
    management = tunnel && (await managementCheck(tunnel, config, surroundings));
    managementWords = words && (await directiveWords(words, configPath));
  } catch (error) {
    report(failure('management', error));
  }
  const setup = {
    ...keyring.options(key),
    login: flags.login ?? false,
    management,
    managementWords,
    directives: config?.directives,
    configCertificate: config && configCertificate(config),
    installedRelease,
    user: ownUser().name,
    now: Date.now(),
  };
  await (flags.login === true ? keyring.waiting(key, '', () => checkSetup(setup, report)) : checkSetup(setup, report));
  process.exitCode = failed ? exitCode(failed.code) : EXIT.done;
}
