import { cut, fieldsOf, optional, readCount } from '../wire/fields.ts';

/**
 * One state of the daemon: a line of the `state` command's reply or a `>STATE:` notification
 * (management-notes "COMMAND -- state"; log_entry_print in manage.c).
 */
export interface StateEntry {
  /** Unix time in seconds. */
  readonly time: number;
  /** `CONNECTING`, `WAIT`, `AUTH`, `GET_CONFIG`, `ASSIGN_IP`, `ADD_ROUTES`, `CONNECTED`, `RECONNECTING`, `EXITING`, `RESOLVE`, `TCP_CONNECT`, `AUTH_PENDING`. */
  readonly name: string;
  /** Why, for RECONNECTING and EXITING; `SUCCESS` for CONNECTED; `timeout N` for AUTH_PENDING. */
  readonly detail: string | undefined;
  readonly tunIPv4: string | undefined;
  readonly remoteAddress: string | undefined;
  /** From OpenVPN 2.4 on, as are the fields below. */
  readonly remotePort: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly tunIPv6: string | undefined;
}

/** A line of the `log` command's reply or a `>LOG:` notification (management-notes "COMMAND -- log"). */
export interface LogEntry {
  /** Unix time in seconds. */
  readonly time: number;
  /** Any of `I` informational, `F` fatal, `N` non-fatal error, `W` warning, `D` debug; may be empty. */
  readonly flags: string;
  readonly text: string;
}

/** A line of the `echo` command's reply or an `>ECHO:` notification (management-notes "COMMAND -- echo"). */
export interface EchoEntry {
  /** Unix time in seconds at which the parameter was received. */
  readonly time: number;
  readonly text: string;
}

/** Reads `time,name,detail,tunIPv4,remote,port,local,port[,tunIPv6]`; OpenVPN 2.3 stops after `remote`. */
export function parseStateEntry(text: string): StateEntry | undefined {
  const fields = text.split(',');
  const time = readCount(fields[0]);
  const name = fields[1];
  if (time === undefined || name === undefined || name === '') return undefined;
  // no field but the detail can hold a comma, so that more than nine fields mean a detail with commas
  const surplus = Math.max(0, fields.length - 9);
  const tail = fields.slice(3 + surplus);
  const [remotePort, localPort] = [tail[2], tail[4]].map((port) => optional(port));
  if (remotePort !== undefined && readCount(remotePort) === undefined) return undefined;
  if (localPort !== undefined && readCount(localPort) === undefined) return undefined;
  return {
    time,
    name,
    detail: optional(fields.slice(2, 3 + surplus).join(',')),
    tunIPv4: optional(tail[0]),
    remoteAddress: optional(tail[1]),
    remotePort: readCount(remotePort),
    localAddress: optional(tail[3]),
    localPort: readCount(localPort),
    tunIPv6: optional(tail[5]),
  };
}

/** The inverse of {@link parseStateEntry}, in the form of OpenVPN 2.4 and later. */
export function encodeStateEntry(entry: StateEntry): string {
  const fields = [
    entry.time,
    entry.name,
    entry.detail,
    entry.tunIPv4,
    entry.remoteAddress,
    entry.remotePort,
    entry.localAddress,
    entry.localPort,
  ];
  // a detail with commas is told by the number of fields, so that the last one must then be there
  if (entry.tunIPv6 !== undefined || entry.detail?.includes(',') === true) fields.push(entry.tunIPv6);
  return fields.map((field) => field ?? '').join(',');
}

/** Seconds until authentication times out, where an AUTH_PENDING state tells them. */
export function authPendingTimeout(entry: StateEntry): number | undefined {
  return entry.name === 'AUTH_PENDING' ? readCount(/^timeout ([0-9]+)$/.exec(entry.detail ?? '')?.[1]) : undefined;
}

/** Reads `time,flags,text`. */
export function parseLogEntry(text: string): LogEntry | undefined {
  const fields = fieldsOf(text, 3);
  const time = readCount(fields?.[0]);
  if (fields === undefined || time === undefined) return undefined;
  const [, flags = '', message = ''] = fields;
  return /^[A-Z]*$/.test(flags) ? { time, flags, text: message } : undefined;
}

/** The inverse of {@link parseLogEntry}. */
export function encodeLogEntry(entry: LogEntry): string {
  return `${entry.time},${entry.flags},${entry.text}`;
}

/** Reads `time,text`. */
export function parseEchoEntry(text: string): EchoEntry | undefined {
  const halves = cut(text, ',');
  const time = readCount(halves?.[0]);
  return halves === undefined || time === undefined ? undefined : { time, text: halves[1] };
}

/** The inverse of {@link parseEchoEntry}. */
export function encodeEchoEntry(entry: EchoEntry): string {
  return `${entry.time},${entry.text}`;
}
