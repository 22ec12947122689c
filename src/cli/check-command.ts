import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { disturbance } from '../check/directives.ts';
import type { ManagementCheck } from '../check/daemon.ts';
import { checkSetup } from '../check/setup.ts';
import { failure, formatVerdict, type Report, type Verdict } from '../check/verdict.ts';
import { configCertificate } from '../config/config-certificate.ts';
import { readOpenVpnConfig, type OpenVpnConfig } from '../config/openvpn-config.ts';
import { AgentError } from '../errors.ts';
import { parseManagementAddress } from '../management/index.ts';
import type { Secret } from '../secret.ts';
import { printableJson } from '../telemetry/printable.ts';
import { EXIT, exitCode } from './exit-codes.ts';
import { daemonOwner, maxDaemons, type PeerFlags } from './daemon-peers.ts';
import { installedRelease } from './installed-release.ts';
import { refuseSameAddress } from './relay-flags.ts';
import { publicPasswordWord } from './secret-asker.ts';
import { isLogPretty, print, stderrLog } from './standard-streams.ts';
import { forbidCoreDumps, keyOptionsOf, moduleHosts, secretAskerOf, waiting, type KeyFlags } from './surroundings.ts';

export interface CheckFlags extends KeyFlags, PeerFlags {
  readonly relay?: readonly string[];
  readonly management?: readonly string[];
  readonly managementClient?: boolean;
  readonly openvpnConfig?: string;
  readonly login?: boolean;
  readonly json?: boolean;
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
  flags: CheckFlags,
  words: readonly string[],
  listen: boolean,
  config: OpenVpnConfig | undefined,
  passwordOf: (word: string, what: string) => Promise<Secret>,
): Promise<ManagementCheck> {
  const [address, port, passwordFile, ...rest] = words;
  if (address === undefined || port === undefined || rest.length > 0) {
    throw new AgentError('ERR_USAGE', '--management takes ADDRESS PORT|unix [PASSWORD-FILE]');
  }
  const parsed = parseManagementAddress(address, port);
  refuseSameAddress(parsed, flags.relay);
  maxDaemons(flags, parsed, { listens: listen, relays: flags.relay !== undefined });
  return {
    address: parsed,
    owner: await daemonOwner(flags, parsed, { listens: listen, password: passwordFile !== undefined }),
    listen,
    ...(passwordFile !== undefined && {
      password: () => passwordOf(passwordFile, `management password of ${address}`),
    }),
    disturbs: config && disturbance(config.directives),
  };
}

/** `pksigd check`: a verdict a line on standard output; the exit code is that of the first failure. */
export async function checkCommand(flags: CheckFlags): Promise<void> {
  if (flags.management && flags.openvpnConfig !== undefined) {
    throw new AgentError('ERR_USAGE', 'give --management or --openvpn-config', { hint: 'one of the two' });
  }
  // beside verdicts lines of JSON are for programs only
  const log = stderrLog(flags.logLevel, flags.json !== true || isLogPretty);
  const asker = secretAskerOf(flags, log);
  await forbidCoreDumps();
  await using hosts = moduleHosts(flags, log);
  let failed: Verdict | undefined;
  const report: Report = (verdict) => {
    if (verdict.outcome === 'fail') failed ??= verdict;
    const lines = flags.json === true ? [printableJson(JSON.stringify(verdict))] : formatVerdict(verdict);
    print(`${lines.join('\n')}\n`);
  };

  const config = flags.openvpnConfig === undefined ? undefined : await readConfig(flags.openvpnConfig, report);
  const words = flags.management ?? config?.management;
  const passwordOf = (word: string, what: string): Promise<Secret> =>
    asker.forManagement(word, what, flags.openvpnConfig);
  let managementWords: readonly string[] | undefined;
  let management: ManagementCheck | undefined;
  try {
    const listen = flags.managementClient ?? config?.directives.has('management-client') ?? false;
    management = words && (await managementCheck(flags, words, listen, config, passwordOf));
    managementWords = words && (await directiveWords(words, flags.openvpnConfig));
  } catch (error) {
    report(failure('management', error));
  }
  const setup = {
    ...keyOptionsOf(flags, hosts, log),
    login: flags.login ?? false,
    management,
    managementWords,
    directives: config?.directives,
    configCertificate: config && configCertificate(config),
    installedRelease,
    user: userInfo().username,
    now: Date.now(),
  };
  await (flags.login === true ? waiting(flags, log, () => checkSetup(setup, report), '') : checkSetup(setup, report));
  process.exitCode = failed ? exitCode(failed.code) : EXIT.done;
}
