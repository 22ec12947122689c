import { isIP, isIPv4 } from 'node:net';
import { domainToASCII } from 'node:url';
import { AgentError } from '../errors.ts';

/** A GeneralName (RFC 5280 section 4.2.1.6). */
export type AlternativeName =
  | { readonly kind: 'email' | 'DNS' | 'URI' | 'IP'; readonly content: Buffer }
  /** Active Directory's name of a user, an otherName. */
  | { readonly kind: 'UPN'; readonly value: string };

const KINDS = ['DNS', 'email', 'IP', 'URI', 'UPN'] as const;
type Kind = (typeof KINDS)[number];

function refuse(text: string, why: string): never {
  throw new AgentError('ERR_USAGE', `bad alternative name '${text}': ${why}`, {
    hint: 'write DNS:name, email:address, IP:address, URI:uri or UPN:user@domain',
  });
}

/** Two bytes each, in hex: of `1:2`, and of `1.2.3.4` at an address's end. */
function groupsOf(part: string): string[] {
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return group === '' ? [] : [group];
    const bytes = Buffer.from(group.split('.').map(Number)).toString('hex');
    return [bytes.slice(0, 4), bytes.slice(4)];
  });
}

/** The bytes of an IPv6 address that node:net has found to be one. */
function ipv6Bytes(text: string): Buffer {
  const [left = '', right = ''] = text.split('::');
  const [head, tail] = [groupsOf(left), groupsOf(right)];
  const middle = Array<string>(8 - head.length - tail.length).fill('0');
  return Buffer.from([...head, ...middle, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function guess(text: string): Kind {
  if (isIP(text) !== 0) return 'IP';
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return 'URI';
  return text.includes('@') ? 'email' : 'DNS';
}

function ascii(text: string, value: string): Buffer {
  if (!/^[\x21-\x7e]+$/.test(value)) refuse(text, 'it is empty, or has characters that it can not have');
  return Buffer.from(value, 'latin1');
}

/**
 * An alternative name as a person writes it: with openssl's word before it, or by its looks.
 * @throws AgentError ERR_USAGE
 */
export function parseAlternativeName(text: string): AlternativeName {
  const [, word = '', rest = ''] = /^([A-Za-z]+):(.*)$/s.exec(text) ?? [];
  const named = KINDS.find((kind) => kind.toLowerCase() === word.toLowerCase());
  const kind = named ?? guess(text);
  const value = named ? rest : text;
  switch (kind) {
    case 'IP':
      if (isIP(value) === 0 || value.includes('%')) refuse(text, 'that is no address');
      return { kind, content: isIPv4(value) ? Buffer.from(value.split('.').map(Number)) : ipv6Bytes(value) };
    case 'DNS': {
      const name = /^[\x21-\x7e]*$/.test(value) ? value : domainToASCII(value);
      // a word that is none of ours, mistyped as a rule, is no name either
      if (/[:/@\\]/.test(name)) refuse(text, 'that is no domain');
      return { kind, content: ascii(text, name) };
    }
    case 'email':
      if (!/^[^@]+@[^@]+$/.test(value)) refuse(text, 'that is no mail address');
      return { kind, content: ascii(text, value) };
    case 'URI':
      if (!/^[a-z][a-z0-9+.-]*:/i.test(value)) refuse(text, 'that is no URI');
      return { kind, content: ascii(text, value) };
    case 'UPN':
      if (value === '' || /[\0\p{Cs}\ufffd]/u.test(value)) refuse(text, 'that is no name');
      return { kind, value };
  }
}
