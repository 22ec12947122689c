import { AgentError } from '../../errors.ts';
import { cut, optional, readCount } from '../wire/fields.ts';

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

/**
 * The reply of `status`, a server's (multi_print_status in multi.c) or a client's (print_status in sig.c). What only the
 * other one has is empty, so that a program for servers needn't ask which one it is.
 */
export interface DaemonStatus {
  /** `client` is every daemon that isn't in server mode. */
  readonly kind: 'server' | 'client';
  /**
   * Its END was there. Without it the text may have been cut behind its last line: numbers, rows and counters may be
   * missing. What `status` returns is always complete.
   */
  readonly complete: boolean;
  /** A server's, formats 2 and 3. */
  readonly title: string | undefined;
  /** In the daemon's own words and time zone. */
  readonly updated: string;
  /** Unix time in seconds. A server's, formats 2 and 3. */
  readonly updatedTime: number | undefined;
  readonly clients: readonly StatusClient[];
  readonly routes: readonly StatusRoute[];
  /** A server's, by the daemon's own names, for example `Max bcast/mcast queue length`. */
  readonly globals: Readonly<Record<string, number>>;
  /** A client's, by the daemon's own names, for example `TUN/TAP read bytes`. */
  readonly counters: Readonly<Record<string, number>>;
}

/**
 * Reads the lines of a `status` reply, or of a `--status` file, in any of the formats. Format 3 is the one to ask for:
 * its tabs, unlike the commas of 1 and 2, can't occur in a name. Without END the text must be whole up to there, and the
 * result says that it may not be.
 *
 * @throws AgentError ERR_MANAGEMENT_PROTOCOL for a missing section, a line that doesn't have the form of its section, and
 *   anything behind END
 */
export function parseStatus(lines: readonly string[]): DaemonStatus {
  const end = lines.indexOf('END');
  // a text that was split at its line ends has an empty line behind the last
  const behind = end === -1 ? undefined : lines.slice(end + 1).find((line) => line !== '');
  if (behind !== undefined) throw malformed(behind);
  const body = new Lines(end === -1 ? lines : lines.slice(0, end));
  const first = body.next();
  const whole = { complete: end !== -1 };
  if (first === 'OpenVPN STATISTICS') return { ...parseStatistics(body), ...whole };
  if (first === 'OpenVPN CLIENT LIST') return { ...parseFormat1(body), ...whole };
  if (first.startsWith('TITLE\t')) return { ...parseTable(first, body, '\t'), ...whole };
  if (first.startsWith('TITLE,')) return { ...parseTable(first, body, ','), ...whole };
  throw malformed(first);
}

type Read = Omit<DaemonStatus, 'complete'>;

type Row = ReadonlyMap<string, string>;

const NOTHING = { title: undefined, updatedTime: undefined, clients: [], routes: [] } as const;

/** Lines in order: each section is read up to the next one's first line. */
class Lines {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
  }

  /** @throws AgentError ERR_MANAGEMENT_PROTOCOL if there are no more */
  next(): string {
    const line = this.#lines[this.#at];
    if (line === undefined) throw cutShort(this.#lines.at(-1));
    this.#at += 1;
    return line;
  }

  /** The lines before the next one that starts so. */
  until(start: string): readonly string[] {
    const from = this.#at;
    while (!this.next().startsWith(start)) continue;
    this.#at -= 1;
    return this.#lines.slice(from, this.#at);
  }

  /** All that is left: one line at least. */
  rest(): readonly string[] {
    const rest = [this.next(), ...this.#lines.slice(this.#at)];
    this.#at = this.#lines.length;
    return rest;
  }

  expect(line: string): void {
    const found = this.next();
    if (found !== line) throw malformed(found);
  }
}

function parseStatistics(lines: Lines): Read {
  const updated = updatedOf(lines.next());
  return { ...NOTHING, kind: 'client', updated, globals: record(), counters: counts(lines.rest(), ',') };
}

function parseFormat1(lines: Lines): Read {
  const updated = updatedOf(lines.next());
  lines.expect(CLIENT_1.join(','));
  const clients = lines
    .until('ROUTING TABLE')
    .map((line) => clientOf(zip(CLIENT_1, split(line, ',', CLIENT_1.length)), line));
  lines.expect('ROUTING TABLE');
  lines.expect(ROUTE_1.join(','));
  const routes = lines
    .until('GLOBAL STATS')
    .map((line) => routeOf(zip(ROUTE_1, split(line, ',', ROUTE_1.length)), line));
  lines.expect('GLOBAL STATS');
  const globals = counts(lines.rest(), ',');
  return { ...NOTHING, kind: 'server', updated, clients, routes, globals, counters: record() };
}

const CLIENT_1 = ['Common Name', 'Real Address', 'Bytes Received', 'Bytes Sent', 'Connected Since'];
const ROUTE_1 = ['Virtual Address', 'Common Name', 'Real Address', 'Last Ref'];

/** Formats 2 and 3 name their columns, of which later releases have more. */
function parseTable(first: string, lines: Lines, separator: string): Read {
  const time = lines.next();
  const [word, updated = '', seconds] = split(time, separator, 3);
  // the daemon's words for the time are passed on: what can be held against it is the number behind them
  if (word !== 'TIME' || updated === '') throw malformed(time);
  const header = (section: string, needed: readonly string[]): readonly string[] => {
    const line = lines.next();
    const prefix = ['HEADER', section, ''].join(separator);
    if (!line.startsWith(prefix)) throw malformed(line);
    const columns = line.slice(prefix.length).split(separator);
    if (new Set(columns).size < columns.length || !needed.every((name) => columns.includes(name)))
      throw malformed(line);
    return columns;
  };
  const rows = <T>(
    section: string,
    needed: readonly string[],
    upTo: string,
    read: (row: Row, line: string) => T,
  ): T[] => {
    const columns = header(section, needed);
    return lines.until(upTo + separator).map((line) => {
      const [name, ...fields] = split(line, separator, columns.length + 1);
      if (name !== section) throw malformed(line);
      return read(zip(columns, fields), line);
    });
  };
  const clients = rows('CLIENT_LIST', CLIENT_1, 'HEADER', clientOf);
  const routes = rows('ROUTING_TABLE', ROUTE_1, 'GLOBAL_STATS', routeOf);
  const globals = counts(lines.rest(), separator, 'GLOBAL_STATS');
  return {
    kind: 'server',
    title: first.slice('TITLE'.length + 1),
    updated,
    updatedTime: number(seconds, time),
    clients,
    routes,
    globals,
    counters: record(),
  };
}

function clientOf(row: Row, line: string): StatusClient {
  const count = (name: string): number | undefined => (row.has(name) ? number(row.get(name), line) : undefined);
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

const LAST_REF_TIME = 'Last Ref (time_t)';

function routeOf(row: Row, line: string): StatusRoute {
  return {
    virtualAddress: text(row, 'Virtual Address', line),
    commonName: text(row, 'Common Name', line),
    realAddress: text(row, 'Real Address', line),
    lastReference: text(row, 'Last Ref', line),
    lastReferenceTime: row.has(LAST_REF_TIME) ? number(row.get(LAST_REF_TIME), line) : undefined,
  };
}

function record(): Record<string, number> {
  return Object.create(null) as Record<string, number>;
}

/** `Updated,…` of format 1 and of clients. */
function updatedOf(line: string): string {
  const [name, updated] = cut(line, ',') ?? [];
  if (name !== 'Updated' || updated === undefined || updated === '') throw malformed(line);
  return updated;
}

/** Lines of a name and a number, behind `word` where the format has one. */
function counts(lines: readonly string[], separator: string, word?: string): Record<string, number> {
  const all = record();
  for (const line of lines) {
    const fields = split(line, separator, word === undefined ? 2 : 3);
    if (word !== undefined && fields.shift() !== word) throw malformed(line);
    const [name = ''] = fields;
    if (name === '' || name in all) throw malformed(line);
    all[name] = number(fields[1], line);
  }
  return all;
}

function split(line: string, separator: string, count: number): string[] {
  const fields = line.split(separator);
  if (fields.length !== count) throw malformed(line);
  return fields;
}

function zip(names: readonly string[], fields: readonly string[]): Map<string, string> {
  return new Map(names.map((name, index) => [name, fields[index] ?? '']));
}

function text(row: Row, name: string, line: string): string {
  const value = row.get(name);
  if (value === undefined) throw malformed(line);
  return value;
}

function number(value: string | undefined, line: string): number {
  const count = readCount(value);
  if (count === undefined) throw malformed(line);
  return count;
}

function cutShort(last: string | undefined): AgentError {
  return new AgentError('ERR_MANAGEMENT_PROTOCOL', "OpenVPN's status is not whole", {
    hint: last === undefined ? 'it is empty' : `it ends behind ${JSON.stringify(last.slice(0, 200))}`,
  });
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
