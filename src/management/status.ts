import { AgentError } from '../errors.ts';
import { optional, readCount } from './fields.ts';

/** A client of a server, as `status` shows it. What a format or a release doesn't tell is undefined. */
export interface StatusClient {
  /** `UNDEF` until its certificate was verified. */
  readonly commonName: string;
  /** `203.0.113.1:51234`. */
  readonly realAddress: string;
  readonly virtualAddress: string | undefined;
  readonly virtualIPv6Address: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** In the daemon's own words and time zone. */
  readonly connectedSince: string;
  /** Unix time in seconds. Formats 2 and 3. */
  readonly connectedSinceTime: number | undefined;
  /** `UNDEF` if there is none. Formats 2 and 3. */
  readonly username: string | undefined;
  /** Client ID. Formats 2 and 3, OpenVPN 2.4 on. */
  readonly cid: number | undefined;
  readonly peerId: number | undefined;
  /** Formats 2 and 3, OpenVPN 2.5 on. */
  readonly dataChannelCipher: string | undefined;
}

/** An address that a server routes to one of its clients. */
export interface StatusRoute {
  /** An address, a subnet or a MAC address; a `C` at its end marks a cached route. */
  readonly virtualAddress: string;
  readonly commonName: string;
  readonly realAddress: string;
  readonly lastReference: string;
  /** Unix time in seconds. Formats 2 and 3. */
  readonly lastReferenceTime: number | undefined;
}

/** The reply of `status`: a server's (multi_print_status in multi.c) or a client's (print_status in sig.c). */
export type DaemonStatus =
  | {
      readonly kind: 'server';
      /** Formats 2 and 3. */
      readonly title: string | undefined;
      readonly updated: string;
      /** Unix time in seconds. Formats 2 and 3. */
      readonly updatedTime: number | undefined;
      readonly clients: readonly StatusClient[];
      readonly routes: readonly StatusRoute[];
      /** By the daemon's own names, for example `Max bcast/mcast queue length`. */
      readonly globals: Readonly<Record<string, number>>;
    }
  | {
      readonly kind: 'client';
      readonly updated: string;
      /** By the daemon's own names, for example `TUN/TAP read bytes`. */
      readonly counters: Readonly<Record<string, number>>;
    };

/**
 * Reads the lines of a `status` reply in any of its formats, END left out or not. Format 3 is the one to ask for: its
 * tabs, unlike the commas of 1 and 2, can't occur in a name.
 *
 * @throws AgentError ERR_MANAGEMENT_PROTOCOL for a line that doesn't have the form of its section
 */
export function parseStatus(lines: readonly string[]): DaemonStatus {
  const body = lines.filter((line) => line !== 'END');
  const first = body[0] ?? '';
  if (first === 'OpenVPN STATISTICS') return parseStatistics(body);
  if (first === 'OpenVPN CLIENT LIST') return parseFormat1(body);
  if (first.startsWith('TITLE\t')) return parseTable(body, '\t');
  if (first.startsWith('TITLE,')) return parseTable(body, ',');
  throw malformed(first);
}

function parseStatistics(lines: readonly string[]): DaemonStatus {
  const counters = record<number>();
  let updated = '';
  for (const line of lines.slice(1)) {
    const [name = '', value] = split(line, ',', 2);
    if (name === 'Updated') updated = value ?? '';
    else counters[name] = number(value, line);
  }
  return { kind: 'client', updated, counters };
}

function parseFormat1(lines: readonly string[]): DaemonStatus {
  const clients: StatusClient[] = [];
  const routes: StatusRoute[] = [];
  const globals = record<number>();
  let updated = '';
  let section = 'clients';
  for (const line of lines.slice(1)) {
    if (line === 'ROUTING TABLE') section = 'routes';
    else if (line === 'GLOBAL STATS') section = 'globals';
    else if (line.startsWith('Updated,') && updated === '') updated = line.slice('Updated,'.length);
    else if (/^(?:Common Name,Real Address|Virtual Address,Common Name),/.test(line)) continue;
    else if (section === 'clients') clients.push(clientOf(zip(CLIENT_1, split(line, ',', 5)), line));
    else if (section === 'routes') routes.push(routeOf(zip(ROUTE_1, split(line, ',', 4)), line));
    else {
      const [name = '', value] = split(line, ',', 2);
      globals[name] = number(value, line);
    }
  }
  return { kind: 'server', title: undefined, updated, updatedTime: undefined, clients, routes, globals };
}

const CLIENT_1 = ['Common Name', 'Real Address', 'Bytes Received', 'Bytes Sent', 'Connected Since'];
const ROUTE_1 = ['Virtual Address', 'Common Name', 'Real Address', 'Last Ref'];

/** Formats 2 and 3 name their columns, of which later releases have more. */
function parseTable(lines: readonly string[], separator: string): DaemonStatus {
  const clients: StatusClient[] = [];
  const routes: StatusRoute[] = [];
  const globals = record<number>();
  const columns = new Map<string, readonly string[]>();
  let title: string | undefined;
  let updated = '';
  let updatedTime: number | undefined;
  for (const line of lines) {
    const [word = '', ...fields] = line.split(separator);
    const named = columns.get(word);
    if (word === 'TITLE') title = fields.join(separator);
    else if (word === 'TIME') [updated, updatedTime] = [fields[0] ?? '', readCount(fields[1])];
    else if (word === 'HEADER') columns.set(fields[0] ?? '', fields.slice(1));
    else if (word === 'GLOBAL_STATS') globals[fields[0] ?? ''] = number(fields[1], line);
    else if (named?.length !== fields.length) throw malformed(line);
    else if (word === 'CLIENT_LIST') clients.push(clientOf(zip(named, fields), line));
    else if (word === 'ROUTING_TABLE') routes.push(routeOf(zip(named, fields), line));
  }
  return { kind: 'server', title, updated, updatedTime, clients, routes, globals };
}

function clientOf(row: ReadonlyMap<string, string>, line: string): StatusClient {
  const count = (name: string): number | undefined => readCount(row.get(name));
  return {
    commonName: text(row, 'Common Name', line),
    realAddress: text(row, 'Real Address', line),
    virtualAddress: optional(row.get('Virtual Address')),
    virtualIPv6Address: optional(row.get('Virtual IPv6 Address')),
    bytesReceived: number(row.get('Bytes Received'), line),
    bytesSent: number(row.get('Bytes Sent'), line),
    connectedSince: text(row, 'Connected Since', line),
    connectedSinceTime: count('Connected Since (time_t)'),
    username: row.get('Username'),
    cid: count('Client ID'),
    peerId: count('Peer ID'),
    dataChannelCipher: optional(row.get('Data Channel Cipher')),
  };
}

function routeOf(row: ReadonlyMap<string, string>, line: string): StatusRoute {
  return {
    virtualAddress: text(row, 'Virtual Address', line),
    commonName: text(row, 'Common Name', line),
    realAddress: text(row, 'Real Address', line),
    lastReference: text(row, 'Last Ref', line),
    lastReferenceTime: readCount(row.get('Last Ref (time_t)')),
  };
}

function record<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

function split(line: string, separator: string, count: number): string[] {
  const fields = line.split(separator);
  if (fields.length !== count) throw malformed(line);
  return fields;
}

function zip(names: readonly string[], fields: readonly string[]): Map<string, string> {
  return new Map(names.map((name, index) => [name, fields[index] ?? '']));
}

function text(row: ReadonlyMap<string, string>, name: string, line: string): string {
  const value = row.get(name);
  if (value === undefined) throw malformed(line);
  return value;
}

function number(value: string | undefined, line: string): number {
  const count = readCount(value);
  if (count === undefined) throw malformed(line);
  return count;
}

function malformed(line: string): AgentError {
  return new AgentError(
    'ERR_MANAGEMENT_PROTOCOL',
    `a line of OpenVPN's status can't be read: ${JSON.stringify(line)}`,
    {
      hint: 'names with commas can be read in format 3 only',
    },
  );
}
