import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';

/** One socket of this network namespace, from /proc/net/tcp or tcp6 (proc_net_tcp(5), net/ipv4/tcp_ipv4.c). */
export interface TcpRow {
  /** IPv4 in dots, also where the socket is an IPv6 one; IPv6 as eight groups without leading zeros. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly state: 'established' | 'listen' | 'other';
  /** User ID of whoever made the socket, or accepted the connection. */
  readonly user: number;
  /** Number of the socket; 0 for one that no process holds: not accepted yet, or closed. Its user reads 0 then. */
  readonly inode: number;
}

/** A connection as one of its ends sees it. */
export interface Connection {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

const STATES: ReadonlyMap<string, TcpRow['state']> = new Map([
  ['01', 'established'],
  ['0A', 'listen'],
]);
const ANY_IPV4 = '0.0.0.0';
const ANY_IPV6 = '0:0:0:0:0:0:0:0';

/** The sockets whose local port is `port`; undefined where the system doesn't tell. */
export async function readTcpTable(port: number): Promise<readonly TcpRow[] | undefined> {
  const ending = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const text = await readFile('/proc/self/net/tcp', 'latin1').catch(() => undefined);
  if (text === undefined) return undefined;
  // not there where the kernel has no IPv6
  const text6 = await readFile('/proc/self/net/tcp6', 'latin1').catch(() => '');
  return parseTcpTable(`${text}\n${text6}`, ending);
}

/** The rows of a table whose local end is written with that ending. */
export function parseTcpTable(text: string, ending: string): TcpRow[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', remote = '', state = '', , , , user, , inode] = line.trim().split(/\s+/);
    const [localAddress, remoteAddress] = [parseAddress(local), parseAddress(remote)];
    if (!local.endsWith(ending) || localAddress === undefined || remoteAddress === undefined) return [];
    return {
      localAddress,
      localPort: Number.parseInt(local.slice(-4), 16),
      remoteAddress,
      remotePort: Number.parseInt(remote.slice(-4), 16),
      state: STATES.get(state) ?? 'other',
      user: Number(user),
      inode: Number(inode),
    };
  });
}

/** The other end of a connection, if it is on this host and stands. */
export function rowToPeer(rows: readonly TcpRow[], ends: Connection): TcpRow | undefined {
  const [here, there] = [canonical(ends.localAddress), canonical(ends.remoteAddress)];
  return rows.find(
    (row) =>
      row.state === 'established' &&
      row.localAddress === there &&
      row.localPort === ends.remotePort &&
      row.remoteAddress === here &&
      row.remotePort === ends.localPort,
  );
}

/** The sockets that a connection can have been made to: the kernel gives it to the one whose address says most. */
export function rowsToListener(rows: readonly TcpRow[], ends: Connection): readonly TcpRow[] {
  const there = canonical(ends.remoteAddress);
  const listeners = rows.filter(({ state, localPort }) => state === 'listen' && localPort === ends.remotePort);
  const wildcards = there.includes(':') ? [ANY_IPV6] : [ANY_IPV4, ANY_IPV6];
  return (
    [there, ...wildcards]
      .map((address) => listeners.filter(({ localAddress }) => localAddress === address))
      .find((found) => found.length > 0) ?? []
  );
}

/** `0100007F:1D51`: 32-bit words in the host's byte order, in hexadecimal digits. */
function parseAddress(text: string): string | undefined {
  const digits = /^((?:[0-9A-F]{8}){1,4}):[0-9A-F]{4}$/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const bytes = Buffer.from(digits, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return canonical(groups.join(':'));
}

/** An address in one spelling: see {@link TcpRow.localAddress}. */
function canonical(address: string): string {
  const plain = address.toLowerCase().replace(/%.*$/, '');
  const mapped = /^(?:0:0:0:0:0|:):ffff:(?:([\d.]+)|([0-9a-f]+):([0-9a-f]+))$/.exec(plain);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (mapped !== null) {
    const [high, low] = [Number.parseInt(mapped[2] ?? '', 16), Number.parseInt(mapped[3] ?? '', 16)];
    return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  }
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const before = head.split(':').filter(Boolean);
  const behind = (tail ?? '').split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - before.length - behind.length;
  return [...before, ...Array<string>(zeros).fill('0'), ...behind]
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
