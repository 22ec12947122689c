import { AgentError } from '../../errors.ts';
import {
  type EchoEntry,
  type LogEntry,
  parseEchoEntry,
  parseLogEntry,
  parseStateEntry,
  type StateEntry,
} from '../notifications/entries.ts';
import { parseNotification } from '../notifications/notification.ts';
import type { NotificationOf } from '../notifications/types.ts';
import { readCount } from '../wire/fields.ts';
import type { Reply } from './reply.ts';
import { parseStatus } from './status.ts';

// Each reader takes the reply of one command and throws ERR_MANAGEMENT_PROTOCOL for one that it can't read whole.

/** A `remote` of the daemon's configuration (OpenVPN 2.6 on). */
export interface RemoteEntry {
  readonly index: number;
  readonly host: string;
  readonly port: string;
  readonly protocol: string;
  /** Not disabled by restrictions on protocol or proxy. */
  readonly enabled: boolean;
}

/** @throws AgentError ERR_MANAGEMENT_PROTOCOL */
function refuse(name: string, text: string | undefined): never {
  const what = JSON.stringify((text ?? '').slice(0, 200));
  throw new AgentError('ERR_MANAGEMENT_PROTOCOL', `OpenVPN's reply to the ${name} command can't be read: ${what}`);
}

/** `NAME=VALUE`, and with commas several, by name. Undefined for an answer in words, to a command that changed something. */
export function readValues({ text }: Reply, name: string): Record<string, number | string> | undefined {
  if (text?.includes('=') !== true) return undefined;
  const pairs = text.split(',').map((pair) => /^([a-z_-]+)=(.+)$/.exec(pair) ?? refuse(name, text));
  return Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, readCount(value) ?? value]));
}

/** The value of that name. */
export function readValue(reply: Reply, name: string): number | string {
  return readValues(reply, name)?.[name] ?? refuse(name, reply.text);
}

/** The number of that name; `key` where it isn't the command's own. */
export function readNumber(reply: Reply, name: string, key: string = name): number {
  const value = readValues(reply, name)?.[key];
  return typeof value === 'number' ? value : refuse(name, reply.text);
}

/** How many clients were killed (man_kill in manage.c). */
export function readKilled({ text = '' }: Reply): number {
  return readCount(/(?:^|found, )(\d+) client\(s\) /.exec(text)?.[1]) ?? refuse('kill', text);
}

export function readEchoes({ lines }: Reply): EchoEntry[] {
  return lines.map((line) => parseEchoEntry(line) ?? refuse('echo', line));
}

export function readStates({ lines }: Reply): StateEntry[] {
  return lines.map((line) => parseStateEntry(line) ?? refuse('state', line));
}

/** Some of the daemon's own log texts span lines. */
export function readLog({ lines }: Reply): LogEntry[] {
  const entries: LogEntry[] = [];
  for (const line of lines) {
    const entry = parseLogEntry(line);
    const last = entries.at(-1);
    if (entry !== undefined) entries.push(entry);
    else if (last !== undefined) entries[entries.length - 1] = { ...last, text: `${last.text}\n${line}` };
    else refuse('log', line);
  }
  return entries;
}

export function readRemoteCount({ lines: [line] }: Reply): number {
  return readCount(line) ?? refuse('remote-entry-count', line);
}

export function readRemotes({ lines }: Reply): RemoteEntry[] {
  return lines.map((line) => parseRemoteEntry(line) ?? refuse('remote-entry-get', line));
}

/** A line of the `remote-entry-get` command's reply (man_remote_entry_get in manage.c). */
function parseRemoteEntry(line: string): RemoteEntry | undefined {
  const [indexText, host, port, protocol, status] = line.split(',');
  const index = readCount(indexText);
  if (index === undefined || host === undefined || port === undefined || protocol === undefined) return undefined;
  if (status !== 'enabled' && status !== 'disabled') return undefined;
  return { index, host, port, protocol, enabled: status === 'enabled' };
}

export function readIdentityCount({ lines }: Reply): NotificationOf<'PKCS11ID-COUNT'> {
  const read = parseNotification(lines);
  return read.type === 'PKCS11ID-COUNT' ? read : refuse('pkcs11-id-count', lines[0]);
}

export function readIdentity({ lines }: Reply): NotificationOf<'PKCS11ID-ENTRY'> {
  const read = parseNotification(lines);
  return read.type === 'PKCS11ID-ENTRY' ? read : refuse('pkcs11-id-get', lines[0]);
}

/** The daemon's title (`OpenVPN 2.6.14 x86_64-pc-linux-gnu …`) and the version of its management interface. */
export function readVersion({ lines }: Reply): { readonly title: string; readonly management: number } {
  const title = /^OpenVPN Version: (.*)$/.exec(lines[0] ?? '')?.[1];
  const management = readCount(/^Management (?:Interface )?Version: (\d+)$/.exec(lines[1] ?? '')?.[1]);
  return title === undefined || management === undefined ? refuse('version', lines.join(' ')) : { title, management };
}

/** The parts that this kind of daemon has. Read with END: without it the lines would not be known to be whole. */
export function readStatus({ raw }: Reply): unknown {
  const { kind, title, updated, updatedTime, clients, routes, globals, counters } = parseStatus(raw);
  return kind === 'client'
    ? { kind, updated, counters }
    : { kind, title, updated, updatedTime, clients, routes, globals };
}
