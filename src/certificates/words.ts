import { createHash, type X509Certificate } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { nameParts, type NamePart } from './name.ts';
import { templateOf } from './template.ts';

/** What a certificate must be to be meant: words such as `SUBJ:Jane`, all of which must fit. */
export interface CertificateWords {
  /** As they were given. */
  readonly text: string;
  readonly fits: (certificate: X509Certificate) => boolean;
}

type Fits = CertificateWords['fits'];

/** OpenVPN's words of cryptoapicert, and ours. How each is compared: docs/CERTIFICATES.md. */
const WORDS: Readonly<Record<string, (value: string, word: string) => Fits>> = {
  SUBJ: (text) => (certificate) => contains(certificate.subject, text),
  ISSUER: (text) => (certificate) => contains(certificate.issuer, text),
  THUMB: thumbprint,
  SERIAL: serial,
  EKU: extendedKeyUsage,
  TMPL: template,
};

/** Those of OpenVPN's keychain-mcd, behind `macosx-keychain:`. */
const KEYCHAIN_WORDS: typeof WORDS = {
  SUBJECT: (text, word) => components((certificate) => certificate.subject, text, word),
  ISSUER: (text, word) => components((certificate) => certificate.issuer, text, word),
  SERIAL: serial,
  SHA1: (text, word) => digest('sha1', text, word),
  MD5: (text, word) => digest('md5', text, word),
};
const KEYCHAIN = /^macosx-keychain:/i;

const KNOWN = `${Object.keys(WORDS).join(':, ')}:`;

/** Names of purposes (RFC 5280 section 4.2.1.12), and Microsoft's of smart cards. */
const USAGES = new Map([
  ['serverauth', '1.3.6.1.5.5.7.3.1'],
  ['clientauth', '1.3.6.1.5.5.7.3.2'],
  ['codesigning', '1.3.6.1.5.5.7.3.3'],
  ['emailprotection', '1.3.6.1.5.5.7.3.4'],
  ['ipsecenduser', '1.3.6.1.5.5.7.3.7'],
  ['smartcardlogon', '1.3.6.1.4.1.311.20.2.2'],
  ['anyextendedkeyusage', '2.5.29.37.0'],
]);
const OID = /^[0-2](?:\.\d+)+$/;

function refuse(what: string, hint?: string): never {
  throw new AgentError('ERR_USAGE', what, hint === undefined ? {} : { hint });
}

/** For comparison: people write commas with and without blanks, and letters in any case. */
function folded(text: string): string {
  const parts = text.normalize('NFC').toLowerCase().split(',');
  return parts.map((part) => part.trim()).join(', ');
}

/** A name as people may have seen it: with and without the types of its parts, from either end. */
function spellings(parts: readonly NamePart[]): string[] {
  return [parts, parts.toReversed()].flatMap((ordered) => [
    ordered.map(({ type, value }) => `${type}=${value}`).join(', '),
    ordered.map(({ value }) => value).join(', '),
  ]);
}

function contains(name: string, text: string): boolean {
  return spellings(nameParts(name)).some((spelling) => folded(spelling).includes(folded(text)));
}

/** Hex digits, with blanks and colons between them. */
function hexOf(text: string, word: string): string {
  const digits = text.replace(/[\s:]/g, '').toLowerCase();
  if (/^[0-9a-f]+$/.test(digits)) return digits;
  return refuse(`'${text}' behind ${word}: is not in hex digits`);
}

function digest(algorithm: 'md5' | 'sha1' | 'sha256', text: string, word: string): Fits {
  const wanted = hexOf(text, word);
  return ({ raw }) => createHash(algorithm).update(raw).digest('hex') === wanted;
}

function thumbprint(text: string, word: string): Fits {
  switch (hexOf(text, word).length) {
    case 40:
      return digest('sha1', text, word);
    case 64:
      return digest('sha256', text, word);
    default:
      return refuse(`'${text}' behind ${word}: is no thumbprint`, 'give SHA-1 with 40 hex digits, or SHA-256 with 64');
  }
}

function serial(text: string, word: string): Fits {
  const plain = (digits: string): string => digits.toLowerCase().replace(/^0+(?=.)/, '');
  const wanted = plain(hexOf(text, word));
  return ({ serialNumber }) => plain(serialNumber) === wanted;
}

function extendedKeyUsage(text: string, word: string): Fits {
  const wanted = OID.test(text) ? text : USAGES.get(text.toLowerCase());
  if (wanted === undefined) refuse(`unknown purpose '${text}' behind ${word}:`, `give ${usageNames()}, or an OID`);
  // node's types say string[] where the extension is absent, too
  return ({ keyUsage }) => (keyUsage as string[] | undefined)?.includes(wanted) ?? false;
}

const usageNames = (): string => 'clientAuth, smartcardLogon, emailProtection, serverAuth, codeSigning';

function template(text: string): Fits {
  const wanted = text.toLowerCase();
  return (certificate) => {
    const { id, name } = templateOf(certificate) ?? {};
    return id === wanted || name?.toLowerCase() === wanted;
  };
}

/** `c=US/o=Apple Inc./cn=username`: of each type that is named, all values that the name has, in their order. */
function components(nameOf: (certificate: X509Certificate) => string, text: string, word: string): Fits {
  const wanted = new Map<string, string[]>();
  for (const part of text.split('/')) {
    const [type = '', value, ...more] = part.split('=').map((side) => side.trim());
    if (type === '' || value === undefined || more.length > 0)
      refuse(`'${text}' behind ${word}: is not TYPE=VALUE/TYPE=VALUE…`);
    const own = type.toLowerCase() === 'e' ? 'emailaddress' : type.toLowerCase();
    wanted.set(own, [...(wanted.get(own) ?? []), folded(value)]);
  }
  return (certificate) => {
    const parts = nameParts(nameOf(certificate));
    return [...wanted].every(([type, values]) => {
      const present = parts.filter((part) => part.type.toLowerCase() === type).map(({ value }) => folded(value));
      return present.length === values.length && present.every((value, index) => value === values[index]);
    });
  };
}

/** The words of a text, each with what stands behind it; undefined if the text does not begin with one. */
function split(text: string, known: typeof WORDS): [word: string, value: string][] | undefined {
  const names = Object.keys(known).join('|');
  const begins = [...text.matchAll(new RegExp(`(?<![^\\s])(${names}):`, 'gi'))];
  if (begins[0]?.index !== 0) return undefined;
  return begins.map(({ index, 0: { length }, 1: name = '' }, at) => [
    name.toUpperCase(),
    text.slice(index + length, begins[at + 1]?.index).trim(),
  ]);
}

function parse(text: string): readonly Fits[] | undefined {
  const isKeychain = KEYCHAIN.test(text);
  const known = isKeychain ? KEYCHAIN_WORDS : WORDS;
  const words = split(text.replace(KEYCHAIN, '').trim(), known);
  return words?.map(([word, value]) => {
    if (value === '') refuse(`nothing stands behind ${word}:`);
    const make = known[word];
    if (!make) throw new TypeError(`no word ${word}`);
    return make(value, word);
  });
}

function wordHint(text: string): string {
  const [first = '', ...rest] = text.trim().split(':');
  const close = rest.length > 0 ? nearest(first, Object.keys(WORDS)) : undefined;
  return close === undefined ? `known are ${KNOWN}` : `did you mean ${close}:?`;
}

/**
 * Reads words: each text has one or several, and all of them must fit.
 * @throws AgentError ERR_USAGE
 */
export function parseWords(texts: readonly string[]): CertificateWords {
  const all = texts.flatMap((text) => parse(text.trim()) ?? refuse(`no word in '${text}'`, wordHint(text)));
  return { text: texts.join(' '), fits: (certificate) => all.every((fits) => fits(certificate)) };
}

/**
 * Reads the hint of a NEED-CERTIFICATE (`management-external-cert`).
 * @returns undefined for one that has no words: a name for people
 * @throws AgentError ERR_USAGE for words that can't be read
 */
export function parseHint(hint: string): CertificateWords | undefined {
  const fits = parse(hint.trim());
  return fits && parseWords([hint]);
}

/** All of the words must fit. Without any: undefined. */
export function allWords(...all: readonly (CertificateWords | undefined)[]): CertificateWords | undefined {
  const given = all.filter((words) => words !== undefined);
  if (given.length === 0) return undefined;
  return {
    text: given.map(({ text }) => text).join(' '),
    fits: (certificate) => given.every(({ fits }) => fits(certificate)),
  };
}
