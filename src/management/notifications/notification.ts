/**
 * What the daemon says unasked, as data and back: for the connection, and for programs that write or show notifications.
 * Knows no connection.
 *
 * @module
 */
import { cut, fieldsOf, readCount } from '../wire/fields.ts';
import {
  encodeEchoEntry,
  encodeLogEntry,
  encodeStateEntry,
  parseEchoEntry,
  parseLogEntry,
  parseStateEntry,
} from './entries.ts';
import { encodeInfoMessage, parseInfoMessage } from './info-message.ts';
import type { Environment, Notification } from './types.ts';
import { encodePassword, parsePassword } from './password.ts';

/** The word before the colon of a notification line, `>` included or not. */
export function notificationWord(line: string): string {
  const end = line.indexOf(':');
  return line.slice(line.startsWith('>') ? 1 : 0, end === -1 ? undefined : end);
}

/** Whether ENV lines follow a notification's first line, up to `ENV,END`. */
export function hasEnvironment(line: string): boolean {
  return /^>(?:CLIENT:(?:CONNECT|REAUTH|ESTABLISHED|DISCONNECT|CR_RESPONSE),|UPDOWN:(?!ENV,))/.test(line);
}

/**
 * Reads one notification.
 *
 * @param lines the notification's line, `>` included; for those with an ENV block that line and all of the block's
 * @returns UNKNOWN for what has no known form; never throws
 */
export function parseNotification(lines: readonly string[]): Notification {
  const line = lines[0] ?? '';
  if (!line.startsWith('>')) return { type: 'STRAY', line };
  const halves = cut(line.slice(1), ':');
  const reader = halves === undefined ? undefined : readers.get(halves[0]);
  return reader?.(halves?.[1] ?? '', lines) ?? { type: 'UNKNOWN', line: line.slice(1) };
}

/** The inverse of {@link parseNotification}: the lines that a daemon would send. */
export function encodeNotification(notification: Notification): string[] {
  const { type } = notification;
  if (type === 'CLIENT') return encodeClient(notification);
  if (type === 'UPDOWN') return [`>UPDOWN:${notification.mode}`, ...encodeEnvironment('UPDOWN', notification.env)];
  if (type === 'UNKNOWN' || type === 'TRUNCATED') return [`>${notification.line}`];
  if (type === 'STRAY') return [notification.line];
  return [`>${type}:${encodeFields(notification)}`];
}

type SingleLine = Exclude<Notification, { type: 'CLIENT' | 'UPDOWN' | 'UNKNOWN' | 'TRUNCATED' | 'STRAY' }>;

function encodeFields(it: SingleLine): string {
  switch (it.type) {
    case 'BYTECOUNT':
      return `${it.bytesIn},${it.bytesOut}`;
    case 'BYTECOUNT_CLI':
      return `${it.cid},${it.bytesIn},${it.bytesOut}`;
    case 'ECHO':
      return encodeEchoEntry(it);
    case 'FATAL':
    case 'INFO':
      return it.text;
    case 'HOLD':
      return it.waitSeconds === undefined ? it.text : `${it.text}:${it.waitSeconds}`;
    case 'INFOMSG':
      return encodeInfoMessage(it.message);
    case 'LOG':
      return encodeLogEntry(it);
    case 'NEED-OK':
      return `Need '${it.name}' confirmation MSG:${it.text}`;
    case 'NEED-STR':
      return `Need '${it.name}' string MSG:${it.text}`;
    case 'NEED-CERTIFICATE':
      return it.hint;
    case 'NOTIFY':
      return `${it.severity},${it.notice},${it.text}`;
    case 'PASSWORD':
      return encodePassword(it);
    case 'PK_SIGN':
    case 'RSA_SIGN':
      return it.algorithm === undefined ? it.data : `${it.data},${it.algorithm}`;
    case 'PKCS11ID-COUNT':
      return String(it.count);
    case 'PKCS11ID-ENTRY':
      return it.entry === undefined ? `'${it.index}'` : `'${it.index}', ID:'${it.entry.id}', BLOB:'${it.entry.blob}'`;
    case 'PROXY':
      return `${it.index},${it.protocol},${it.host}`;
    case 'REMOTE':
      return `${it.host},${it.port},${it.protocol}`;
    case 'STATE':
      return encodeStateEntry(it);
  }
}

function encodeClient(it: Extract<Notification, { type: 'CLIENT' }>): string[] {
  switch (it.mode) {
    case 'CONNECT':
    case 'REAUTH':
      return [`>CLIENT:${it.mode},${it.cid},${it.kid}`, ...encodeEnvironment('CLIENT', it.env)];
    case 'ESTABLISHED':
    case 'DISCONNECT':
      return [`>CLIENT:${it.mode},${it.cid}`, ...encodeEnvironment('CLIENT', it.env)];
    case 'ADDRESS':
      return [`>CLIENT:ADDRESS,${it.cid},${it.address},${it.primary ? 1 : 0}`];
    case 'CR_RESPONSE':
      return [`>CLIENT:CR_RESPONSE,${it.cid},${it.kid},${it.response}`, ...encodeEnvironment('CLIENT', it.env)];
  }
}

function encodeEnvironment(word: string, env: Environment): string[] {
  return [...Object.entries(env).map(([name, value]) => `>${word}:ENV,${name}=${value}`), `>${word}:ENV,END`];
}

/** Reads the ENV lines behind the first line. A variable without `=` is kept with an empty value. */
function parseEnvironment(word: string, lines: readonly string[]): Environment {
  const env = Object.create(null) as Record<string, string>;
  const prefix = `>${word}:ENV,`;
  for (const line of lines.slice(1)) {
    if (!line.startsWith(prefix)) continue;
    const text = line.slice(prefix.length);
    if (text === 'END') break;
    const [name, value] = cut(text, '=') ?? [text, ''];
    env[name] = value;
  }
  return env;
}

type Reader = (text: string, lines: readonly string[]) => Notification | undefined;

function readClient(text: string, lines: readonly string[]): Notification | undefined {
  const fields = text.split(',');
  const [mode, cidText, third, fourth] = fields;
  const cid = readCount(cidText);
  if (cid === undefined) return undefined;
  const env = (): Environment => parseEnvironment('CLIENT', lines);
  const kid = readCount(third);
  switch (mode) {
    case 'CONNECT':
    case 'REAUTH':
      return kid === undefined || fields.length !== 3 ? undefined : { type: 'CLIENT', mode, cid, kid, env: env() };
    case 'ESTABLISHED':
    case 'DISCONNECT':
      return fields.length === 2 ? { type: 'CLIENT', mode, cid, env: env() } : undefined;
    case 'ADDRESS':
      if (third === undefined || fields.length !== 4 || (fourth !== '0' && fourth !== '1')) return undefined;
      return { type: 'CLIENT', mode, cid, address: third, primary: fourth === '1' };
    case 'CR_RESPONSE': {
      const response = fieldsOf(text, 4)?.[3];
      if (kid === undefined || response === undefined) return undefined;
      return { type: 'CLIENT', mode, cid, kid, response, env: env() };
    }
    case undefined:
    default:
      return undefined;
  }
}

function readSign(type: 'PK_SIGN' | 'RSA_SIGN', text: string): Notification {
  const halves = cut(text, ',');
  return { type, data: halves?.[0] ?? text, algorithm: halves?.[1] };
}

function readNeed(type: 'NEED-OK' | 'NEED-STR', text: string): Notification | undefined {
  // the notes say "input" where the daemon says "string"
  const word = type === 'NEED-OK' ? 'confirmation' : '(?:string|input)';
  const match = new RegExp(`^Need '(.*?)' ${word} MSG:(.*)$`, 's').exec(text);
  const [, name, message] = match ?? [];
  return name === undefined || message === undefined ? undefined : { type, name, text: message };
}

const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [
    'BYTECOUNT',
    (text) => {
      const [bytesIn, bytesOut, ...more] = text.split(',').map(readCount);
      if (bytesIn === undefined || bytesOut === undefined || more.length > 0) return undefined;
      return { type: 'BYTECOUNT', bytesIn, bytesOut };
    },
  ],
  [
    'BYTECOUNT_CLI',
    (text) => {
      const [cid, bytesIn, bytesOut, ...more] = text.split(',').map(readCount);
      if (cid === undefined || bytesIn === undefined || bytesOut === undefined || more.length > 0) return undefined;
      return { type: 'BYTECOUNT_CLI', cid, bytesIn, bytesOut };
    },
  ],
  ['CLIENT', readClient],
  [
    'ECHO',
    (text) => {
      const entry = parseEchoEntry(text);
      return entry && { type: 'ECHO', ...entry };
    },
  ],
  ['FATAL', (text) => ({ type: 'FATAL', text })],
  [
    'HOLD',
    (text) => {
      const [, before, seconds] = /^(.*):([0-9]+)$/s.exec(text) ?? [];
      const waitSeconds = readCount(seconds);
      return { type: 'HOLD', text: waitSeconds === undefined ? text : (before ?? text), waitSeconds };
    },
  ],
  ['INFO', (text) => ({ type: 'INFO', text })],
  ['INFOMSG', (text) => ({ type: 'INFOMSG', message: parseInfoMessage(text) })],
  [
    'LOG',
    (text) => {
      const entry = parseLogEntry(text);
      return entry && { type: 'LOG', ...entry };
    },
  ],
  ['NEED-OK', (text) => readNeed('NEED-OK', text)],
  ['NEED-STR', (text) => readNeed('NEED-STR', text)],
  ['NEED-CERTIFICATE', (text) => ({ type: 'NEED-CERTIFICATE', hint: text })],
  [
    'NOTIFY',
    (text) => {
      const [severity, notice, message] = fieldsOf(text, 3) ?? [];
      if (severity === undefined || notice === undefined || message === undefined) return undefined;
      return { type: 'NOTIFY', severity, notice, text: message };
    },
  ],
  ['PASSWORD', parsePassword],
  ['PK_SIGN', (text) => readSign('PK_SIGN', text)],
  ['RSA_SIGN', (text) => readSign('RSA_SIGN', text)],
  [
    'PKCS11ID-COUNT',
    (text) => {
      const count = readCount(text);
      return count === undefined ? undefined : { type: 'PKCS11ID-COUNT', count };
    },
  ],
  [
    'PKCS11ID-ENTRY',
    (text) => {
      const match = /^'([0-9]+)'(?:, ID:'(.*)', BLOB:'(.*)')?$/s.exec(text);
      const [, indexText, id, blob] = match ?? [];
      const index = readCount(indexText);
      if (index === undefined) return undefined;
      return {
        type: 'PKCS11ID-ENTRY',
        index,
        entry: id === undefined || blob === undefined ? undefined : { id, blob },
      };
    },
  ],
  [
    'PROXY',
    (text) => {
      const [indexText, protocol, host] = fieldsOf(text, 3) ?? [];
      const index = readCount(indexText);
      if (index === undefined || host === undefined || (protocol !== 'UDP' && protocol !== 'TCP')) return undefined;
      return { type: 'PROXY', index, protocol, host };
    },
  ],
  [
    'REMOTE',
    (text) => {
      const [host, port, protocol] = fieldsOf(text, 3) ?? [];
      if (host === undefined || port === undefined || protocol === undefined) return undefined;
      return { type: 'REMOTE', host, port, protocol };
    },
  ],
  [
    'STATE',
    (text) => {
      const entry = parseStateEntry(text);
      return entry && { type: 'STATE', ...entry };
    },
  ],
  [
    'UPDOWN',
    (text, lines) =>
      text === 'UP' || text === 'DOWN'
        ? { type: 'UPDOWN', mode: text, env: parseEnvironment('UPDOWN', lines) }
        : undefined,
  ],
]);
