// The names that a request asks for: what a person writes, as attributes and general names. Pure.
import { AgentError } from '../errors.ts';

type StringKind = 'UTF8String' | 'PrintableString' | 'IA5String';

/** A kind of attribute of a distinguished name. */
interface AttributeType {
  readonly oid: string;
  readonly kind: StringKind;
  /** Characters (RFC 5280 appendix A.1, "ub-"): openssl's own tools refuse more. */
  readonly most: number;
}

export interface NameAttribute extends AttributeType {
  readonly value: string;
}

/** RelativeDistinguishedNames from the root down, each with one attribute as a rule. */
export type Subject = readonly (readonly NameAttribute[])[];

const type = (oid: string, most: number, kind: StringKind = 'UTF8String'): AttributeType => ({ oid, kind, most });

/** By the keywords of RFC 4514 section 3 and of openssl, in small letters. */
const TYPES: Readonly<Record<string, AttributeType>> = {
  cn: type('2.5.4.3', 64),
  commonname: type('2.5.4.3', 64),
  sn: type('2.5.4.4', 32_768),
  serialnumber: type('2.5.4.5', 64, 'PrintableString'),
  c: type('2.5.4.6', 2, 'PrintableString'),
  countryname: type('2.5.4.6', 2, 'PrintableString'),
  l: type('2.5.4.7', 128),
  st: type('2.5.4.8', 128),
  street: type('2.5.4.9', 128),
  o: type('2.5.4.10', 64),
  organizationname: type('2.5.4.10', 64),
  ou: type('2.5.4.11', 64),
  organizationalunitname: type('2.5.4.11', 64),
  title: type('2.5.4.12', 64),
  gn: type('2.5.4.42', 32_768),
  givenname: type('2.5.4.42', 32_768),
  initials: type('2.5.4.43', 32_768),
  uid: type('0.9.2342.19200300.100.1.1', 256),
  userid: type('0.9.2342.19200300.100.1.1', 256),
  dc: type('0.9.2342.19200300.100.1.25', 63, 'IA5String'),
  e: type('1.2.840.113549.1.9.1', 255, 'IA5String'),
  emailaddress: type('1.2.840.113549.1.9.1', 255, 'IA5String'),
};

const FITS: Readonly<Record<StringKind, RegExp>> = {
  // U+FFFD stands where the command line was not UTF-8
  UTF8String: /^[^\0\p{Cs}\ufffd]*$/u,
  PrintableString: /^[A-Za-z0-9 '()+,\-./:=?]*$/,
  IA5String: /^[\x01-\x7f]*$/,
};

function refuse(why: string, hint?: string): never {
  throw new AgentError('ERR_USAGE', `bad subject: ${why}`, hint === undefined ? {} : { hint });
}

function typeOf(keyword: string): AttributeType {
  if (/^\d+(\.\d+)+$/.test(keyword)) return type(keyword, 32_768);
  const name = keyword.toLowerCase();
  const known = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  return (
    known ?? refuse(`'${keyword}' is no attribute`, 'known are CN, O, OU, C, ST, L, UID, DC, emailAddress and more')
  );
}

function attribute(keyword: string, value: string): NameAttribute {
  const found = typeOf(keyword);
  if (value === '') refuse(`'${keyword}' has no value`);
  if (Array.from(value).length > found.most) refuse(`'${keyword}' has more than ${found.most} characters`);
  if (found.oid === '2.5.4.6' && !/^[A-Z]{2}$/.test(value)) refuse(`'${value}' is no country`, 'two capital letters');
  if (!FITS[found.kind].test(value)) refuse(`'${keyword}' has characters that it can't have`);
  return { ...found, value };
}

/** A character of a name, and whether it stood behind a backslash: then it separates nothing. */
interface Character {
  readonly text: string;
  readonly isEscaped: boolean;
}

/** @param hex also read `\C3\A9`, the bytes of UTF-8 (RFC 4514 section 2.4) */
function charactersOf(text: string, hex: boolean): Character[] {
  const characters: Character[] = [];
  const points = Array.from(text);
  for (let at = 0; at < points.length; ) {
    const bytes = hex ? hexPairs(points, at) : [];
    const [point = '', next] = points.slice(at, at + 2);
    if (bytes.length > 0) characters.push({ text: decoded(bytes), isEscaped: true });
    else if (point !== '\\') characters.push({ text: point, isEscaped: false });
    else if (next === undefined) refuse('nothing stands behind its last backslash');
    else characters.push({ text: next, isEscaped: true });
    at += bytes.length > 0 ? 3 * bytes.length : point === '\\' ? 2 : 1;
  }
  return characters;
}

/** The bytes of all `\C3\A9` that stand together from there on: a character may have several. */
function hexPairs(points: readonly string[], from: number): number[] {
  const bytes: number[] = [];
  for (let at = from; points[at] === '\\'; at += 3) {
    const digits = points.slice(at + 1, at + 3).join('');
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) break;
    bytes.push(Number.parseInt(digits, 16));
  }
  return bytes;
}

function decoded(bytes: readonly number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes));
  } catch {
    return refuse('what it has behind backslashes is not UTF-8');
  }
}

function split(characters: readonly Character[], separators: string): Character[][] {
  const parts: Character[][] = [[]];
  for (const character of characters) {
    if (!character.isEscaped && separators.includes(character.text)) parts.push([]);
    else parts.at(-1)?.push(character);
  }
  return parts;
}

const textOf = (characters: readonly Character[]): string => characters.map(({ text }) => text).join('');

/** Blanks around a value do not count, unless a backslash says that they do. */
function trimmed(characters: readonly Character[]): Character[] {
  const counts = ({ text, isEscaped }: Character): boolean => isEscaped || text.trim() !== '';
  const first = characters.findIndex(counts);
  return first < 0 ? [] : characters.slice(first, characters.findLastIndex(counts) + 1);
}

function attributeOf(characters: readonly Character[]): NameAttribute {
  const equals = characters.findIndex(({ text, isEscaped }) => text === '=' && !isEscaped);
  if (equals < 0)
    refuse(`'${textOf(characters)}' has no '='`, "write KEYWORD=VALUE, and a '\\' before ',' '+' and '/'");
  return attribute(textOf(trimmed(characters.slice(0, equals))), textOf(trimmed(characters.slice(equals + 1))));
}

function namesOf(parts: readonly Character[][]): NameAttribute[][] {
  return parts.map((part) => split(part, '+').map(attributeOf));
}

/**
 * The subject that a person writes: `CN=alice,O=Example` (RFC 4514, the most particular first), `/O=Example/CN=alice` (openssl's
 * -subj, the other way round), or `alice`, which is the common name.
 * @throws AgentError ERR_USAGE
 */
export function parseSubject(text: string): Subject {
  if (text.startsWith('/')) return namesOf(split(charactersOf(text.slice(1), false), '/'));
  if (!text.includes('=')) return [[attribute('CN', text.trim())]];
  if (/(?:^|[^\\])"|=\s*#/.test(text))
    refuse("neither '\"' nor '#' is taken", "write a '\\' before special characters");
  return namesOf(split(charactersOf(text, true), ',')).reverse();
}
