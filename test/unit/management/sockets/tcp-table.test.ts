import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { endianness } from 'node:os';
import { describe, expect, test } from 'vitest';
import { readTcpListeners, readTcpTable, TcpTable } from '../../../../src/management/sockets/tcp-table.ts';

/** An address as the kernel writes it on this machine. */
function hex(bytes: readonly number[], port: number): string {
  const words = Buffer.from(bytes);
  if (endianness() === 'LE') words.swap32();
  return `${words.toString('hex').toUpperCase()}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

const V4 = [127, 0, 0, 1];
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1];
const V6 = [...Array<number>(15).fill(0), 1];
const LAN = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd];
const ANY4 = [0, 0, 0, 0];
const ANY6 = Array<number>(16).fill(0);

function row(local: string, remote: string, state: string, user: number, inode: number): string {
  return `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${user}        0 ${inode} 1 0 20 4 30 10 -1`;
}

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';

describe('the other end of a connection', () => {
  const ends = { localAddress: '127.0.0.1', localPort: 7505, remoteAddress: '127.0.0.1', remotePort: 40_000 };
  test.each([
    ['IPv4', V4, ends],
    ['IPv4 at an IPv6 socket', MAPPED, ends],
    [
      'IPv4 that our own socket takes for IPv6',
      V4,
      { ...ends, localAddress: '::ffff:127.0.0.1', remoteAddress: '::ffff:7f00:1' },
    ],
    ['IPv6', V6, { ...ends, localAddress: '::1', remoteAddress: '::1' }],
    ['IPv6 of the network', LAN, { ...ends, localAddress: '2001:db8::abcd', remoteAddress: '2001:DB8:0::abcd' }],
  ])('%s', (_, bytes, connection) => {
    const [here, there] = [hex(bytes, 7505), hex(bytes, 40_000)];
    const table = new TcpTable(
      [
        HEAD,
        row(here, there, '01', 0, 11),
        row(there, hex(bytes, 7506), '01', 1, 12),
        row(there, here, '01', 65_534, 13),
      ].join('\n'),
    );
    expect(table.peer(connection)).toMatchObject({ user: 65_534, inode: 13, state: 'established' });
    expect(table.peer({ ...connection, remotePort: 40_001 })).toBeUndefined();
  });

  test('is no other one between the same ports', () => {
    const OTHER = [127, 0, 0, 2];
    const [here, there] = [hex(V4, 7505), hex(V4, 40_000)];
    const others = [
      row(hex(OTHER, 40_000), here, '01', 1, 1),
      row(there, hex(OTHER, 7505), '01', 2, 2),
      row(hex(OTHER, 40_000), hex(OTHER, 7505), '01', 3, 3),
    ];
    expect(new TcpTable(others.join('\n')).peer(ends)).toBeUndefined();
    expect(new TcpTable([...others, row(there, here, '01', 4, 4)].join('\n')).peer(ends)?.inode).toBe(4);
  });

  test.each([1, 80, 443, 4095])('is found by a low port: %d', (port) => {
    const table = new TcpTable(row(hex(V4, port), hex(V4, 7505), '01', 5, 5));
    expect(table.peer({ ...ends, remotePort: port })?.inode).toBe(5);
    expect(table.peer({ ...ends, remotePort: port + 4096 })).toBeUndefined();
  });

  test.each([
    'x0100007F:9C40 0100007F:1D51',
    '0100007F:9C40 0100007F:1D51x',
    '0100007F:9C40 00007F:1D51',
    '0100007F:9C40',
    '00007F:9C40 0100007F:1D51',
  ])('is none in a line that reads otherwise: %s', (addresses) => {
    expect(new TcpTable(`   0: ${addresses} 01 0:0 0:0 0 0 0 11`).peer(ends)).toBeUndefined();
  });

  test('in another state is seen, as such', () => {
    const table = new TcpTable(row(hex(V4, 40_000), hex(V4, 7505), '05', 0, 0));
    expect(table.peer(ends)).toMatchObject({ state: 'other', inode: 0 });
  });

  test('a port’s digits elsewhere in a line say nothing', () => {
    expect(new TcpTable(row(hex(V4, 1), hex(V4, 40_000), '01', 0, 1)).peer(ends)).toBeUndefined();
    expect(new TcpTable('garbage :9C40\n:9C40').peer(ends)).toBeUndefined();
  });
});

describe('who listens', () => {
  const ends = { localAddress: '127.0.0.1', localPort: 40_000, remoteAddress: '127.0.0.1', remotePort: 7505 };
  const none = hex(ANY4, 0);
  test('the address itself counts before all addresses', () => {
    const lines = [
      row(hex(ANY6, 7505), hex(ANY6, 0), '0A', 3, 3),
      row(hex(ANY4, 7505), none, '0A', 2, 2),
      row(hex(V4, 7505), none, '0A', 1, 1),
    ];
    const users = (from: number): number[] =>
      new TcpTable(lines.slice(0, from).join('\n')).listeners(ends).map(({ user }) => user);
    expect([users(3), users(2), users(1), users(0)]).toEqual([[1], [2], [3], []]);
  });

  test('all who share a port', () => {
    const table = new TcpTable([row(hex(V4, 7505), none, '0A', 0, 1), row(hex(V4, 7505), none, '0A', 7, 2)].join('\n'));
    expect(table.listeners(ends).map(({ user }) => user)).toEqual([0, 7]);
  });

  test('an IPv6 wildcard takes both', () => {
    const table = new TcpTable(row(hex(ANY6, 7505), hex(ANY6, 0), '0A', 0, 1));
    expect(table.listeners({ ...ends, localAddress: '::1', remoteAddress: '::1' })).toHaveLength(1);
    expect(table.listeners(ends)).toHaveLength(1);
  });

  test('nobody at another address of the same port', () => {
    const table = new TcpTable(row(hex([127, 0, 0, 2], 7505), none, '0A', 0, 1));
    expect(table.listeners(ends)).toEqual([]);
  });

  test('an IPv4 wildcard takes no IPv6', () => {
    const table = new TcpTable(row(hex(ANY4, 7505), none, '0A', 0, 1));
    expect(table.listeners({ ...ends, localAddress: '::1', remoteAddress: '::1' })).toEqual([]);
  });
});

test('the beginning of the table has all who listen, however many do and are connected', async () => {
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  try {
    for (const host of ['127.0.0.1', '::1', '::']) {
      for (let count = 0; count < 60; count += 1) {
        const server = createServer((socket) => sockets.push(socket)).listen(0, host);
        servers.push(server);
        await once(server, 'listening');
      }
    }
    for (const server of servers.slice(0, 100)) {
      const { address, port } = server.address() as AddressInfo;
      sockets.push(connect(port, address));
      await once(sockets.at(-1) ?? server, 'connect');
    }
    const [beginning, whole] = [await readTcpListeners(), await readTcpTable()];
    for (const server of servers) {
      const { address, port } = server.address() as AddressInfo;
      const ends = { localAddress: address, localPort: 1, remoteAddress: address, remotePort: port };
      expect(whole?.listeners(ends)).toHaveLength(1);
      expect(beginning?.listeners(ends)).toEqual(whole?.listeners(ends));
    }
  } finally {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
  }
});
