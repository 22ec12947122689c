import { AgentError } from '../errors.ts';
import { nearest } from '../nearest.ts';

/** A `pkcs11:` URI (RFC 7512), decoded. Absent attributes match anything. */
export interface Pkcs11Uri {
  readonly token?: string;
  readonly manufacturer?: string;
  readonly model?: string;
  readonly serial?: string;
  /** CKA_LABEL of the key or certificate. */
  readonly object?: string;
  /** CKA_ID. */
  readonly id?: Buffer;
  /** A slot's number, which most modules change at will. */
  readonly slotId?: number;
  /** Of the token's slot: a reader, or a place in it. */
  readonly slotManufacturer?: string;
  readonly slotDescription?: string;
  /** Of the module, as it says of itself. */
  readonly libraryManufacturer?: string;
  readonly libraryDescription?: string;
  readonly libraryVersion?: LibraryVersion;
  readonly type?: ObjectType;
  readonly modulePath?: string;
  readonly moduleName?: string;
  readonly pinSource?: string;
}

/** Each in one byte. */
export interface LibraryVersion {
  readonly major: number;
  readonly minor: number;
}

export type ObjectType = 'private' | 'public' | 'cert' | 'secret-key' | 'data';
const OBJECT_TYPES: readonly string[] = ['private', 'public', 'cert', 'secret-key', 'data'] satisfies ObjectType[];

// by the attributes' names in the URI, in the order in which they are written
const PATH_ATTRIBUTES = [
  ...['token', 'manufacturer', 'model', 'serial', 'slot-id', 'slot-manufacturer', 'slot-description'],
  ...['library-manufacturer', 'library-description', 'library-version', 'object', 'id', 'type'],
];
const QUERY_ATTRIBUTES = ['module-path', 'module-name', 'pin-source'];

/** Those that are text, in the order in which they are written: by their names in the URI, what we call them. */
const TOKEN_TEXTS = { token: 'token', manufacturer: 'manufacturer', model: 'model', serial: 'serial' } as const;
const PLACE_TEXTS = {
  'slot-manufacturer': 'slotManufacturer',
  'slot-description': 'slotDescription',
  'library-manufacturer': 'libraryManufacturer',
  'library-description': 'libraryDescription',
} as const;
const PATH_TEXTS = Object.entries({ ...TOKEN_TEXTS, ...PLACE_TEXTS, object: 'object' } as const);

// RFC 7512 section 2.3, pk11-pchar and pk11-qchar, and percent-encoded octets
const PATH_VALUE = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})*$/;
const QUERY_VALUE = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=/?|]|%[0-9A-Fa-f]{2})*$/;

export function isPkcs11Uri(text: string): boolean {
  return /^pkcs11:/i.test(text);
}

/** For a name that there is none of. @param name undefined if it must not be looked at */
function knownHint(name: string | undefined, known: readonly string[]): string {
  const close = name === undefined ? undefined : nearest(name, known);
  return close === undefined ? `known are ${known.join(', ')}` : `did you mean '${close}'?`;
}

function refuse(why: string, hint?: string): never {
  throw new AgentError('ERR_URI', `bad pkcs11 URI: ${why}`, hint === undefined ? {} : { hint });
}

function decode(value: string): Buffer {
  const octets = value.replace(/%([0-9A-Fa-f]{2})|[^%]/g, (match, hex: string | undefined) =>
    hex === undefined ? match : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(octets, 'latin1');
}

function decodeText(name: string, value: string): string {
  try {
    // a mark at the beginning is left out otherwise
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(decode(value));
  } catch {
    return refuse(`attribute '${name}' is not UTF-8`);
  }
}

/** What is wrong with a value, and where: `%zz`, or a character that has to be written in another way. */
function refuseCharacter(name: string, text: string, value: RegExp, start: number): never {
  let at = 0;
  // an encoded octet is one piece
  for (const piece of text.match(/%[0-9A-Fa-f]{2}|[^]/gu) ?? []) {
    if (!value.test(piece)) break;
    at += piece.length;
  }
  const where = `at character ${start + at + 1}, in attribute '${name}',`;
  if (text[at] === '%') {
    // what stands behind it may be of a PIN that was given in the place of its source
    const shown = name === 'pin-source' ? '%' : text.slice(at, at + 3);
    refuse(`'${shown}' ${where} is not a percent-encoded octet`, "a '%' itself is %25");
  }
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
  refuse(`'${character}' ${where} must be percent-encoded`, `write ${encodeText(character, /[]/)}`);
}

function parseAttributes(
  part: string,
  start: number,
  separator: string,
  allowed: readonly string[],
  value: RegExp,
): Map<string, string> {
  const attributes = new Map<string, string>();
  if (part === '') return attributes;
  if (/(?:^|[;&?])pin-value\b/.test(part)) {
    refuse('pin-value would show the PIN to everybody', 'put it into a file and say pin-source=file:/path');
  }
  // a PIN that was not percent-encoded may be cut in two here: of what is unknown nothing is repeated but a name by its looks
  const hasSecret = /(?:^|[;&?])pin-source\b/.test(part);
  let position = start;
  for (const [index, attribute] of part.split(separator).entries()) {
    const begin = position;
    position += attribute.length + separator.length;
    const equals = attribute.indexOf('=');
    const name = equals < 0 ? attribute : attribute.slice(0, equals);
    const isShown = allowed.includes(name) || (!hasSecret && equals > 0 && /^[a-z]+(?:-[a-z]+)*$/.test(name));
    const shown = isShown
      ? `attribute '${name}'`
      : `attribute (number ${index + 1} behind '${separator === ';' ? ':' : '?'}')`;
    if (equals < 0) refuse(`${shown} has no value`, knownHint(undefined, allowed));
    if (!allowed.includes(name)) refuse(`unknown ${shown}`, knownHint(isShown ? name : undefined, allowed));
    if (attributes.has(name)) refuse(`attribute '${name}' given twice`);
    const text = attribute.slice(equals + 1);
    if (!value.test(text)) refuseCharacter(name, text, value, begin + equals + 1);
    attributes.set(name, text);
  }
  return attributes;
}

/** RFC 7512 section 2.3: `M.N`, each in one byte; `M` is `M.0`. */
function parseVersion(text: string): LibraryVersion {
  const [, major, minor = '0'] = /^(\d{1,3})(?:\.(\d{1,3}))?$/.exec(text) ?? [];
  if (major === undefined || Number(major) > 255 || Number(minor) > 255)
    refuse('library-version is not MAJOR.MINOR', 'such as 2.6');
  return { major: Number(major), minor: Number(minor) };
}

/**
 * Parses a `pkcs11:` URI.
 * @throws AgentError ERR_URI, for `pin-value` and unknown attributes too
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (!isPkcs11Uri(text)) refuse("it does not start with 'pkcs11:'");
  const body = text.slice('pkcs11:'.length);
  const question = body.indexOf('?');
  const start = text.length - body.length;
  const [pathPart, queryPart] = question < 0 ? [body, ''] : [body.slice(0, question), body.slice(question + 1)];
  const path = parseAttributes(pathPart, start, ';', PATH_ATTRIBUTES, PATH_VALUE);
  const query = parseAttributes(queryPart, start + question + 1, '&', QUERY_ATTRIBUTES, QUERY_VALUE);

  const uri: { -readonly [Name in keyof Pkcs11Uri]: Pkcs11Uri[Name] } = {};
  for (const [name, own] of PATH_TEXTS) {
    const value = path.get(name);
    if (value !== undefined) uri[own] = decodeText(name, value);
  }
  const id = path.get('id');
  if (id !== undefined) uri.id = decode(id);
  const slotId = path.get('slot-id');
  if (slotId !== undefined) {
    if (!/^\d{1,10}$/.test(slotId)) refuse('slot-id is not a number');
    uri.slotId = Number(slotId);
  }
  const version = path.get('library-version');
  if (version !== undefined) uri.libraryVersion = parseVersion(version);
  const type = path.get('type');
  if (type !== undefined) {
    if (!OBJECT_TYPES.includes(type)) refuse('unknown type', knownHint(type, OBJECT_TYPES));
    uri.type = type as ObjectType;
  }
  const modulePath = query.get('module-path');
  if (modulePath !== undefined) uri.modulePath = decodeText('module-path', modulePath);
  const moduleName = query.get('module-name');
  if (moduleName !== undefined) uri.moduleName = decodeText('module-name', moduleName);
  const pinSource = query.get('pin-source');
  if (pinSource !== undefined) uri.pinSource = decodeText('pin-source', pinSource);
  return uri;
}

function encodeText(value: string, unreserved: RegExp): string {
  return Array.from(Buffer.from(value, 'utf8'), (octet) => {
    const character = String.fromCharCode(octet);
    return unreserved.test(character) ? character : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
}

/** The URI's text, percent-encoded where needed: the inverse of {@link parsePkcs11Uri}. */
export function formatPkcs11Uri(uri: Pkcs11Uri): string {
  const plain = /[A-Za-z0-9\-._~]/;
  const path: string[] = [];
  const addTexts = (texts: Readonly<Record<string, keyof typeof uri>>): void => {
    for (const [name, own] of Object.entries(texts)) {
      const value = uri[own];
      if (typeof value === 'string') path.push(`${name}=${encodeText(value, plain)}`);
    }
  };
  addTexts(TOKEN_TEXTS);
  if (uri.slotId !== undefined) path.push(`slot-id=${uri.slotId}`);
  addTexts(PLACE_TEXTS);
  if (uri.libraryVersion) path.push(`library-version=${uri.libraryVersion.major}.${uri.libraryVersion.minor}`);
  if (uri.object !== undefined) path.push(`object=${encodeText(uri.object, plain)}`);
  // RFC 7512 section 2.3: all of an id's octets percent-encoded
  if (uri.id) path.push(`id=${uri.id.toString('hex').toUpperCase().replace(/../g, '%$&')}`);
  if (uri.type !== undefined) path.push(`type=${uri.type}`);
  const query: string[] = [];
  const plainPath = /[A-Za-z0-9\-._~/:]/;
  if (uri.modulePath !== undefined) query.push(`module-path=${encodeText(uri.modulePath, plainPath)}`);
  if (uri.moduleName !== undefined) query.push(`module-name=${encodeText(uri.moduleName, plain)}`);
  if (uri.pinSource !== undefined) query.push(`pin-source=${encodeText(uri.pinSource, plainPath)}`);
  return `pkcs11:${path.join(';')}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

/** For an id that was written as hex digits: RFC 7512 takes `id=01` for the characters 0 and 1. */
export function idHint({ id }: Pkcs11Uri): string | undefined {
  const text = id?.toString('latin1') ?? '';
  if (!/^([0-9A-Fa-f]{2})+$/.test(text)) return undefined;
  return `for the octets ${text} write id=${text.toUpperCase().replace(/../g, '%$&')}`;
}

/** The URI without its query, as it goes into logs and errors. */
export function pkcs11UriName(uri: Pkcs11Uri): string {
  const { modulePath, moduleName, pinSource, ...path } = uri;
  return formatPkcs11Uri(path);
}
