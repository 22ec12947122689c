import { basename, extname, isAbsolute, resolve } from 'node:path';
import { AgentError, errorCode, errorText } from '../../errors.ts';
import { backendOf } from '../../keys/backends.ts';
import type { LogLevel } from '../../log-level.ts';
import { filesOf, isPattern } from '../file-pattern.ts';
import {
  auditSettings,
  keySettings,
  openVpnTunnel,
  rateSettings,
  reserveOwn,
  tokenSettings,
  tunnelSettings,
} from '../flags.ts';
import { checkMonitorFlags } from '../monitor-flags.ts';
import { parseSecretSource } from '../secret-source.ts';
import type { AuditSettings, KeySettings, Settings, TokenSettings, TunnelSettings } from '../settings.ts';
import { Tunnels } from '../tunnels.ts';
import { monitorFlags } from './agent-flags.ts';
import { checkTree, type Checked, type CheckedTree, placeOf, valuePlace } from './check-tree.ts';
import { ConfigurationError, type Fault, type Place } from './fault.ts';
import { didYouMean } from '../../nearest.ts';
import { readFiles } from './read-files.ts';
import type { Document, KeySection, TunnelSection } from './document.ts';
import type { Table } from './toml-tree.ts';

/** A configuration that can be used. */
export interface Configuration {
  readonly path: string;
  /** It, and its drop-ins. */
  readonly files: readonly string[];
  /** Of them, the first that has no section at all. */
  readonly silent: string | undefined;
  /** What the files say, with defaults and absolute paths. */
  readonly document: Document;
  readonly settings: Settings;
  readonly logLevel: LogLevel;
  /** Of tunnels that can't be served, since an .ovpn is of no use: the others can. */
  readonly faults: readonly Fault[];
}

type Camel<Name extends string> = Name extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name;
type Flags<Section> = { [Name in keyof Section & string as Camel<Name>]: Section[Name] };

/** A section as the options that its keys are called after: one code makes settings of both. */
function asFlags<Section extends object>(section: Section): Flags<Section> {
  const camel = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(section).map(([name, value]) => [camel(name), value])) as Flags<Section>;
}

/** A table as an option takes it: NAME=VALUE each. */
function pairs(table: Readonly<Record<string, string>>): string[] {
  return Object.entries(table).map((pair) => pair.join('='));
}

/** An error of an option, told of the key that is called so. */
function inFile(error: unknown): string {
  return errorText(error).replaceAll(/--(?=[a-z])/g, '');
}

/** Where the option stands that an error names. */
function optionPlace(table: Table, error: unknown): Place | undefined {
  const options = errorText(error).match(/(?<=--)[a-z][a-z-]*/g) ?? [];
  const named = options.find((option) => table.entries.has(option));
  return named === undefined ? undefined : valuePlace(table, named);
}

/** Where in a tunnel's section the option stands that an error is about: it names the option, or its address. */
function faultPlace({ table, value }: Checked<TunnelSection>, error: unknown): Place {
  const named = optionPlace(table, error);
  if (named) return named;
  const text = errorText(error);
  const [address, port] = value.relay ?? [];
  const relay = port === 'unix' ? [address] : [`${address}:${port}`, `[${address}]:${port}`];
  const isRelay =
    value.relay &&
    (text.includes(`${address} ${port}`) || relay.some((place) => text.startsWith(`${place} is in use`)));
  return valuePlace(table, isRelay ? 'relay' : value.management ? 'management' : 'openvpn-config');
}

function sectionsOf<Value>(checked: ReadonlyMap<string, Checked<Value>>): Record<string, Value> {
  return Object.fromEntries([...checked].flatMap(([name, { whole }]) => (whole ? [[name, whole] as const] : [])));
}

/** Makes settings of what the files say, as far as it has no faults, and finds those that lie between sections. */
class SettingsBuilder {
  readonly faults: Fault[];
  /** Of .ovpn that are of no use. */
  readonly brokenFaults: Fault[] = [];
  readonly #tree: CheckedTree;
  readonly #tunnels = new Tunnels();

  constructor(tree: CheckedTree, faults: Fault[]) {
    this.#tree = tree;
    this.faults = faults;
  }

  async build(): Promise<Settings> {
    const keys = [...this.#tree.key].flatMap(([name, checked]) => {
      const key = this.#key(checked);
      return key ? [[name, key] as const] : [];
    });
    // one after the other: of two tunnels at one address the first has it
    const planned = await Promise.all([...this.#tree.tunnel].map((each) => this.#plan(...each)));
    this.#checkAgent();
    for (const { name, checked, tunnel, isOwn } of planned.flat()) this.#add(name, checked, tunnel, isOwn);
    const { settings: tunnels, broken } = this.#tunnels;
    return { keys: Object.fromEntries(keys), tunnels, tokens: this.#tokens(), audit: this.#audit(), broken };
  }

  #fault(place: Place, message: string): void {
    this.faults.push({ place, message });
  }

  /** The agent's own addresses go before the tunnels'. */
  #checkAgent(): void {
    const { value, whole, table } = this.#tree.agent;
    const before = this.faults.length;
    for (const name of ['control', 'metrics'] as const) {
      try {
        reserveOwn(this.#tunnels, { [name]: value[name] });
      } catch (error) {
        if (!(error instanceof AgentError)) throw error;
        this.#fault(valuePlace(table, name), inFile(error));
      }
    }
    if (!whole || this.faults.length > before) return;
    try {
      checkMonitorFlags(monitorFlags(whole));
    } catch (error) {
      this.#fault(optionPlace(table, error) ?? table.place, inFile(error));
    }
  }

  #audit(): AuditSettings | undefined {
    const { whole, table } = this.#tree.audit;
    if (!whole) return undefined;
    const { file: audit, sync, 'on-failure': onFailure, 'rotate-size': size, 'rotate-age': age } = whole;
    if (audit === undefined) {
      if (table.entries.size > 0) this.#fault(table.place, "[audit] lacks 'file'");
      return undefined;
    }
    return auditSettings({
      ...{ audit, auditSync: sync, auditOnFailure: onFailure, auditRotateSize: size, auditRotateAge: age },
    });
  }

  #tokens(): TokenSettings {
    const { token, state } = this.#tree;
    const given = token.value;
    return tokenSettings({
      ...asFlags(given),
      moduleEnv: pairs(given['module-env'] ?? {}),
      stateDirectory: state.value.directory,
      deadline: (given.deadline ?? 0) * 1000,
    });
  }

  #key(checked: Checked<KeySection>): KeySettings | undefined {
    const { value, whole, table } = checked;
    const uses: [string, readonly string[]][] = [
      ['key', value.key ?? []],
      ['cert', value.cert === undefined ? [] : [value.cert]],
    ];
    for (const [name, texts] of uses) {
      for (const text of texts) {
        try {
          checkUse(text);
        } catch (error) {
          this.#fault(valuePlace(table, name), inFile(error));
        }
      }
    }
    if (!whole) return undefined;
    try {
      return keySettings({
        ...asFlags(whole),
        module: whole.module ?? this.#tree.token.value.module,
        ...(whole.lifetime !== undefined && { lifetime: whole.lifetime * 1000 }),
      });
    } catch (error) {
      this.#fault(optionPlace(table, error) ?? table.place, inFile(error));
      return undefined;
    }
  }

  /** The name of a tunnel's key; without one the only key. */
  #keyOf({ table, value }: Checked<TunnelSection>, name: string): string {
    const names = [...this.#tree.key.keys()];
    const [first] = names;
    const given = value.key;
    if (given === undefined) {
      if (table.entries.has('key')) return ''; // told already
      if (first === undefined) this.#fault(table.place, 'there is no key: add a section [key.NAME]');
      else if (names.length > 1) this.#fault(table.place, `[tunnel.${name}] lacks 'key': there are several`);
      return first ?? '';
    }
    if (!names.includes(given))
      this.#fault(valuePlace(table, 'key'), `there is no [key.${given}]${didYouMean(given, names, 'there is')}`);
    return given;
  }

  /** What must be in a tunnel's section, and what makes no sense together. */
  #checkTunnel({ table }: Checked<TunnelSection>, name: string): void {
    const has = (key: string): boolean => table.entries.has(key);
    if (!has('openvpn-config')) {
      if (!has('management')) this.#fault(table.place, `[tunnel.${name}] lacks 'openvpn-config' or 'management'`);
      return;
    }
    for (const key of ['management', 'management-client']) {
      if (has(key)) this.#fault(placeOf(table, key), `'${key}' stands in the .ovpn: leave it out, or 'openvpn-config'`);
    }
  }

  /** The tunnels that a section describes, each as it is or why it can't be. */
  async #plan(name: string, checked: Checked<TunnelSection>): Promise<Planned[]> {
    const { whole, table } = checked;
    const key = this.#keyOf(checked, name);
    this.#checkTunnel(checked, name);
    if (!whole) return [];
    const flags = {
      ...asFlags(whole),
      answerNeedok: pairs(whole['answer-needok']),
      answerNeedstr: pairs(whole['answer-needstr']),
    };
    const { management, openvpnConfig, managementClient } = flags;
    if (openvpnConfig === undefined) {
      if (management === undefined) return [];
      const tunnel = await attempt(() => ({
        ...tunnelSettings(flags, management, managementClient ?? false, key),
        rate: rateSettings(flags),
      }));
      return [{ name, checked, isOwn: true, tunnel }];
    }
    const { several, paths } = await this.#filesOf(openvpnConfig, table);
    if (several && flags.relay !== undefined)
      this.#fault(placeOf(table, 'relay'), "'relay' is for one tunnel: not for all that a pattern fits");
    return await Promise.all(
      paths.map(async (path) => ({
        name: several ? basename(path, extname(path)) : name,
        checked,
        isOwn: false,
        tunnel: await attempt(async () => ({ ...(await openVpnTunnel(path, flags, key)), rate: rateSettings(flags) })),
      })),
    );
  }

  /** The .ovpn that a section names. None where that can't be told, which is a fault: else their tunnels would end. */
  async #filesOf(given: string, table: Table): Promise<{ several: boolean; paths: readonly string[] }> {
    try {
      const several = await isPattern(given);
      return { several, paths: several ? await filesOf(given) : [given] };
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      const mayCome = error.code === 'ERR_CONFIG_NOT_FOUND';
      this.faults.push({ place: valuePlace(table, 'openvpn-config'), message: inFile(error), mayCome });
      return { several: false, paths: [] };
    }
  }

  #add(name: string, checked: Checked<TunnelSection>, tunnel: TunnelSettings | AgentError, isOwn: boolean): void {
    let error = tunnel instanceof AgentError ? tunnel : undefined;
    try {
      if (!(tunnel instanceof AgentError)) this.#tunnels.add(name, tunnel);
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
      error = thrown;
    }
    if (!error) return;
    // a mistake in this file, not in the .ovpn
    const isMistake = isOwn || (tunnel instanceof AgentError && errorCode(tunnel) === 'ERR_USAGE');
    const place = faultPlace(checked, error);
    const fault = { place, message: inFile(error), mayCome: error.code === 'ERR_CONFIG_NOT_FOUND' };
    if (isMistake) {
      this.faults.push(fault);
    } else {
      this.brokenFaults.push(fault);
      this.#tunnels.broken.push({ name, error });
    }
  }
}

interface Planned {
  readonly name: string;
  readonly checked: Checked<TunnelSection>;
  /** It stands in the file itself. */
  readonly isOwn: boolean;
  readonly tunnel: TunnelSettings | AgentError;
}

/** What it gives, or why it does not. */
async function attempt(work: () => TunnelSettings | Promise<TunnelSettings>): Promise<TunnelSettings | AgentError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AgentError) return error;
    throw error;
  }
}

/** @throws AgentError for a KEY or CERT that can't be read, or whose source of a PIN is none, or that has a path that counts from nowhere */
function checkUse(text: string): void {
  const backend = backendOf(text);
  backend.validate(text);
  const { source } = backend.secretOf(text) ?? {};
  const parsed = source === undefined ? undefined : parseSecretSource(source);
  const paths = [parsed?.kind === 'file' ? parsed.path : undefined, backend.uncountedPath(text)];
  if (paths.some((path) => path !== undefined && !isAbsolute(path)))
    throw new AgentError('ERR_USAGE', 'a path inside a URI does not count from this file: make it absolute');
}

/**
 * Reads a configuration file with its drop-ins, and the .ovpn that they name.
 * @throws ConfigurationError with all mistakes; AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND for a file that can't be read
 */
export async function readConfiguration(given: string): Promise<Configuration> {
  const path = resolve(given);
  const faults: Fault[] = [];
  const { tree, files, silent } = await readFiles(path, faults);
  // what stands behind a syntax error is not known: nothing that it may be is missing
  const isWhole = faults.length === 0;
  const checked = checkTree(tree, faults);
  const builder = new SettingsBuilder(checked, isWhole ? faults : []);
  const settings = await builder.build();
  const { log, state, agent, audit, token } = checked;
  if (faults.length > 0 || !log.whole || !state.whole || !agent.whole || !audit.whole || !token.whole)
    throw new ConfigurationError(path, faults);
  return {
    path,
    files,
    silent,
    document: {
      log: log.whole,
      state: state.whole,
      agent: agent.whole,
      audit: audit.whole,
      token: token.whole,
      key: sectionsOf(checked.key),
      tunnel: sectionsOf(checked.tunnel),
    },
    settings,
    logLevel: log.whole.level,
    faults: builder.brokenFaults,
  };
}
