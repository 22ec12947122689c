import { Socket } from 'node:net';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  approach,
  type DaemonOwner,
  daemonUserOf,
  judgePeer,
  ListenerChanged,
  type OwnerVerdict,
} from '../../../../src/management/sockets/daemon-owner.ts';
import { type TcpRow, TcpTable } from '../../../../src/management/sockets/tcp-table.ts';

const [SELF, OTHER, UNMAPPED] = [500, 1_500, 65_534];

/** What the kernel says of TCP: undefined where it does not, an error where it can't at the moment. */
let table: TcpTable | Error | undefined;
vi.mock('../../../../src/management/sockets/tcp-table.ts', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  readTcpTable: () => (table instanceof Error ? Promise.reject(table) : Promise.resolve(table)),
}));
vi.mock('../../../../src/management/sockets/user-namespace.ts', () => ({
  isUnmapped: (user: number) => user === UNMAPPED,
}));

/** A table of these rows, whatever connection is asked for. */
class Told extends TcpTable {
  readonly #listeners: readonly TcpRow[];
  readonly #peer: TcpRow | undefined;

  constructor(listeners: readonly TcpRow[], peer?: TcpRow) {
    super('');
    this.#listeners = listeners;
    this.#peer = peer;
  }

  override listeners(): readonly TcpRow[] {
    return this.#listeners;
  }

  override peer(): TcpRow | undefined {
    return this.#peer;
  }
}

const PLACE = { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', remotePort: 7505 } as const;
const row = (user: number, inode: number, state: TcpRow['state'] = 'established'): TcpRow => ({
  ...{ ...PLACE, user, inode, state },
});
const listener = (user: number, inode = 11): TcpRow => row(user, inode, 'listen');
const ends = { ...PLACE, localPort: 40_000, destroyed: false };

const refused = (code: string, more: object = {}): unknown => expect.objectContaining({ code, ...more });
const STRANGER = refused('ERR_MANAGEMENT_PEER', { reason: 'foreign-daemon', user: OTHER });
const GONE = refused('ERR_MANAGEMENT_CLOSED');
const UNKNOWN = refused('ERR_MANAGEMENT_PEER', { reason: 'unknown-daemon', user: OTHER });

/** A socket that says this of itself. */
function socketWith(its: object): Socket {
  const socket = new Socket();
  for (const [key, value] of Object.entries(its)) Object.defineProperty(socket, key, { value });
  return socket;
}

type Judged = Promise<[OwnerVerdict, number | undefined]>;

beforeEach(() => {
  table = undefined;
});

describe('a port that we connect to', () => {
  async function arrived(before: TcpTable | undefined, owner: Partial<DaemonOwner> = {}, its = ends): Judged {
    const socket = socketWith(its);
    const address = { kind: 'tcp', host: '127.0.0.1', port: 7505 } as const;
    const approached = await approach(address, { self: SELF, ...owner }, () => Promise.resolve(before));
    const verdict = await approached.arrived(socket);
    return [verdict, daemonUserOf(socket)];
  }

  test('is its listener’s, whoever serves the connection', async () => {
    table = new Told([listener(SELF)], row(OTHER, 12));
    expect(await arrived(table)).toEqual(['known', SELF]);
    table = new Told([listener(0)]);
    expect(await arrived(table)).toEqual(['known', 0]);
    table = new Told([listener(OTHER)]);
    expect(await arrived(table, { user: OTHER })).toEqual(['known', OTHER]);
    table = new Told([listener(UNMAPPED)]);
    expect(await arrived(table)).toEqual(['known', UNMAPPED]);
  });

  test('that another user shares is refused', async () => {
    table = new Told([listener(SELF), listener(OTHER, 12)]);
    await expect(arrived(table)).rejects.toEqual(STRANGER);
    table = new Told([listener(SELF)]);
    await expect(arrived(table, { user: OTHER })).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { user: SELF }));
  });

  test('at which somebody began to listen meanwhile is looked at again', async () => {
    table = new Told([listener(SELF), listener(SELF, 12)]);
    await expect(arrived(new Told([listener(SELF)]))).rejects.toBeInstanceOf(ListenerChanged);
    await expect(arrived(new Told([]))).rejects.toBeInstanceOf(ListenerChanged);
    // one that listens no more was nobody's way in
    table = new Told([listener(SELF)]);
    expect(await arrived(new Told([listener(OTHER, 10), listener(SELF)]))).toEqual(['known', SELF]);
  });

  test('that nobody listens at any more is whose the connection is', async () => {
    const before = new Told([listener(SELF)]);
    table = new Told([], row(SELF, 12));
    expect(await arrived(before)).toEqual(['known', SELF]);
    table = new Told([], row(OTHER, 12));
    await expect(arrived(before)).rejects.toEqual(STRANGER);
    table = new Told([]);
    expect(await arrived(before)).toEqual(['unknown', undefined]);
    await expect(arrived(before, { user: OTHER })).rejects.toEqual(UNKNOWN);
  });

  test('is nobody’s in particular where the system does not tell', async () => {
    expect(await arrived(new Told([]))).toEqual(['unknown', undefined]);
    table = new Told([listener(SELF)]);
    expect(await arrived(undefined)).toEqual(['unknown', undefined]);
    await expect(arrived(undefined, { user: OTHER })).rejects.toEqual(UNKNOWN);
  });

  test('that closed the connection meanwhile is not asked about', async () => {
    table = new Told([listener(SELF)]);
    await expect(arrived(table, {}, { ...ends, destroyed: true })).rejects.toEqual(GONE);
    for (const end of Object.keys(ends).filter((each) => each !== 'destroyed')) {
      await expect(arrived(table, {}, { ...ends, [end]: undefined })).rejects.toEqual(GONE);
    }
  });
});

describe('a daemon that connects to us', () => {
  async function came(owner: Partial<DaemonOwner> = {}, its: object = ends): Judged {
    const socket = socketWith(its);
    const verdict = await judgePeer('the daemon', socket, { self: SELF, ...owner });
    return [verdict, daemonUserOf(socket)];
  }

  test('is whose its end is', async () => {
    table = new Told([], row(SELF, 12));
    expect(await came()).toEqual(['known', SELF]);
    table = new Told([], row(UNMAPPED, 12));
    expect(await came()).toEqual(['unknown', UNMAPPED]);
    table = new Told([], row(OTHER, 12));
    await expect(came()).rejects.toEqual(STRANGER);
    expect(await came({ user: OTHER })).toEqual(['known', OTHER]);
  });

  test('and has closed its end is nobody’s: the kernel shows such ends as root’s', async () => {
    table = new Told([], row(0, 12, 'other'));
    await expect(came()).rejects.toEqual(GONE);
    table = new Told([], row(0, 0));
    await expect(came()).rejects.toEqual(GONE);
    table = new Told([]);
    await expect(came()).rejects.toEqual(GONE);
    await expect(came({}, { ...ends, remoteAddress: undefined })).rejects.toEqual(GONE);
  });

  test('from another host is not known', async () => {
    table = new Told([]);
    const far = { ...ends, remoteAddress: '192.0.2.1' };
    expect(await came({}, far)).toEqual(['unknown', undefined]);
    await expect(came({ user: OTHER }, far)).rejects.toEqual(UNKNOWN);
  });

  test('is not known where the system does not tell, and not let in where it can not at the moment', async () => {
    expect(await came()).toEqual(['unknown', undefined]);
    await expect(came({ user: OTHER })).rejects.toEqual(UNKNOWN);
    table = new Error('EMFILE');
    await expect(came()).rejects.toEqual(refused('ERR_MANAGEMENT_PEER', { reason: undefined }));
  });
});
