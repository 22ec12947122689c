import { userInfo } from 'node:os';
import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../../src/errors.ts';
import { Secret } from '../../../../src/secret.ts';
import { coded, setUp, soon } from '../pair.ts';
import { connected } from './connected.ts';

const { pair } = setUp();
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a connection', () => {
  test('knows whose the daemon is, where that was asked', async () => {
    const self = userInfo().uid;
    expect((await pair({ owner: { self } })).client.daemonUser).toBe(self);
    expect((await pair()).client.daemonUser).toBeUndefined();
  });

  test('tells whether somebody has heard what came', async () => {
    const { connection } = connected();
    expect(connection.isHeard).toBe(false);
    connection.on('HOLD', () => undefined);
    await turn();
    expect(connection.isHeard).toBe(true);
  });
});

describe('the end', () => {
  test('that we make lets go out what was written, and that of a broken connection nothing', async () => {
    const ours = connected();
    const closing = ours.connection[Symbol.asyncDispose]();
    expect([ours.socket.writableEnded, ours.socket.destroyed]).toEqual([true, false]);
    ours.socket.destroy();
    await closing;
    const broken = connected();
    broken.connection.fail(new AgentError('ERR_MANAGEMENT_LIMIT', 'too much'));
    expect([broken.socket.writableEnded, broken.socket.destroyed]).toEqual([false, true]);
  });

  test('by the daemon stays that, though what was left waits for its reader', async () => {
    const { connection, socket, say } = connected({ maxQueued: 1 });
    const streams = [connection.notifications(), connection.notifications()];
    await turn();
    say('>HOLD:half');
    socket.destroy();
    expect(await connection.closed).toEqual({ by: 'daemon', error: undefined });
    await streams[0]?.return?.();
    await expect(soon(connection.next('HOLD'))).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });

  test('by the daemon’s reset has its cause, for commands and for who asks', async () => {
    const { client, daemon } = await pair();
    const asked = client.exchange('pid');
    const stream = client.notifications();
    await daemon.hear('pid\n');
    daemon.socket.resetAndDestroy();
    const lost = expect.objectContaining({
      ...{ code: 'ERR_MANAGEMENT_CLOSED', cause: expect.objectContaining({ code: 'ECONNRESET' }) as unknown },
    }) as unknown;
    await expect(asked).rejects.toEqual(lost);
    expect(await client.closed).toEqual({ by: 'daemon', error: lost });
    // what came before it is read to the end
    expect([(await stream.next()).done, (await stream.next()).done]).toEqual([false, true]);
  });

  test('has the first reason', async () => {
    const { connection, socket } = connected();
    const closing = connection.close();
    socket.destroy(new Error('ECONNRESET'));
    await closing;
    expect(await connection.closed).toEqual({ by: 'client', error: undefined });
    await connection[Symbol.asyncDispose]();
  });

  test('is waited for, and a password that was asked for then is not sent', async () => {
    const { connection, written, say } = connected({ password: new Secret('pw') }, '');
    say('ENTER PASSWORD:');
    expect(written.map((each) => each.length)).toEqual([3]);
    say('ENTER PASSWORD:ENTER PASSWORD:');
    expect(await connection.closed).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_PASSWORD') });
    expect(written).toHaveLength(1);
  });
});
