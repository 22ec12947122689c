import { open, readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { isNeverTold } from './untold.ts';

/** One socket of this network namespace, from /proc/net/tcp or tcp6 (proc_net_tcp(5), net/ipv4/tcp_ipv4.c). */
export interface TcpRow {
  /** IPv4 in dots, also where the socket is an IPv6 one; IPv6 as eight groups without leading zeros. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly state: 'established' | 'listen' | 'other';
  /** User ID of the process that made the socket, or accepted the connection. */
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

/** The kernel's table of TCP sockets, as it was at one moment. */
export class TcpTable {
  readonly #lines: readonly string[];

  /** @param text the content of /proc/net/tcp, of tcp6, or of both */
  constructor(text: string) {
    this.#lines = text.split('\n');
  }

  /** The other end of a connection, in whatever state it is, if it is on this host. */
  peer(ends: Connection): TcpRow | undefined {
    const [here, there] = [canonical(ends.localAddress), canonical(ends.remoteAddress)];
    return this.#rows(ends.remotePort).find(
      ({ localAddress, remoteAddress, remotePort }) =>
        localAddress === there && remoteAddress === here && remotePort === ends.localPort,
    );
  }

  /** The sockets that a connection can have been made to: the kernel gives it to the one whose address says most. */
  listeners(ends: Connection): readonly TcpRow[] {
    const there = canonical(ends.remoteAddress);
    const listening = this.#rows(ends.remotePort).filter(({ state }) => state === 'listen');
    const wildcards = there.includes(':') ? [ANY_IPV6] : [ANY_IPV4, ANY_IPV6];
    return (
      [there, ...wildcards]
        .map((address) => listening.filter(({ localAddress }) => localAddress === address))
        .find((found) => found.length > 0) ?? []
    );
  }

  #rows(localPort: number): TcpRow[] {
    const ending = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
    return this.#lines.filter((line) => line.includes(ending)).flatMap((line) => parseRow(line, ending));
  }
}

/**
 * What tells the table; undefined where the system doesn't.
 *
 * @throws what keeps it from being read for the moment: whoever is asked about then must not be taken for one whom the system
 *   never tells of
 */
export type ReadTcpTable = () => Promise<TcpTable | undefined>;

/** The table as it is at some moment from now on. */
export const readTcpTable: ReadTcpTable = forAll(() => readWith(readWhole));

/**
 * Only its beginning, in which the kernel has those who listen: the whole of it takes the longer the more connections there
 * are. One that listens may be missing, if a kernel does otherwise.
 */
export const readTcpListeners: ReadTcpTable = forAll(() => readWith(readBeginning));

/** However many ask at a time, it is read once for all of them. */
function forAll(readNow: ReadTcpTable): ReadTcpTable {
  let running: Promise<TcpTable | undefined> | undefined;
  let next: Promise<TcpTable | undefined> | undefined;
  return () => {
    // the one that is being read may be older than the question
    const before = running ?? Promise.resolve(undefined);
    next ??= before
      .catch(() => undefined)
      .then(() => {
        running = next;
        next = undefined;
        return readNow();
      });
    return next;
  };
}

async function readWith(read: (path: string) => Promise<string>): Promise<TcpTable | undefined> {
  const text = await read('/proc/self/net/tcp').catch(passOver);
  if (text === undefined) return undefined;
  // not there where the kernel has no IPv6
  return new TcpTable(`${text}\n${(await read('/proc/self/net/tcp6').catch(passOver)) ?? ''}`);
}

function passOver(error: unknown): undefined {
  if (!isNeverTold(error)) throw error;
}

async function readWhole(path: string): Promise<string> {
  return await readFile(path, 'latin1');
}

/** The smallest page: what the kernel gives at a time, as long as another line fits in. */
const PAGE = 4096;
const LONGEST_LINE = 256;

async function readBeginning(path: string): Promise<string> {
  await using file = await open(path);
  const page = Buffer.alloc(PAGE);
  for (let text = ''; ; ) {
    const { bytesRead } = await file.read(page, 0, PAGE);
    text += page.toString('latin1', 0, bytesRead);
    // to be told that there is no more costs the kernel as much as all the rest
    if (bytesRead < PAGE - LONGEST_LINE || !endsInListener(text)) return text;
  }
}

function endsInListener(text: string): boolean {
  const [, , , state] = text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1)?.trim().split(/\s+/) ?? [];
  return STATES.get(state ?? '') === 'listen';
}

/** None for another local port than the one that `ending` stands for. */
function parseRow(line: string, ending: string): TcpRow[] {
  const [, local = '', remote = '', state = '', , , , user, , inode] = line.trim().split(/\s+/);
  const [localAddress, remoteAddress] = [parseAddress(local), parseAddress(remote)];
  if (!local.endsWith(ending) || localAddress === undefined || remoteAddress === undefined) return [];
  return [
    {
      localAddress,
      remoteAddress,
      remotePort: Number.parseInt(remote.slice(-4), 16),
      state: STATES.get(state) ?? 'other',
      user: Number(user),
      inode: Number(inode),
    },
  ];
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
  const [plain = ''] = address.toLowerCase().split('%');
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
