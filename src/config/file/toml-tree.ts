import { ParseError, parseTOML, type AST } from 'toml-eslint-parser';
import type { Fault, Place } from './fault.ts';

/** What a TOML file says, with the place of each key and value. Of several files: each knows its own. */
export type Tree = Table | List | Leaf;

export interface Table {
  readonly kind: 'table';
  readonly place: Place;
  readonly entries: Map<string, Entry>;
}

export interface Entry {
  /** Of the key. */
  readonly place: Place;
  readonly tree: Tree;
}

export interface List {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: Tree[];
}

export interface Leaf {
  readonly kind: 'leaf';
  readonly place: Place;
  readonly value: string | number | boolean | Date;
}

type Key = AST.TOMLBare | AST.TOMLQuoted;

/** Tables and lists within each other; no section of ours has more than a handful. All that walks through a tree recurses. */
const MAX_DEPTH = 32;

const TOO_LONG = 'a string is too long, or too much is nested';
/** Characters of a line that the parser may fail at. */
const LONG_LINE = 50_000;

/** Something that is nested too deep. */
class DepthError extends Error {
  readonly place: Place;

  constructor(place: Place) {
    super(`there are more than ${MAX_DEPTH} tables and lists within each other`);
    this.place = place;
  }
}

/** Builds a tree from the parser's nodes, whose columns count from 0. */
class TreeBuilder {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  placeOf({ loc: { start } }: AST.TOMLNode): Place {
    return { file: this.#file, line: start.line, column: start.column + 1 };
  }

  program(body: readonly (AST.TOMLKeyValue | AST.TOMLTable)[]): Table {
    const root: Table = { kind: 'table', place: { file: this.#file, line: 1, column: 1 }, entries: new Map() };
    for (const node of body) {
      if (node.type === 'TOMLKeyValue') this.#put(root, node, 0);
      else this.#fill(this.#section(root, node), node.body, node.key.keys.length);
    }
    return root;
  }

  #fill(table: Table, pairs: readonly AST.TOMLKeyValue[], depth: number): void {
    for (const pair of pairs) this.#put(table, pair, depth);
  }

  #put(table: Table, { key, value }: AST.TOMLKeyValue, depth: number): void {
    const last = key.keys.at(-1);
    if (!last) return;
    const tree = this.#value(value, depth + key.keys.length);
    this.#into(table, key.keys.slice(0, -1)).entries.set(nameOf(last), this.#entry(last, tree));
  }

  #entry(key: Key, tree: Tree): Entry {
    return { place: this.placeOf(key), tree };
  }

  /** The table that keys lead to; of a list of tables, the last one. */
  #into(from: Table, keys: readonly Key[]): Table {
    let table = from;
    for (const key of keys) {
      const found = table.entries.get(nameOf(key))?.tree;
      const next = found?.kind === 'list' ? found.items.at(-1) : found;
      if (next?.kind === 'table') {
        table = next;
        continue;
      }
      // the parser refuses what is a value and a table
      const fresh: Table = { kind: 'table', place: this.placeOf(key), entries: new Map() };
      table.entries.set(nameOf(key), this.#entry(key, fresh));
      table = fresh;
    }
    return table;
  }

  /** The table of `[a.b]`, or a further one of `[[a.b]]`. */
  #section(root: Table, { kind, key }: AST.TOMLTable): Table {
    this.#checkDepth(key, key.keys.length);
    if (kind === 'standard') return this.#into(root, key.keys);
    const table: Table = { kind: 'table', place: this.placeOf(key), entries: new Map() };
    const last = key.keys.at(-1);
    if (!last) return table;
    const parent = this.#into(root, key.keys.slice(0, -1));
    const found = parent.entries.get(nameOf(last))?.tree;
    if (found?.kind === 'list') found.items.push(table);
    else parent.entries.set(nameOf(last), this.#entry(last, { kind: 'list', place: table.place, items: [table] }));
    return table;
  }

  #checkDepth(node: AST.TOMLNode, depth: number): void {
    if (depth > MAX_DEPTH) throw new DepthError(this.placeOf(node));
  }

  #value(node: AST.TOMLContentNode, depth: number): Tree {
    const place = this.placeOf(node);
    this.#checkDepth(node, depth);
    switch (node.type) {
      case 'TOMLArray':
        return { kind: 'list', place, items: node.elements.map((element) => this.#value(element, depth + 1)) };
      case 'TOMLInlineTable': {
        const table: Table = { kind: 'table', place, entries: new Map() };
        this.#fill(table, node.body, depth);
        return table;
      }
      case 'TOMLValue':
        return { kind: 'leaf', place, value: node.value };
    }
  }
}

function nameOf(key: Key): string {
  return key.type === 'TOMLBare' ? key.name : key.value;
}

/** The parser hands a function each character of a string as an argument, so that a long one ends it without a place. */
function longPlace(text: string, file: string): Place {
  const index = text.split('\n').findIndex(({ length }) => length > LONG_LINE);
  return { file, line: Math.max(index, 0) + 1, column: 1 };
}

/** The fault that the parser, or the builder, met. Throws what is none. */
function faultOf(error: unknown, text: string, file: string): Fault {
  if (error instanceof ParseError) {
    const { lineNumber: line, column, message } = error;
    return { place: { file, line, column: column + 1 }, message: `TOML: ${message}` };
  }
  if (error instanceof DepthError) return { place: error.place, message: error.message };
  if (error instanceof RangeError) return { place: longPlace(text, file), message: TOO_LONG };
  throw error;
}

/** Reads a TOML 1.0 file; its syntax errors go to `faults`, and the first one ends it. */
export function parseTree(text: string, file: string, faults: Fault[]): Table | undefined {
  try {
    const [top] = parseTOML(text, { tomlVersion: '1.0' }).body;
    return new TreeBuilder(file).program(top.body);
  } catch (error) {
    faults.push(faultOf(error, text, file));
    return undefined;
  }
}

/** Adds what a later file says: tables are joined, all else is replaced. */
export function mergeTrees(into: Table, from: Table): void {
  for (const [name, entry] of from.entries) {
    const present = into.entries.get(name);
    if (present?.tree.kind === 'table' && entry.tree.kind === 'table') mergeTrees(present.tree, entry.tree);
    else into.entries.set(name, entry);
  }
}

/** The values alone, as a schema takes them. */
export function valueOf(tree: Tree): unknown {
  switch (tree.kind) {
    case 'leaf':
      return tree.value;
    case 'list':
      return tree.items.map(valueOf);
    case 'table':
      return Object.fromEntries([...tree.entries].map(([name, entry]) => [name, valueOf(entry.tree)]));
  }
}
