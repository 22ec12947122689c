import { once } from 'node:events';
import { type AddressInfo, connect, Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { endWithin } from '../../../../src/management/sockets/end-within.ts';

let server: Server;
let near: Socket;
let far: Socket;
beforeEach(async () => {
  // the far end stays open until it is closed
  server = new Server({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  [far] = (await once(server, 'connection')) as [Socket];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
  near.destroy();
  far.destroy();
  server.close();
});

test('what was written goes out, and the end keeps nothing waiting', async () => {
  const closed = once(near, 'close');
  near.write('the last words');
  endWithin(near, 2_000);
  await closed;
  expect(vi.getTimerCount()).toBe(0);
  const said = once(far, 'data');
  far.resume();
  expect(String((await said)[0])).toBe('the last words');
});

test('who reads nothing has so long, and no longer', async () => {
  const closed = once(near, 'close');
  // more than the kernel takes in
  near.write(Buffer.alloc(32 * 1024 * 1024));
  endWithin(near, 2_000);
  vi.advanceTimersByTime(1_999);
  expect(near.destroyed).toBe(false);
  vi.advanceTimersByTime(1);
  await closed;
});

test('one that has ended already is left alone', async () => {
  near.destroy();
  endWithin(near, 2_000);
  expect(vi.getTimerCount()).toBe(0);
  await once(near, 'close');
});
