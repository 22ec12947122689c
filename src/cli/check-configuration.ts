import { givesPasswords } from '../config/answers.ts';
import { Keyring } from '../agent/keyring.ts';
import type { Surroundings } from '../agent/surroundings.ts';
import { checkKey, checkTunnel, type KeyFindings } from '../check/setup.ts';
import { failure, type Verdict } from '../check/verdict.ts';
import { configCertificate } from '../config/config-certificate.ts';
import { monitorFlags } from '../config/file/agent-flags.ts';
import { readConfiguration } from '../config/file/configuration.ts';
import type { Settings, TunnelSettings } from '../config/settings.ts';
import { ownUser } from '../own-user.ts';
import { checkAudit } from './audit-check.ts';
import { installedReleaseOnce } from './installed-release.ts';
import { directiveWords, managementCheck } from './management-check.ts';
import { checkMonitors, checkPolicy, checkRelay } from './named-check.ts';
import { sightOf } from './policy-sight.ts';
import type { Verdicts } from './verdicts.ts';

/** Tunnels that are looked at at a time: a daemon whose seat is taken costs seconds. */
const AT_A_TIME = 16;

/** What the checks of all tunnels share. */
interface Checks {
  readonly settings: Settings;
  readonly login: boolean;
  readonly now: number;
  readonly surroundings: Surroundings;
  readonly installedRelease: () => Promise<string | undefined>;
}

/** The verdicts on a tunnel. What its .ovpn says well already is not printed as lines to write. */
async function verdictsOnTunnel(
  name: string,
  tunnel: TunnelSettings,
  findings: KeyFindings | undefined,
  { settings, login, now, surroundings, ...checks }: Checks,
): Promise<readonly Verdict[]> {
  const { openvpnConfig, address, password } = tunnel;
  const verdicts: Verdict[] = [];
  const report = (verdict: Verdict): void => {
    verdicts.push({ ...verdict, of: { tunnel: name } });
  };
  const words = address.kind === 'unix' ? [address.path, 'unix'] : [address.host, String(address.port)];
  try {
    const setup = {
      certificate: settings.keys[tunnel.key]?.certificate,
      management: {
        ...(await managementCheck(tunnel, openvpnConfig, surroundings)),
        mayComeLater: openvpnConfig !== undefined,
      },
      managementWords: await directiveWords(password === undefined ? words : [...words, password], openvpnConfig?.path),
      directives: openvpnConfig?.directives,
      configCertificate: openvpnConfig && configCertificate(openvpnConfig),
      sight: sightOf(settings.keys[tunnel.key]?.policy),
      user: ownUser().name,
      answersPasswords: givesPasswords(tunnel.answers),
      ...{ login, now, ...checks },
    };
    if (findings) await checkTunnel(setup, findings, report);
  } catch (error) {
    report(failure('management', error));
  }
  await checkRelay(tunnel.relay, surroundings, report);
  const isWell = openvpnConfig !== undefined && verdicts.every(({ outcome }) => outcome !== 'fail');
  return isWell ? verdicts.filter(({ what, outcome }) => what !== 'lines' || outcome !== 'ok') : verdicts;
}

/**
 * Checks all that a configuration file names: each key once, then each tunnel with what was found of its key. All keys share
 * their tokens and the memory of refused PINs, as in `run`.
 * @throws ConfigurationError with the mistakes of the file
 */
export async function checkConfiguration(
  path: string,
  login: boolean,
  surroundings: Surroundings,
  verdicts: Verdicts,
): Promise<void> {
  const { settings, document } = await readConfiguration(path);
  const now = Date.now();
  await using keyring = new Keyring(settings.tokens, surroundings);
  const found = new Map<string, KeyFindings>();
  const opened: AsyncDisposable[] = [];
  const keep = (one: AsyncDisposable): void => {
    opened.push(one);
  };
  for (const [name, key] of Object.entries(settings.keys)) {
    const report = (verdict: Verdict): void => {
      verdicts.report({ ...verdict, of: { key: name } });
    };
    const work = (): Promise<KeyFindings> => checkKey({ ...keyring.options(key), login, now, keep }, report);
    found.set(name, await (login ? keyring.waiting(key, '', work) : work()));
    await checkPolicy(key.policy, report);
  }
  for (const one of opened) await one[Symbol.asyncDispose]();
  await checkMonitors(monitorFlags(document.agent), verdicts.report);
  if (settings.audit) await checkAudit(settings.audit, settings.tokens, verdicts.report);
  for (const { name, error } of settings.broken ?? [])
    verdicts.report({ ...failure('config', error), of: { tunnel: name } });
  const checks = {
    ...{ settings, login, now, surroundings },
    installedRelease: installedReleaseOnce(),
  };
  const tunnels = Object.entries(settings.tunnels);
  for (let start = 0; start < tunnels.length; start += AT_A_TIME) {
    const some = tunnels.slice(start, start + AT_A_TIME);
    const all = await Promise.all(
      some.map(([name, tunnel]) => verdictsOnTunnel(name, tunnel, found.get(tunnel.key), checks)),
    );
    for (const verdict of all.flat()) verdicts.report(verdict);
  }
}
