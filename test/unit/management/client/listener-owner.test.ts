import type * as Owner from '../../../../src/management/sockets/daemon-owner.ts';
import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { listenManagement, type ListenOptions, type ManagementAddress } from '../../../../src/management/index.ts';
import type { SocketAccess } from '../../../../src/management/sockets/bound-server.ts';
import type { Listening } from '../../../../src/management/sockets/listen.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeDaemon, GREETING } from '../../../support/fake-daemon.ts';

/** What the kernel says of a daemon that connected. */
let judgePeer: (name: string, socket: Socket) => Promise<Owner.OwnerVerdict>;
/** Of a socket that we were given. */
let judgeUsers: () => Promise<void>;
/** Who was to have the socket, and whether it was given to us instead. */
let access: SocketAccess | undefined;
let isInherited: boolean;
/** A daemon comes before we have begun. */
let isEarly: boolean;
let onEarly: () => void;
/** Where we listen. */
let place: ManagementAddress;
let servers: Listening[];

vi.mock('../../../../src/management/sockets/daemon-owner.ts', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  judgePeer: async (name: string, socket: Socket) => await judgePeer(name, socket),
  judgeUsers: async () => {
    await judgeUsers();
  },
}));
vi.mock('../../../../src/management/sockets/listen.ts', () => ({
  listenAt: async (address: ManagementAddress, wanted: SocketAccess, _: object, onClient: (socket: Socket) => void) => {
    access = wanted;
    const server = createServer(onClient);
    server.listen(address.kind === 'unix' ? { path: address.path } : address);
    await once(server, 'listening');
    const bound = server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    place = address.kind === 'tcp' ? { ...address, port } : address;
    const listening: Listening = {
      isInherited,
      addressOf: () => place,
      unref: () => server.unref(),
      close: () => server.close(),
    };
    servers.push(listening);
    if (isEarly) {
      const accepted = once(server, 'connection');
      early = connect(port);
      early.on('error', () => undefined);
      await accepted;
      onEarly();
    }
    return listening;
  },
}));

const [SELF, OTHER] = [500, 1_500];
const ANY_PORT: ManagementAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 };
let early: Socket | undefined;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pksigd-owner-'));
  judgePeer = () => Promise.resolve('known');
  judgeUsers = () => Promise.resolve();
  onEarly = () => undefined;
  [access, isInherited, isEarly, servers, early] = [undefined, false, false, [], undefined];
});
afterEach(() => {
  early?.destroy();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

const stranger = new AgentError('ERR_MANAGEMENT_PEER', 'a stranger');

describe('a daemon over TCP whose owner counts', () => {
  /** Listens, has one daemon connect, and says what came of it. */
  async function came(options: ListenOptions): Promise<{ rejected: unknown[]; daemon: FakeDaemon }> {
    const rejected: unknown[] = [];
    const listener = await listenManagement(ANY_PORT, {
      ...{ owner: { self: SELF }, onRejected: ({ code }) => rejected.push(code), ...options },
    });
    const daemon = await FakeDaemon.open(listener.address);
    daemon.say(GREETING);
    const next = listener[Symbol.asyncIterator]().next();
    await Promise.race([next, daemon.gone()]);
    await listener.close();
    const { done, value } = await next;
    if (done !== true) {
      rejected.push(value.daemonVersion.management);
      await value.close();
    }
    daemon.close();
    return { rejected, daemon };
  }

  test('is served when it is known', async () => {
    expect((await came({ password: new Secret('pw') })).rejected).toEqual([5]);
  });

  test('is turned away, and hears nothing, when it is another user’s', async () => {
    judgePeer = () => Promise.reject(stranger);
    const { rejected, daemon } = await came({ clientVersion: 3 });
    expect(rejected).toEqual(['ERR_MANAGEMENT_PEER']);
    expect(daemon.all).toBe('');
  });

  test('is served without a password when nobody can say, and never gets one', async () => {
    judgePeer = () => Promise.resolve('unknown');
    expect((await came({})).rejected).toEqual([5]);
    expect((await came({ password: new Secret('pw') })).rejected).toEqual(['ERR_MANAGEMENT_PEER']);
  });

  test('is not asked about where no owner counts', async () => {
    judgePeer = () => Promise.reject(stranger);
    expect((await came({ owner: undefined })).rejected).toEqual([5]);
  });

  test('may go away while it is looked at: others are served', async () => {
    const names: string[] = [];
    judgePeer = async (name, socket) => {
      names.push(name);
      if (names.length > 1) return 'known';
      // nobody else hears its error
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.emit('error', new Error('ECONNRESET'));
      socket.destroy();
      await closed;
      return 'known';
    };
    expect((await came({})).rejected).toEqual(['ERR_MANAGEMENT_CLOSED']);
    expect((await came({})).rejected).toEqual([5]);
    expect(names[0]).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('is not blamed for a defect of ours', async () => {
    const rejected: unknown[] = [];
    const defect = new TypeError('a defect');
    const listener = await listenManagement(ANY_PORT, {
      ...{ owner: { self: SELF }, onRejected: (error) => rejected.push(error) },
    });
    judgePeer = () => Promise.reject(defect);
    const socket = new Socket();
    await expect(listener.accept(socket)).rejects.toBe(defect);
    expect([socket.destroyed, rejected]).toEqual([true, []]);
    await listener.close();
  });

  test('may come while we end: it is not served any more, and nobody is told', async () => {
    const rejected: unknown[] = [];
    const listener = await listenManagement(ANY_PORT, {
      ...{ owner: { self: SELF }, clientVersion: 3, onRejected: ({ code }) => rejected.push(code) },
    });
    judgePeer = async () => {
      await listener.close();
      return 'known';
    };
    const daemon = await FakeDaemon.open(listener.address);
    await daemon.gone();
    expect([daemon.all, rejected]).toEqual(['', []]);
  });
});

describe('a unix socket', () => {
  const listened = async (options: ListenOptions): Promise<void> => {
    const listener = await listenManagement({ kind: 'unix', path: join(folder, 'd.sock') }, options);
    const daemon = await FakeDaemon.open(listener.address);
    daemon.say(GREETING);
    for await (const client of listener) {
      await client.close();
      break;
    }
    daemon.close();
    await listener.close();
    rmSync(join(folder, 'd.sock'), { force: true });
  };

  test('is for this user, unless another one is insisted on', async () => {
    judgePeer = () => Promise.reject(stranger);
    for (const [owner, user] of [
      [undefined, undefined],
      [{ self: SELF }, undefined],
      [{ self: SELF, user: SELF }, undefined],
      [{ self: SELF, user: 0 }, undefined],
      [{ self: SELF, user: OTHER }, OTHER],
    ] as const) {
      await listened({ owner });
      expect(access).toEqual({ mode: 0o600, user });
    }
    await listened({ mode: 0o660 });
    expect(access?.mode).toBe(0o660);
  });

  test('that was given to us is not used if the wrong users can connect', async () => {
    judgeUsers = () => Promise.reject(stranger);
    await listened({ owner: { self: SELF } });
    isInherited = true;
    await listened({});
    await expect(listened({ owner: { self: SELF } })).rejects.toBe(stranger);
  });

  test('nor is TCP asked about', async () => {
    isInherited = true;
    judgeUsers = () => Promise.reject(stranger);
    await (await listenManagement(ANY_PORT, { owner: { self: SELF } })).close();
  });
});

describe('a daemon that comes before we have begun', () => {
  beforeEach(() => {
    isEarly = true;
  });

  test('is served', async () => {
    const listener = await listenManagement(ANY_PORT);
    early?.write(GREETING);
    for await (const client of listener) {
      expect(client.daemonVersion.management).toBe(5);
      await client.close();
      break;
    }
    await listener.close();
  });

  test('is left when we give up', async () => {
    const [stop, reason] = [new AbortController(), new Error('enough')];
    judgePeer = () => Promise.reject(new Error('it is not asked about'));
    onEarly = () => {
      stop.abort(reason);
    };
    await expect(listenManagement(ANY_PORT, { signal: stop.signal })).rejects.toMatchObject({
      ...{ code: 'ERR_ABORTED', cause: reason },
    });
    if (early?.closed === false) await once(early, 'close');
    await expect(FakeDaemon.open(place)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

test('whoever gave up before does not listen at all', async () => {
  const reason = new Error('enough');
  await expect(listenManagement(ANY_PORT, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
    ...{ code: 'ERR_ABORTED', cause: reason },
  });
  expect(access).toBeUndefined();
});
