import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { platform } from 'node:os';
import { expect, test } from 'vitest';
import { Relay } from '../../../../src/management/index.ts';
import { dial } from '../../../../src/management/sockets/dial.ts';
import { FakeListener } from '../../../support/fake-daemon.ts';

/** What timer the kernel has for the socket at these ports of 127.0.0.1 (proc_net_tcp.txt): `02` is that of keepalive. */
function timerOf(local: number | undefined, remote: number | undefined): string | undefined {
  const address = (port = 0): string => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/self/net/tcp', 'latin1').split('\n');
  const row = rows.find((each) => each.includes(` ${address(local)} ${address(remote)} 01 `));
  return row?.trim().split(/\s+/)[5]?.slice(0, 2);
}

test.runIf(platform() === 'linux')(
  'a silent daemon, and a silent client of a relay, are asked whether they are there',
  async () => {
    const listener = await FakeListener.start();
    const socket = await dial(listener.address, undefined);
    const relay = await Relay.listen({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 } });
    const { address } = relay;
    if (address.kind !== 'tcp') throw new Error('not TCP');
    const user = connect(address);
    await once(user, 'connect');
    await expect.poll(() => timerOf(socket.localPort, socket.remotePort)).toBe('02');
    await expect.poll(() => timerOf(address.port, user.localPort)).toBe('02');
    for (const each of [socket, user]) each.destroy();
    await relay.close();
    await listener.stop();
  },
);
