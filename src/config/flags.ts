import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { AgentError } from '../errors.ts';
import type { ManagementAddress, RelayRights } from '../management/index.ts';
import { managementDirectives, readOpenVpnConfig } from './openvpn-config.ts';
import { parseManagementWords } from './management-words.ts';
import type {
  KeySettings,
  ManagementSettings,
  RelaySettings,
  Settings,
  TokenRemovalAction,
  TokenSettings,
  TunnelSettings,
} from './settings.ts';

/** The options that every command that looks into tokens takes. Times are in milliseconds. */
export interface TokenFlags {
  readonly pinSource?: string;
  readonly allowPinCommand?: boolean;
  readonly moduleInitArgs?: string;
  /** NAME=VALUE each. */
  readonly moduleEnv?: readonly string[];
  readonly moduleOutput?: boolean;
  /** Of `run` and `check` only. */
  readonly moduleHosts?: number;
  readonly stateDirectory?: string;
  readonly useFinalPinTry?: boolean;
  readonly deadline: number;
}

/** The options that every command that opens a key takes. */
export interface KeyFlags extends TokenFlags {
  readonly key: readonly string[];
  readonly cert?: string;
  readonly module?: string;
  readonly allowReadableKey?: boolean;
}

/** The options about who may be the daemon. */
export interface PeerFlags {
  readonly managementUser?: string;
  readonly maxDaemons?: number;
}

/** The options about other management clients. */
export interface RelayFlags {
  readonly relay?: readonly string[];
  readonly relayAllow: RelayRights;
  /** Octal digits. */
  readonly relayMode?: string;
  readonly relayGroup?: string;
  readonly relayKeep?: boolean;
}

/** The options of `run`, which `check` takes too. */
export interface TunnelFlags extends KeyFlags, PeerFlags, RelayFlags {
  readonly management?: readonly string[];
  readonly managementClient?: boolean;
  readonly openvpnConfig?: string;
  readonly onTokenRemoval: TokenRemovalAction;
  readonly waitForToken?: boolean;
}

function moduleEnvironment(words: readonly string[]): Record<string, string> {
  const entries = words.map((word, index): [string, string] => {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word) ?? [];
    if (name !== undefined && value !== undefined) return [name, value];
    // not repeated: it may be a PIN
    throw new AgentError('ERR_USAGE', `word ${index + 1} behind --module-env is not NAME=VALUE`);
  });
  return Object.fromEntries(entries);
}

/** @throws AgentError ERR_USAGE */
export function tokenSettings(flags: TokenFlags): TokenSettings {
  return {
    modules: {
      initArgs: flags.moduleInitArgs,
      most: flags.moduleHosts,
      environment: moduleEnvironment(flags.moduleEnv ?? []),
      showOutput: flags.moduleOutput ?? false,
    },
    pins: {
      source: flags.pinSource,
      allowCommand: flags.allowPinCommand ?? false,
      stateDirectory: flags.stateDirectory,
      useFinalTry: flags.useFinalPinTry ?? false,
    },
    deadline: flags.deadline,
  };
}

export function keySettings(flags: KeyFlags & Pick<TunnelFlags, 'waitForToken'>): KeySettings {
  return {
    copies: flags.key,
    certificate: flags.cert,
    module: flags.module,
    allowReadable: flags.allowReadableKey ?? false,
    waitForToken: flags.waitForToken ?? false,
  };
}

function relayMode(text: string | undefined): number | undefined {
  if (text === undefined || /^0?[0-7]{3}$/.test(text)) return text === undefined ? undefined : Number.parseInt(text, 8);
  throw new AgentError('ERR_USAGE', `--relay-mode '${text}' is not an octal mode`, { hint: 'such as 0660' });
}

function relaySettings(flags: RelayFlags): RelaySettings | undefined {
  const { relay, relayMode: mode, relayGroup: group, relayKeep } = flags;
  if (relay === undefined) {
    if (mode !== undefined || group !== undefined || relayKeep !== undefined)
      throw new AgentError('ERR_USAGE', '--relay-mode, --relay-group and --relay-keep are for --relay');
    return undefined;
  }
  const words = parseManagementWords(relay, '--relay');
  if (words.address.kind === 'tcp' && (mode !== undefined || group !== undefined))
    throw new AgentError('ERR_USAGE', '--relay-mode and --relay-group are for unix sockets');
  return { ...words, rights: flags.relayAllow, mode: relayMode(mode), group, keep: relayKeep ?? false };
}

/** A unix socket's path without links in its folder, which may not be there. */
function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return join(realpathSync(dirname(whole)), basename(whole));
  } catch {
    return whole;
  }
}

function isSameAddress(one: ManagementAddress, other: ManagementAddress): boolean {
  if (one.kind === 'unix') return other.kind === 'unix' && realPath(one.path) === realPath(other.path);
  return other.kind === 'tcp' && one.port === other.port && one.host.toLowerCase() === other.host.toLowerCase();
}

/** Over TCP one daemon at a time: a second one could be anybody. A relay has one daemon. */
function maxDaemons(flags: PeerFlags, { address, listen }: ManagementSettings, relays: boolean): number {
  if (flags.maxDaemons !== undefined && !listen)
    throw new AgentError('ERR_USAGE', '--max-daemons is for daemons that connect', {
      hint: 'it goes with --management-client',
    });
  if (relays && flags.maxDaemons !== undefined && flags.maxDaemons > 1)
    throw new AgentError('ERR_USAGE', '--relay relays one daemon', { hint: 'leave --max-daemons out' });
  return flags.maxDaemons ?? (relays || address.kind === 'tcp' ? 1 : Infinity);
}

/**
 * The tunnel that the options describe.
 * @param words ADDRESS PORT|unix [PASSWORD-FILE]: the option's own, or an .ovpn's
 * @param listen the daemon connects to us
 * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS
 */
export function tunnelSettings(
  flags: PeerFlags & RelayFlags & Pick<TunnelFlags, 'onTokenRemoval'>,
  words: readonly string[],
  listen: boolean,
): TunnelSettings {
  const management = { ...parseManagementWords(words, '--management'), listen, user: flags.managementUser };
  const relay = relaySettings(flags);
  if (relay && isSameAddress(management.address, relay.address)) {
    const [first, port] = flags.relay ?? [];
    throw new AgentError('ERR_USAGE', `--management and --relay name the same address twice: ${first} ${port}`, {
      hint: 'give the relay one of its own',
    });
  }
  return {
    ...management,
    key: KEY,
    maxDaemons: maxDaemons(flags, management, relay !== undefined),
    onTokenRemoval: flags.onTokenRemoval,
    relay,
  };
}

/** What the one key and the one tunnel that options can describe are called. */
const KEY = 'key';
const TUNNEL = 'tunnel';

/**
 * What `run` was told by options, and by the .ovpn that they name.
 * @throws AgentError ERR_USAGE, ERR_CONFIG, ERR_CONFIG_NOT_FOUND, ERR_MANAGEMENT_ADDRESS
 */
export async function settingsOf(flags: TunnelFlags): Promise<Settings> {
  const { management, openvpnConfig: path } = flags;
  if ((management === undefined) === (path === undefined)) {
    throw new AgentError('ERR_USAGE', 'give --management ADDRESS PORT|unix or --openvpn-config FILE', {
      hint: 'one of the two',
    });
  }
  const openvpnConfig = path === undefined ? undefined : await readOpenVpnConfig(path);
  const directives = openvpnConfig && managementDirectives(openvpnConfig);
  const listen = directives ? directives.managementClient : (flags.managementClient ?? false);
  const tunnel = tunnelSettings(flags, directives?.management ?? management ?? [], listen);
  return {
    keys: { [KEY]: keySettings(flags) },
    tunnels: { [TUNNEL]: { ...tunnel, openvpnConfig } },
    tokens: tokenSettings(flags),
  };
}
