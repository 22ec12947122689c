import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import { backendOf } from '../../keys/backends.ts';
import { errorText } from '../../errors.ts';
import { absoluteSource } from '../secret-source.ts';
import type { Fault, Place } from './fault.ts';
import { didYouMean, nearest } from '../../nearest.ts';
import type { Document } from './document.ts';
import type { PathKind, Schema } from './schema-types.ts';
import { NAME_TAKES, SECTIONS } from './schema.ts';
import { aboutOf, choicesOf, namedOf, settingsOf } from './schema-parts.ts';
import { type Table, type Tree, valueOf } from './toml-tree.ts';

/** A section that was written, with its places for further faults. */
export interface Checked<Value> {
  /** Without what has faults. */
  readonly value: Partial<Value>;
  /** Undefined if anything in it has faults. */
  readonly whole: Value | undefined;
  readonly table: Table;
}

/** What the files say, section by section. */
export interface CheckedTree {
  readonly log: Checked<Document['log']>;
  readonly state: Checked<Document['state']>;
  readonly agent: Checked<Document['agent']>;
  readonly audit: Checked<Document['audit']>;
  readonly token: Checked<Document['token']>;
  readonly key: ReadonlyMap<string, Checked<Document['key'][string]>>;
  readonly tunnel: ReadonlyMap<string, Checked<Document['tunnel'][string]>>;
}

/** Names of what must never stand in a file. */
const SECRETS = new Set(['pin', 'pin-value', 'password', 'passphrase', 'secret', 'so-pin', 'user-pin']);

/** Where a setting stands: of what was left out, the section. */
export function placeOf(table: Table, key: string): Place {
  return table.entries.get(key)?.place ?? table.place;
}

/** The place of a setting's value. */
export function valuePlace(table: Table, key: string): Place {
  return table.entries.get(key)?.tree.place ?? table.place;
}

function unknownKey(name: string, title: string, known: readonly string[]): string {
  if (SECRETS.has(name.toLowerCase().replaceAll('_', '-')))
    return `'${name}': a secret is never written into this file: say where it is, by 'pin-source' in [token]`;
  const unknown = `unknown key '${name}' in [${title}]`;
  if (nearest(name, known) !== undefined) return `${unknown}${didYouMean(name, known)}`;
  const elsewhere = Object.entries(SECTIONS).find(([, section]) =>
    settingsOf(namedOf(section)?.value ?? section).has(name),
  );
  if (elsewhere) return `${unknown}: it belongs into [${titleOf(...elsewhere)}]`;
  return `${unknown}${didYouMean(name, known)}`;
}

function titleOf(section: string, schema: Schema): string {
  return namedOf(schema) ? `${section}.NAME` : section;
}

function absolute(kind: Exclude<PathKind, 'words' | 'plain words'>, folder: string, text: string): string {
  switch (kind) {
    case 'path':
      return resolve(folder, text);
    case 'key':
      return backendOf(text).from(text, folder);
    case 'source':
      return absoluteSource(text, folder);
    case 'login':
      return absoluteSource(text, folder, 'login');
  }
}

function absoluteWords(folder: string, [address = '', port = '', password]: readonly string[]): string[] {
  const words = [port === 'unix' ? resolve(folder, address) : address, port];
  if (password === undefined) return words;
  return [...words, password === 'stdin' ? password : absoluteSource(password, folder, 'password')];
}

/**
 * Makes the paths in a setting's value absolute: they count from the folder of the file that they stand in.
 * @throws AgentError ERR_USAGE for what is no source
 */
function withPaths(kind: PathKind, folder: string, value: unknown): unknown {
  if (kind === 'plain words') return value;
  if (kind === 'words') return absoluteWords(folder, value as readonly string[]);
  if (typeof value === 'string') return absolute(kind, folder, value);
  return (value as readonly string[]).map((each) => absolute(kind, folder, each));
}

/** Where a NUL stands: nothing that is handed to the system may have one, which would be found when it is wanted. */
function nulPlace(tree: Tree): Place | undefined {
  switch (tree.kind) {
    case 'leaf':
      return typeof tree.value === 'string' && tree.value.includes('\0') ? tree.place : undefined;
    case 'list':
      return tree.items.map(nulPlace).find((place) => place !== undefined);
    case 'table':
      return [...tree.entries]
        .map(([name, entry]) => (name.includes('\0') ? entry.place : nulPlace(entry.tree)))
        .find((place) => place !== undefined);
  }
}

/** Checks a section with known keys: each mistake is a fault. */
function checkSection<Value>(schema: Schema, title: string, table: Table, faults: Fault[]): Checked<Value> {
  const settings = settingsOf(schema);
  const before = faults.length;
  for (const [name, { place }] of table.entries) {
    if (!settings.has(name)) faults.push({ place, message: unknownKey(name, title, [...settings.keys()]) });
  }
  const value: Record<string, unknown> = {};
  for (const [name, setting] of settings) {
    const entry = table.entries.get(name);
    const nul = entry && nulPlace(entry.tree);
    if (nul) {
      faults.push({ place: nul, message: `'${name}': a NUL stands in no path, command or word` });
      continue;
    }
    const result = v.safeParse(setting, entry && valueOf(entry.tree));
    if (!result.success) {
      faults.push(settingFault(title, table, name, setting));
      continue;
    }
    const kind = aboutOf(setting).path;
    try {
      value[name] =
        entry && kind !== undefined
          ? withPaths(kind, dirname(resolve(entry.place.file)), result.output)
          : result.output;
    } catch (error) {
      faults.push({ place: valuePlace(table, name), message: `'${name}': ${errorText(error)}` });
    }
  }
  return { value: value as Partial<Value>, whole: faults.length > before ? undefined : (value as Value), table };
}

function settingFault(title: string, table: Table, name: string, setting: Schema): Fault {
  const { takes } = aboutOf(setting);
  const entry = table.entries.get(name);
  if (!entry) return { place: table.place, message: `[${title}] lacks '${name}', which takes ${takes}` };
  const value = valueOf(entry.tree);
  const choice = typeof value === 'string' ? nearest(value, choicesOf(setting)) : undefined;
  const hint = choice === undefined ? '' : `: did you mean '${choice}'?`;
  return { place: valuePlace(table, name), message: `'${name}' takes ${takes}${hint}` };
}

const emptyTable = (place: Place): Table => ({ kind: 'table', place, entries: new Map() });

function asTable(tree: Tree | undefined, place: Place, title: string, faults: Fault[]): Table {
  if (tree === undefined || tree.kind === 'table') return tree ?? emptyTable(place);
  faults.push({ place: tree.place, message: `'${title}' is a section: write [${title}]` });
  return emptyTable(place);
}

/** Checks sections that have names of their own. */
function checkNamed<Value>(
  section: 'key' | 'tunnel',
  tree: Tree | undefined,
  root: Table,
  faults: Fault[],
): ReadonlyMap<string, Checked<Value>> {
  const schemas = namedOf(SECTIONS[section]);
  const checked = new Map<string, Checked<Value>>();
  for (const [name, entry] of asTable(tree, root.place, `${section}.NAME`, faults).entries) {
    const title = `${section}.${name}`;
    if (!schemas) continue;
    if (!v.is(schemas.name, name)) {
      // [tunnel] without a name has the settings themselves
      const isSetting = settingsOf(schemas.value).has(name);
      const message = isSetting ? `each ${section} has a name` : `a name of a ${section} is made of ${NAME_TAKES}`;
      faults.push({ place: entry.place, message });
      continue;
    }
    if (entry.tree.kind !== 'table' && settingsOf(schemas.value).has(name)) {
      faults.push({
        place: entry.place,
        message: `'${name}' stands in no ${section}: write [${section}.NAME] above it`,
      });
      continue;
    }
    const table = asTable(entry.tree, entry.place, title, faults);
    checked.set(name, checkSection(schemas.value, title, table, faults));
  }
  return checked;
}

/** Checks all that the files say, each section by itself: the faults of all of them are found at once. */
export function checkTree(root: Table, faults: Fault[]): CheckedTree {
  const names = Object.keys(SECTIONS);
  for (const [name, { place, tree }] of root.entries) {
    if (names.includes(name)) continue;
    const message = tree.kind === 'leaf' ? unknownTopKey(name) : `unknown section '${name}'${didYouMean(name, names)}`;
    faults.push({ place, message });
  }
  const section = <Name extends 'log' | 'state' | 'agent' | 'audit' | 'token'>(name: Name): Checked<Document[Name]> => {
    const table = asTable(root.entries.get(name)?.tree, root.place, name, faults);
    return checkSection(SECTIONS[name], name, table, faults);
  };
  return {
    log: section('log'),
    state: section('state'),
    agent: section('agent'),
    audit: section('audit'),
    token: section('token'),
    key: checkNamed('key', root.entries.get('key')?.tree, root, faults),
    tunnel: checkNamed('tunnel', root.entries.get('tunnel')?.tree, root, faults),
  };
}

function unknownTopKey(name: string): string {
  const homes = Object.entries(SECTIONS)
    .filter(([, schema]) => settingsOf(namedOf(schema)?.value ?? schema).has(name))
    .map(([section, schema]) => `[${titleOf(section, schema)}]`);
  const unknown = `unknown key '${name}' outside all sections`;
  if (homes.length > 0) return `${unknown}: it belongs into ${homes.join(' or ')}`;
  const all = Object.values(SECTIONS).flatMap((schema) => [...settingsOf(namedOf(schema)?.value ?? schema).keys()]);
  return nearest(name, all) === undefined ? unknown : `${unknown}${didYouMean(name, all)}`;
}
