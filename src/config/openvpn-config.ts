import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { AgentError, errorText } from '../errors.ts';

/** The management directives of an OpenVPN configuration, as --management takes them. */
export interface ManagementDirectives {
  /** ADDRESS PORT|unix [PASSWORD-FILE]. */
  readonly management: readonly string[];
  /** `management-client`: the daemon connects to us. */
  readonly managementClient: boolean;
}

function refuse(path: string, line: number, why: string): never {
  throw new AgentError('ERR_CONFIG', `${path}:${line}: ${why}`);
}

/**
 * One line of a configuration as words (OpenVPN's options_util.c, parse_line): `#` and `;` start a comment at a word's
 * start, double quotes keep blanks, single quotes keep everything, a backslash takes the next character as it is.
 */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote: '"' | "'" | undefined;
  for (let index = 0; index < line.length; index++) {
    const character = line[index] ?? '';
    if (character === '\\' && quote !== "'") {
      word = (word ?? '') + (line[++index] ?? '');
    } else if (quote) {
      if (character === quote) quote = undefined;
      else word = (word ?? '') + character;
    } else if (word === undefined && (character === '#' || character === ';')) {
      break;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote) return undefined;
  return word === undefined ? words : [...words, word];
}

/** One directive: its name, the words behind it, and where it stands. */
interface Directive {
  readonly name: string;
  /** Of an inline block (`<cert>` …): `[inline]`, and its text. */
  readonly values: readonly string[];
  readonly line: number;
}

/** The directives of a configuration. @throws AgentError ERR_CONFIG */
function parseDirectives(text: string, path: string): Directive[] {
  const directives: Directive[] = [];
  let inline: { readonly name: string; readonly line: number; readonly text: string[] } | undefined;
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (inline) {
      if (line.trim() === `</${inline.name}>`) {
        directives.push({ name: inline.name, values: ['[inline]', inline.text.join('\n')], line: inline.line });
        inline = undefined;
      } else {
        inline.text.push(line);
      }
      continue;
    }
    const block = /^\s*<([a-z0-9-]+)>\s*$/i.exec(line)?.[1];
    if (block !== undefined) {
      inline = { name: block, line: index + 1, text: [] };
      continue;
    }
    const [name, ...values] = splitWords(line) ?? refuse(path, index + 1, 'a quote that does not end');
    if (name !== undefined) directives.push({ name, values, line: index + 1 });
  }
  return directives;
}

/** All directives of a configuration, each with the words of its last occurrence. @throws AgentError ERR_CONFIG */
export function openVpnDirectives(text: string, path: string): Map<string, readonly string[]> {
  return new Map(parseDirectives(text, path).map(({ name, values }) => [name, values]));
}

/**
 * Reads the management directives of a configuration; inline blocks (`<ca>` …) are passed over. Relative paths count
 * from the configuration's folder, where distributions' units start OpenVPN (`--cd`).
 * @throws AgentError ERR_CONFIG
 */
export function parseOpenVpnConfig(text: string, path: string): ManagementDirectives {
  let management: string[] | undefined;
  let managementClient = false;
  for (const { name, values, line } of parseDirectives(text, path)) {
    if (name === 'management-client') managementClient = true;
    if (name !== 'management') continue;
    const [address, port, passwordFile, ...rest] = values;
    if (address === undefined || port === undefined || rest.length > 0) {
      refuse(path, line, 'management takes ADDRESS PORT|unix [PASSWORD-FILE]');
    }
    const fromConfig = (file: string): string => resolve(dirname(path), file);
    management = [
      port === 'unix' ? fromConfig(address) : address,
      port,
      ...(passwordFile === undefined ? [] : [passwordFile === 'stdin' ? passwordFile : fromConfig(passwordFile)]),
    ];
  }
  if (!management) {
    throw new AgentError('ERR_CONFIG', `${path} has no management directive`, {
      hint: "add 'management /run/openvpn/NAME.sock unix' and 'management-hold'",
    });
  }
  return { management, managementClient };
}

/** The text of a configuration file. @throws AgentError ERR_CONFIG */
export async function readOpenVpnText(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: unknown) => {
    throw new AgentError('ERR_CONFIG', `can't read the OpenVPN configuration: ${errorText(error)}`, { cause: error });
  });
}

/** Reads the management directives of a configuration file. @throws AgentError ERR_CONFIG */
export async function readOpenVpnConfig(path: string): Promise<ManagementDirectives> {
  return parseOpenVpnConfig(await readOpenVpnText(path), path);
}
