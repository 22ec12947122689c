import { getEventListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { errorCode } from '../../../../src/errors.ts';
import { connectManagement } from '../../../../src/management/index.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeListener, GREETING } from '../../../support/fake-daemon.ts';
import { coded, setUp } from '../pair.ts';

const { listener, keep, pair } = setUp();

describe('connecting', () => {
  test('waits for the greeting and knows the version', async () => {
    const { client } = await pair();
    expect(client.daemonVersion).toEqual({ management: 5, title: undefined, release: undefined });
    expect(client.peer).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('announces its version in the first bytes, before the greeting', async () => {
    const connecting = connectManagement(listener().address, { clientVersion: 3 });
    const daemon = await listener().next();
    expect(await daemon.hear('\n')).toBe('version 3\n');
    daemon.say(GREETING);
    keep(await connecting);
  });

  test('answers the prompt, with the version right behind', async () => {
    const connecting = connectManagement(listener().address, { clientVersion: 3, password: new Secret('s e"cret') });
    const daemon = await listener().next();
    daemon.say('ENTER PASSWORD:');
    expect(await daemon.hear('version 3\n')).toBe('s e"cret\nversion 3\n');
    daemon.say(`SUCCESS: password is correct\r\n${GREETING}`);
    keep(await connecting);
    expect(daemon.received).toBe('');
  });

  test('with a password that no prompt asks for, the password stays here', async () => {
    const { client, daemon } = await pair({ clientVersion: 3, password: new Secret('secret') });
    expect(await daemon.hear('\n')).toBe('version 3\n');
    void client.raw('pid').catch(() => undefined);
    expect(await daemon.hear('\n')).toBe('pid\n');
  });

  test.each([
    ['a wrong password', new Secret('wrong'), 'ENTER PASSWORD:ENTER PASSWORD:', 'ERR_MANAGEMENT_PASSWORD', 'refused'],
    ['a prompt and no password', undefined, 'ENTER PASSWORD:', 'ERR_MANAGEMENT_PASSWORD', 'asks for a password'],
    ['something else', undefined, 'SSH-2.0-OpenSSH_9.2\r\n', 'ERR_MANAGEMENT_PROTOCOL', "doesn't speak"],
  ])('%s', async (_, password, said, code, text) => {
    const connecting = connectManagement(listener().address, { password });
    const daemon = await listener().next();
    daemon.say(said);
    await expect(connecting).rejects.toEqual(coded(code, text));
    await daemon.gone();
  });

  test('a daemon that closes before it greets', async () => {
    const connecting = connectManagement(listener().address);
    const daemon = await listener().next();
    daemon.socket.end();
    await expect(connecting).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });

  test('a daemon that never greets', async () => {
    await expect(connectManagement(listener().address, { connectTimeout: 20 })).rejects.toMatchObject({
      code: 'ERR_MANAGEMENT_TIMEOUT',
      hint: 'it serves one management client at a time: is another one connected?',
    });
  });

  test('nobody there', async () => {
    const gone = await FakeListener.start();
    await gone.stop();
    await expect(connectManagement(gone.address)).rejects.toEqual(coded('ERR_MANAGEMENT_CONNECT'));
    await expect(connectManagement({ kind: 'unix', path: '/nonexistent/x.sock' })).rejects.toEqual(
      coded('ERR_MANAGEMENT_CONNECT', '/nonexistent/x.sock'),
    );
  });

  test('closes beside a daemon that reads nothing any more', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pksigd-client-'));
    const unix = await FakeListener.start(join(folder, 'socket'));
    const connecting = connectManagement(unix.address);
    const daemon = await unix.next();
    daemon.say(GREETING);
    const client = await connecting;
    daemon.socket.pause();
    // more than the kernel takes in for it
    const commands = Array.from({ length: 10 }, () => client.pkSig(Buffer.alloc(50_000)).catch(errorCode));
    await client.close();
    expect(new Set(await Promise.all(commands))).toEqual(new Set(['ERR_MANAGEMENT_CLOSED']));
    await unix.stop();
    await rm(folder, { recursive: true });
  });

  test('aborted before, while and after', async () => {
    await expect(connectManagement(listener().address, { signal: AbortSignal.abort() })).rejects.toEqual(
      coded('ERR_ABORTED'),
    );
    const during = new AbortController();
    const connecting = connectManagement(listener().address, { signal: during.signal });
    const daemon = await listener().next();
    during.abort();
    await expect(connecting).rejects.toEqual(coded('ERR_ABORTED'));
    await daemon.gone();
    const after = new AbortController();
    const { client } = await pair({ signal: after.signal });
    after.abort();
    expect(await client.closed).toEqual({ by: 'client', error: undefined });
  });

  test('given up between the connection and the greeting', async () => {
    const stop = new AbortController();
    const connecting = connectManagement(listener().address, {
      signal: stop.signal,
      onConnected: () => {
        stop.abort();
      },
    });
    const daemon = await listener().next();
    await expect(connecting).rejects.toEqual(coded('ERR_ABORTED'));
    await daemon.gone();
  });

  test('a signal that outlives many connections keeps none of them', async () => {
    const { signal } = new AbortController();
    const { client } = await pair({ signal });
    const failing = connectManagement(listener().address, { signal });
    (await listener().next()).say('220 smtp\r\n');
    await expect(failing).rejects.toEqual(coded('ERR_MANAGEMENT_PROTOCOL'));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await client.close();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  test('a daemon has so long for its greeting, and what it does later counts no more', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { client, daemon } = await pair();
      const connecting = connectManagement(listener().address);
      await listener().next();
      const late = expect(connecting).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
      vi.advanceTimersByTime(10_000);
      await late;
      const pid = client.pid();
      await daemon.hear('pid\n');
      daemon.say('SUCCESS: pid=1\r\n');
      expect(await pid).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });
});
