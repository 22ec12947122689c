import { dirname, resolve } from 'node:path';
import { AgentError } from '../errors.ts';
import { readFileLimited } from '../read-file-limited.ts';
import { readLines, type ConfigLine } from './openvpn-lines.ts';

/** The management directives of an OpenVPN configuration, as --management takes them. */
export interface ManagementDirectives {
  /** ADDRESS PORT|unix [PASSWORD-FILE]. */
  readonly management: readonly string[];
  /** `management-client`: the daemon connects to us. */
  readonly managementClient: boolean;
}

/** What OpenVPN reads in a configuration and in those that it includes (`config FILE`). */
export interface OpenVpnConfig {
  readonly path: string;
  /** Each directive's words behind its name, where it stood last; of an inline block (`<cert>` …): `[inline]`. */
  readonly directives: ReadonlyMap<string, readonly string[]>;
  /** The text of inline blocks. */
  readonly inline: ReadonlyMap<string, string>;
  /** The folder from which relative paths count: the configuration's own, where distributions' units start OpenVPN, or `cd`'s. */
  readonly folder: string;
  /** As several directives make it together, its paths absolute; undefined if there is none. */
  readonly management: readonly string[] | undefined;
}

/** A line of a configuration, or of one that it includes. */
export interface PlacedLine {
  readonly path: string;
  /** From 1. */
  readonly number: number;
  /** The directive's name first. */
  readonly words: readonly string[];
}

/** Gets a configuration. @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND */
export type ReadConfig = (path: string) => Promise<Buffer>;

type OnLine = (line: PlacedLine) => void;

/** With inline certificates and revocation lists. */
const MAX_BYTES = 8 * 1024 * 1024;
/** max_recursive_levels in options_parse.c. */
const MAX_LEVELS = 10;
/** Ten levels of files that each include several would never end. */
const MAX_FILES = 100;

/** How many words these take, at least and at most; with another number OpenVPN refuses the configuration (options.c). */
const WORDS: ReadonlyMap<string, readonly [least: number, most: number, synopsis: string]> = new Map([
  ['management', [2, 3, 'ADDRESS PORT|unix [PASSWORD-FILE]']],
  ['management-client', [0, 0, 'nothing']],
  ['management-hold', [0, 0, 'nothing']],
  ['management-signal', [0, 0, 'nothing']],
  ['management-forget-disconnect', [0, 0, 'nothing']],
  ['management-query-passwords', [0, 0, 'nothing']],
  ['management-client-user', [1, 1, 'USER']],
  ['management-client-group', [1, 1, 'GROUP']],
  ['management-external-cert', [1, 1, 'HINT']],
  ['cert', [1, 1, 'FILE']],
  ['config', [1, 1, 'FILE']],
  ['cd', [1, 1, 'FOLDER']],
] as const);

/** What no option of any OpenVPN is called: with words behind it, `<ca>` is no tag. @returns why, and what to do */
function faultOfName(name: string): [why: string, hint?: string] | undefined {
  const why = `Unrecognized option '${name}'`;
  if (name.startsWith('<')) return [why, 'a tag is alone on its line'];
  return name === '' || name === '--' ? [why] : undefined;
}

/** Reads directives in their order, as add_option in options.c does. */
class ConfigReader {
  readonly directives = new Map<string, readonly string[]>();
  readonly inline = new Map<string, string>();
  folder: string;
  readonly #read: ReadConfig;
  readonly #onLine: OnLine;
  /** Of `ignore-unknown-option`. */
  readonly #ignored = new Set<string>();
  #files = 0;
  #address: string | undefined;
  #port = '';
  #isUnix = false;
  #passwordFile: string | undefined;

  constructor(folder: string, read: ReadConfig, onLine: OnLine) {
    this.folder = folder;
    this.#read = read;
    this.#onLine = onLine;
  }

  async readFile(path: string, level = 1): Promise<void> {
    if (++this.#files > MAX_FILES) throw new AgentError('ERR_CONFIG', `${path} is one of more than ${MAX_FILES} files`);
    for (const line of readLines(await this.#read(path), path)) await this.#take(line, path, level);
  }

  async #take(line: ConfigLine, path: string, level: number): Promise<void> {
    const { name, words, isOptional } = withoutPrefix(line.words);
    const isInline = line.inline !== undefined;
    const refuse = (why: string, hint?: string): never => {
      throw new AgentError('ERR_CONFIG', `${path}:${line.number}: ${why}`, hint === undefined ? {} : { hint });
    };
    const [least, most, synopsis] = WORDS.get(name) ?? [0, Infinity, ''];
    const isWrong = isInline ? most !== Infinity && name !== 'cert' : words.length < least || words.length > most;
    const fault = faultOfName(name) ?? (isWrong ? ([`${name} takes ${synopsis}`] as const) : undefined);
    if (fault) {
      // OpenVPN passes over what it was told that it may not know
      if (isOptional || this.#ignored.has(name)) return;
      refuse(...fault);
    }
    if (name === 'ignore-unknown-option') for (const word of words) this.#ignored.add(word.replace(/^--/, ''));
    this.#onLine({ path, number: line.number, words: [name, ...words] });
    // its flags add up
    const before = name === 'management-external-key' ? (this.directives.get(name) ?? []) : [];
    this.directives.set(name, isInline ? ['[inline]'] : [...before, ...words]);
    if (isInline) this.inline.set(name, line.inline);
    else this.inline.delete(name);

    const [first = '', port = '', passwordFile] = words;
    if (name === 'cd') this.folder = resolve(this.folder, first);
    if (name === 'config') {
      if (first === 'stdin') refuse("what OpenVPN reads from its standard input can't be read", 'give --management');
      if (level === MAX_LEVELS) refuse(`${first} is included ${MAX_LEVELS} levels deep`, 'does it include itself?');
      await this.readFile(resolve(this.folder, first), level + 1);
    }
    if (name === 'management') {
      // `unix` and the password file stay from one line to the next
      [this.#address, this.#port] = [first, port];
      this.#isUnix ||= port === 'unix';
      this.#passwordFile = passwordFile ?? this.#passwordFile;
    }
  }

  /** The directives together; a relative path counts from the folder that OpenVPN is in at last. */
  get management(): readonly string[] | undefined {
    if (this.#address === undefined) return undefined;
    const file = this.#passwordFile;
    return [
      ...(this.#isUnix ? [resolve(this.folder, this.#address), 'unix'] : [this.#address, this.#port]),
      ...(file === undefined ? [] : [file === 'stdin' ? file : resolve(this.folder, file)]),
    ];
  }
}

/** `setenv opt NAME …` is NAME to releases that know it. */
function withoutPrefix(all: readonly string[]): { name: string; words: readonly string[]; isOptional: boolean } {
  const isOptional = all[0] === 'setenv' && all[1] === 'opt';
  const [name = '', ...words] = isOptional ? all.slice(2) : all;
  return { name, words, isOptional };
}

async function readConfigFile(path: string): Promise<Buffer> {
  // as for a key: a folder may be mounted late
  const codes = { code: 'ERR_CONFIG', absent: 'ERR_CONFIG_NOT_FOUND' } as const;
  return await readFileLimited(path, { what: 'the OpenVPN configuration', ...codes, maxBytes: MAX_BYTES });
}

/**
 * Reads a configuration as OpenVPN does, as far as the management interface, key and certificate go: what it refuses for
 * its form is refused, unknown directives are not judged.
 * @param onLine is told of each line, in their order
 * @throws AgentError ERR_CONFIG, ERR_CONFIG_NOT_FOUND
 */
export async function readOpenVpnConfig(
  path: string,
  read: ReadConfig = readConfigFile,
  onLine: OnLine = () => undefined,
): Promise<OpenVpnConfig> {
  const reader = new ConfigReader(dirname(resolve(path)), read, onLine);
  await reader.readFile(path);
  const { directives, inline, folder, management } = reader;
  return { path, directives, inline, folder, management };
}

/** The management directives of a configuration. @throws AgentError ERR_CONFIG if it has none */
export function managementDirectives({ path, directives, management }: OpenVpnConfig): ManagementDirectives {
  if (management) return { management, managementClient: directives.has('management-client') };
  throw new AgentError('ERR_CONFIG', `${path} has no management directive`, {
    hint: "add 'management /run/openvpn/NAME.sock unix' and 'management-hold'",
  });
}
