import { userInfo } from 'node:os';
import type { Logger } from 'pino';
import { checkStart } from '../check/start.ts';
import { explained } from '../check/verdict.ts';
import type { OpenedKey } from '../keys/open-key.ts';
import { configCertificate } from '../config/config-certificate.ts';
import type { OpenVpnConfig } from '../config/openvpn-config.ts';
import { commandLineHint } from './hints.ts';
import { installedRelease } from './installed-release.ts';

/**
 * Logs once what `check` says of a set-up. `run` goes on whatever it is: the .ovpn may be mended and OpenVPN restarted
 * meanwhile, and the openvpn that is installed here may not be the one that is served.
 */
export async function logStartCheck(
  config: OpenVpnConfig | undefined,
  key: Promise<OpenedKey>,
  log: Logger,
): Promise<void> {
  const options = {
    directives: config?.directives,
    configCertificate: config && configCertificate(config),
    key,
    installedRelease,
    user: userInfo().username,
    now: Date.now(),
  };
  await checkStart(options, (verdict) => {
    const { outcome, what, detail, hint, code } = explained(verdict, commandLineHint);
    const level = outcome === 'fail' ? 'error' : outcome === 'warn' ? 'warn' : 'debug';
    const line = hint === undefined ? detail : `${detail}: ${hint}`;
    log[level]({ ...(code !== undefined && { code }) }, `${what}: ${line}`);
  });
}
