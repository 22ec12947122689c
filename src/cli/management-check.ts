import { resolve } from 'node:path';
import { secretsSurroundings, type Surroundings } from '../agent/surroundings.ts';
import type { ManagementCheck } from '../check/daemon.ts';
import { disturbance } from '../check/directives.ts';
import { daemonOwner } from '../config/daemon-owner.ts';
import type { OpenVpnConfig } from '../config/openvpn-config.ts';
import { managementPassword, publicPasswordWord } from '../config/secrets.ts';
import type { TunnelSettings } from '../config/settings.ts';

/** The words for the .ovpn: ours for a password's source may not be OpenVPN's, and it may be the password itself. */
export async function directiveWords(
  [address = '', port = '', password]: readonly string[],
  configuration: string | undefined,
): Promise<string[]> {
  const words = [port === 'unix' ? resolve(address) : address, port];
  if (password === undefined) return words;
  const isOpenVpns = configuration !== undefined && password === 'stdin';
  return [...words, isOpenVpns ? password : await publicPasswordWord(password, configuration)];
}

/** The interface of a tunnel, to check. @throws AgentError ERR_USAGE */
export async function managementCheck(
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
