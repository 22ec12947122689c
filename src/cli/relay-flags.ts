import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { AgentError } from '../errors.ts';
import {
  formatManagementAddress,
  type ManagementAddress,
  parseManagementAddress,
  Relay,
  type RelayEvent,
  type RelayRights,
} from '../management/index.ts';
import { whoReaches } from '../management/internal.ts';
import type { Secret } from '../secret.ts';
import { groupId } from './account-id.ts';
import type { Logger } from './standard-streams.ts';

/** The options of `run` about other management clients. */
export interface RelayFlags {
  readonly relay?: readonly string[];
  readonly relayAllow: RelayRights;
  /** Octal digits. */
  readonly relayMode?: string;
  readonly relayGroup?: string;
  readonly relayKeep?: boolean;
}

/** Without `--relay-mode`: this user's own, with `--relay-group` the group's too. */
const OWN_MODE = 0o600;
const GROUP_MODE = 0o660;

/** A unix socket's path without links in its folder, which may not be there. */
function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return join(realpathSync(dirname(whole)), basename(whole));
  } catch {
    return whole;
  }
}

/**
 * Refuses a relay where the daemon is: the second to listen would find the first, or pksigd itself would be the daemon.
 *
 * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS
 */
export function refuseSameAddress(daemon: ManagementAddress, relay: readonly string[] | undefined): void {
  const [first, port] = relay ?? [];
  if (first === undefined || port === undefined) return;
  const other = parseManagementAddress(first, port);
  const isSame =
    daemon.kind === 'unix'
      ? other.kind === 'unix' && realPath(daemon.path) === realPath(other.path)
      : other.kind === 'tcp' && daemon.port === other.port && daemon.host.toLowerCase() === other.host.toLowerCase();
  if (isSame)
    throw new AgentError('ERR_USAGE', `--management and --relay name the same address twice: ${first} ${port}`, {
      hint: 'give the relay one of its own',
    });
}

/**
 * Listens for the relay's clients, if the flags say so.
 *
 * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS, ERR_MANAGEMENT_LISTEN
 */
export async function openRelay(
  flags: RelayFlags,
  askPassword: (word: string) => Promise<Secret>,
  log: Logger,
): Promise<Relay | undefined> {
  if (flags.relay === undefined) {
    if (flags.relayMode !== undefined || flags.relayGroup !== undefined || flags.relayKeep !== undefined)
      throw new AgentError('ERR_USAGE', '--relay-mode, --relay-group and --relay-keep are for --relay');
    return undefined;
  }
  const [first, port, passwordFile, ...rest] = flags.relay;
  if (first === undefined || port === undefined || rest.length > 0)
    throw new AgentError('ERR_USAGE', '--relay takes ADDRESS PORT|unix [PASSWORD-FILE]');
  const address = parseManagementAddress(first, port);
  if (address.kind === 'tcp' && (flags.relayMode !== undefined || flags.relayGroup !== undefined))
    throw new AgentError('ERR_USAGE', '--relay-mode and --relay-group are for unix sockets');
  const name = formatManagementAddress(address);
  const password = passwordFile === undefined ? undefined : await askPassword(passwordFile);
  const mode = modeOf(flags);
  const relay = await Relay.listen({
    address,
    password,
    rights: flags.relayAllow,
    mode,
    ...(flags.relayGroup !== undefined && { group: await groupId(flags.relayGroup, '--relay-group') }),
    keep: flags.relayKeep,
    onEvent: (event) => {
      logEvent(log, name, event);
    },
  });
  log.info({ relay: name, allow: flags.relayAllow }, 'listening for management clients');
  if (password === undefined && (await whoReaches(address, mode)) !== 'nobody')
    log.warn({ relay: name }, 'every user of this host can use the relay: name a password file, or use a unix socket');
  return relay;
}

function modeOf(flags: RelayFlags): number {
  if (flags.relayMode === undefined) return flags.relayGroup === undefined ? OWN_MODE : GROUP_MODE;
  if (/^0?[0-7]{3}$/.test(flags.relayMode)) return Number.parseInt(flags.relayMode, 8);
  throw new AgentError('ERR_USAGE', `--relay-mode '${flags.relayMode}' is not an octal mode`, { hint: 'such as 0660' });
}

function logEvent(log: Logger, relay: string, event: RelayEvent): void {
  const { type, ...fields } = event;
  const level = type === 'dropped' || type === 'refused' ? 'warn' : 'info';
  log[level]({ relay, ...fields }, `management client ${type}`);
}
