import { resolve } from 'node:path';
import { parseWords } from '../certificates/words.ts';
import { AgentError } from '../errors.ts';
import { formatManagementAddress, type RelayRights } from '../management/index.ts';
import { isLocal } from '../management/internal.ts';
import { type AnswerFlags, answerSettings } from './answers.ts';
import { commandLine } from './command-line.ts';
import { AGE_TAKES, ageOf, required, SIZE_TAKES, sizeOf } from './amounts.ts';
import { filesOf, isPattern } from './file-pattern.ts';
import { managementDirectives, readOpenVpnConfig } from './openvpn-config.ts';
import { parseManagementWords, parseMetricsWords } from './management-words.ts';
import type { SchemeName } from '../signing/algorithm-text.ts';
import type { HashName } from '../signing/hashes.ts';
import {
  type AuditFailureAction,
  type AuditSettings,
  type AuditSync,
  type CertificateChangeAction,
  type ContextRule,
  DEFAULT_HASHES,
  type HealAction,
  type KeySettings,
  type ManagementSettings,
  type PolicySettings,
  type RateSettings,
  type RelaySettings,
  type Settings,
  type TokenRemovalAction,
  type TokenSettings,
  type TunnelSettings,
} from './settings.ts';
import { type OwnPlaces, placeOf, Tunnels } from './tunnels.ts';

/** The options that every command that looks into tokens takes. Times are in milliseconds. */
export interface TokenFlags {
  readonly pinSource?: string | undefined;
  readonly allowPinCommand?: boolean | undefined;
  readonly moduleInitArgs?: string | undefined;
  /** NAME=VALUE each. */
  readonly moduleEnv?: readonly string[] | undefined;
  readonly moduleOutput?: boolean | undefined;
  /** Of `run` and `check` only. */
  readonly moduleHosts?: number | undefined;
  readonly stateDirectory?: string | undefined;
  readonly useFinalPinTry?: boolean | undefined;
  readonly deadline: number;
}

/** The options that every command that opens a key takes. */
export interface KeyFlags extends TokenFlags {
  readonly key: readonly string[];
  readonly cert?: string | undefined;
  /** Each with one word or several, such as `SUBJ:Jane`. */
  readonly select?: readonly string[] | undefined;
  readonly module?: string | undefined;
  readonly allowReadableKey?: boolean | undefined;
}

/** The options about who may be the daemon. */
export interface PeerFlags {
  readonly managementUser?: string | undefined;
  readonly maxDaemons?: number | undefined;
}

/** The options about the audit log. */
export interface AuditFlags {
  readonly audit?: string | undefined;
  readonly auditSync?: AuditSync | undefined;
  readonly auditOnFailure?: AuditFailureAction | undefined;
  /** `64M`. */
  readonly auditRotateSize?: string | undefined;
  /** `7d`. */
  readonly auditRotateAge?: string | undefined;
}

/** The options about other management clients. */
export interface RelayFlags {
  readonly relay?: readonly string[] | undefined;
  readonly relayAllow?: RelayRights | undefined;
  /** Octal digits. */
  readonly relayMode?: string | undefined;
  readonly relayGroup?: string | undefined;
  readonly relayKeep?: boolean | undefined;
}

/** The options about how often. */
export interface RateFlags {
  /** Signatures a minute. */
  readonly rate?: number | undefined;
  readonly burst?: number | undefined;
}

/** The options about what a key may sign. */
export interface PolicyFlags extends RateFlags {
  readonly allowScheme?: readonly SchemeName[] | undefined;
  readonly allowHash?: readonly HashName[] | undefined;
  readonly context?: ContextRule | undefined;
  /** Another word for the context `require`. */
  readonly requireContext?: 'tls-client' | undefined;
  readonly requireServerCa?: string | undefined;
  readonly requireServerName?: string | undefined;
  readonly confirm?: string | undefined;
  readonly lifetime?: number | undefined;
}

/** The options about what one tunnel may have signed. */
export interface TunnelPolicyFlags {
  readonly usesPerConnect?: number | undefined;
}

/** The options of `run`, which `check` takes too. */
export interface TunnelFlags
  extends Omit<KeyFlags, 'key'>,
    PeerFlags,
    RelayFlags,
    AnswerFlags,
    AuditFlags,
    PolicyFlags,
    TunnelPolicyFlags {
  readonly key?: readonly string[] | undefined;
  readonly management?: readonly string[] | undefined;
  readonly managementClient?: boolean | undefined;
  /** Paths and patterns: each file is a tunnel. */
  readonly openvpnConfig?: readonly string[] | undefined;
  readonly onTokenRemoval: TokenRemovalAction;
  readonly onCertificateChange?: CertificateChangeAction | undefined;
  readonly heal?: HealAction | undefined;
  readonly waitForToken?: boolean | undefined;
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

/** @throws AgentError ERR_USAGE for half of it */
export function rateSettings({ rate, burst }: RateFlags): RateSettings | undefined {
  if (rate !== undefined) return { perMinute: rate, burst: burst ?? rate };
  if (burst !== undefined) throw new AgentError('ERR_USAGE', '--burst is for --rate', { hint: 'give both' });
  return undefined;
}

function policySettings(flags: PolicyFlags): PolicySettings {
  const { context, requireContext } = flags;
  if (requireContext !== undefined && context !== undefined && context !== 'require') {
    const text = `--require-context ${requireContext} is --context require, and not ${context}`;
    throw new AgentError('ERR_USAGE', text, { hint: 'give one of the two' });
  }
  return {
    schemes: flags.allowScheme,
    hashes: flags.allowHash ?? DEFAULT_HASHES,
    context: requireContext === undefined ? (context ?? 'when-visible') : 'require',
    serverCa: flags.requireServerCa,
    serverName: flags.requireServerName,
    confirm: commandLine(flags.confirm, '--confirm'),
    lifetime: flags.lifetime,
    rate: rateSettings(flags),
  };
}

/** @throws AgentError ERR_USAGE for words that can't be read */
function checkedWords(select: readonly string[] | undefined): readonly string[] | undefined {
  try {
    if (select) parseWords(select);
    return select;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const { message, hint } = error;
    throw new AgentError(error.code, `--select: ${message}`, { cause: error, ...(hint !== undefined && { hint }) });
  }
}

/** @throws AgentError ERR_USAGE */
export function keySettings(
  flags: Omit<KeyFlags, keyof TokenFlags> & Pick<TunnelFlags, 'waitForToken'> & PolicyFlags,
): KeySettings {
  return {
    copies: flags.key,
    certificate: flags.cert,
    select: checkedWords(flags.select),
    module: flags.module,
    allowReadable: flags.allowReadableKey ?? false,
    waitForToken: flags.waitForToken ?? false,
    policy: policySettings(flags),
  };
}

/** @throws AgentError ERR_USAGE */
export function auditSettings(flags: AuditFlags): AuditSettings | undefined {
  const { audit: file, auditSync: sync, auditOnFailure: onFailure, auditRotateSize: size, auditRotateAge: age } = flags;
  if (file === undefined) {
    if ([sync, onFailure, size, age].every((each) => each === undefined)) return undefined;
    const options = '--audit-sync, --audit-on-failure, --audit-rotate-size and --audit-rotate-age';
    throw new AgentError('ERR_USAGE', `${options} are for --audit`);
  }
  return {
    file: resolve(file),
    sync: sync ?? 'each',
    onFailure: onFailure ?? 'refuse',
    rotateSize: size === undefined ? undefined : required(sizeOf, size, '--audit-rotate-size', SIZE_TAKES),
    rotateAge: age === undefined ? undefined : required(ageOf, age, '--audit-rotate-age', AGE_TAKES),
  };
}

function relayMode(text: string | undefined): number | undefined {
  if (text === undefined || /^0?[0-7]{3}$/.test(text)) return text === undefined ? undefined : Number.parseInt(text, 8);
  throw new AgentError('ERR_USAGE', `--relay-mode '${text}' is not an octal mode`, { hint: 'such as 0660' });
}

function relaySettings(flags: RelayFlags): RelaySettings | undefined {
  const { relay, relayAllow, relayMode: mode, relayGroup: group, relayKeep } = flags;
  if (relay === undefined) {
    if ([relayAllow, mode, group, relayKeep].some((each) => each !== undefined))
      throw new AgentError('ERR_USAGE', '--relay-allow, --relay-mode, --relay-group and --relay-keep are for --relay');
    return undefined;
  }
  const words = parseManagementWords(relay, '--relay');
  if (words.address.kind === 'tcp' && (mode !== undefined || group !== undefined))
    throw new AgentError('ERR_USAGE', '--relay-mode and --relay-group are for unix sockets');
  if (words.password === undefined && !isLocal(words.address))
    throw new AgentError('ERR_USAGE', `--relay on ${formatManagementAddress(words.address)} needs a password`, {
      hint: 'name a password file behind the port, or use a unix socket or a loopback address',
    });
  return { ...words, rights: relayAllow ?? 'read', mode: relayMode(mode), group, keep: relayKeep ?? false };
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
 * @param key the name of its key
 * @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS
 */
export function tunnelSettings(
  flags: PeerFlags &
    RelayFlags &
    AnswerFlags &
    TunnelPolicyFlags &
    Pick<TunnelFlags, 'onTokenRemoval' | 'onCertificateChange' | 'heal'>,
  words: readonly string[],
  listen: boolean,
  key: string = KEY,
): TunnelSettings {
  const management = { ...parseManagementWords(words, '--management'), listen, user: flags.managementUser };
  const relay = relaySettings(flags);
  if (relay && placeOf(management.address) === placeOf(relay.address)) {
    const [first, port] = flags.relay ?? [];
    throw new AgentError('ERR_USAGE', `--management and --relay name the same address twice: ${first} ${port}`, {
      hint: 'give the relay one of its own',
    });
  }
  if (relay && flags.usesPerConnect !== undefined)
    throw new AgentError(
      'ERR_USAGE',
      "--uses-per-connect hangs on the daemon's state, which a relay's clients ask for",
      {
        hint: 'leave it out, or --relay',
      },
    );
  return {
    ...management,
    key,
    maxDaemons: maxDaemons(flags, management, relay !== undefined),
    onTokenRemoval: flags.onTokenRemoval,
    onCertificateChange: flags.onCertificateChange ?? 'none',
    heal: flags.heal ?? 'restart',
    usesPerConnect: flags.usesPerConnect,
    relay,
    answers: answerSettings(flags),
  };
}

/**
 * The tunnel that an .ovpn and options describe.
 * @throws AgentError ERR_USAGE, ERR_CONFIG, ERR_CONFIG_NOT_FOUND, ERR_MANAGEMENT_ADDRESS
 */
export async function openVpnTunnel(
  path: string,
  flags: Parameters<typeof tunnelSettings>[0],
  key: string = KEY,
): Promise<TunnelSettings> {
  const openvpnConfig = await readOpenVpnConfig(path);
  const { management, managementClient } = managementDirectives(openvpnConfig);
  return { ...tunnelSettings(flags, management, managementClient, key), openvpnConfig };
}

/** The copies of the key. @throws AgentError ERR_USAGE without any */
export function requiredKey({ key }: Pick<TunnelFlags, 'key'>): readonly string[] {
  if (key) return key;
  throw new AgentError('ERR_USAGE', "required option '--key <key>' not specified", {
    hint: 'or give --config FILE',
  });
}

/** What the one key that options can describe is called. */
const KEY = 'key';

/** Keeps tunnels from where the agent itself listens. @throws AgentError ERR_USAGE, ERR_MANAGEMENT_ADDRESS */
export function reserveOwn(tunnels: Tunnels, { control, metrics }: OwnPlaces): void {
  if (control !== undefined && control !== 'none') tunnels.reserve('control', { kind: 'unix', path: control });
  if (metrics) tunnels.reserve('metrics', parseMetricsWords(metrics));
}

/** The tunnels of several .ovpn, called by their addresses. One that is of no use disturbs no other. */
async function openVpnTunnels(given: readonly string[], flags: TunnelFlags, tunnels: Tunnels): Promise<void> {
  const found = await Promise.all(given.map(async (path) => ((await isPattern(path)) ? await filesOf(path) : [path])));
  const paths = [...new Set(found.flat())];
  if (paths.length === 0) throw new AgentError('ERR_CONFIG_NOT_FOUND', `no file fits ${given.join(' ')}`);
  const isOnly = paths.length === 1;
  if (!isOnly && flags.relay !== undefined)
    throw new AgentError('ERR_USAGE', '--relay is for one tunnel', { hint: 'give each its own in a --config file' });
  for (const path of paths) {
    try {
      const tunnel = await openVpnTunnel(path, flags);
      tunnels.add(formatManagementAddress(tunnel.address), tunnel);
    } catch (error) {
      if (isOnly || !(error instanceof AgentError)) throw error;
      tunnels.broken.push({ name: path, error });
    }
  }
}

/**
 * What `run` was told by options, and by the .ovpn that they name.
 * @throws AgentError ERR_USAGE, ERR_CONFIG, ERR_CONFIG_NOT_FOUND, ERR_MANAGEMENT_ADDRESS
 */
export async function settingsOf(flags: TunnelFlags & OwnPlaces): Promise<Settings> {
  const { management, openvpnConfig } = flags;
  const keys = keySettings({ ...flags, key: requiredKey(flags) });
  if ((management === undefined) === (openvpnConfig === undefined)) {
    throw new AgentError('ERR_USAGE', 'give --management ADDRESS PORT|unix or --openvpn-config FILE', {
      hint: 'one of the two',
    });
  }
  const tunnels = new Tunnels();
  reserveOwn(tunnels, flags);
  if (openvpnConfig) await openVpnTunnels(openvpnConfig, flags, tunnels);
  if (management) {
    const tunnel = tunnelSettings(flags, management, flags.managementClient ?? false);
    tunnels.add(formatManagementAddress(tunnel.address), tunnel);
  }
  return {
    keys: { [KEY]: keys },
    tunnels: tunnels.settings,
    tokens: tokenSettings(flags),
    audit: auditSettings(flags),
    broken: tunnels.broken,
  };
}
