import { describe, expect, test } from 'vitest';
import { connectManagement, type Notification } from '../../../../src/management/index.ts';
import { Secret } from '../../../../src/secret.ts';
import { FakeListener, GREETING } from '../../../support/fake-daemon.ts';
import { coded, greeting, setUp } from '../pair.ts';

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
    await expect(connectManagement(listener().address, { connectTimeout: 20 })).rejects.toEqual(
      coded('ERR_MANAGEMENT_TIMEOUT'),
    );
  });

  test('nobody there', async () => {
    const gone = await FakeListener.start();
    await gone.stop();
    await expect(connectManagement(gone.address)).rejects.toEqual(coded('ERR_MANAGEMENT_CONNECT'));
    await expect(connectManagement({ kind: 'unix', path: '/nonexistent/x.sock' })).rejects.toEqual(
      coded('ERR_MANAGEMENT_CONNECT', '/nonexistent/x.sock'),
    );
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
});

describe('the announced version, by the daemon’s answer', () => {
  const block = 'OpenVPN Version: OpenVPN 2.4.12 x86_64 [SSL (OpenSSL)]\r\nManagement Version: 1\r\nEND\r\n';
  test.each([
    ['2.3 and 2.4 print their version', greeting(1), 3, block, '2.4.12'],
    ['2.5 says nothing', greeting(3), 3, '', undefined],
    ['2.6 says nothing', greeting(5), 4, '', undefined],
    ['2.7 says nothing up to 3', greeting(6), 3, '', undefined],
    ['2.7 acknowledges 4', greeting(6), 4, 'SUCCESS: Management client version set to 4\r\n', undefined],
    [
      'an acknowledgement out of the blue',
      greeting(5),
      4,
      'SUCCESS: Management client version set to 4\r\n',
      undefined,
    ],
  ])('%s', async (_, greet, clientVersion, answer, release) => {
    const { client, daemon } = await pair({ clientVersion }, greet);
    const stray: Notification[] = [];
    client.on('STRAY', (notification) => stray.push(notification));
    daemon.say(answer);
    await daemon.hear(`version ${clientVersion}\n`);
    const released = client.holdRelease();
    await daemon.hear('hold release\n');
    daemon.say('SUCCESS: hold release succeeded\r\n');
    await released;
    expect(client.daemonVersion.release).toBe(release);
    // a version command of the user's own gets its own answer
    const version = client.raw('version');
    await daemon.hear('version\n');
    daemon.say('OpenVPN Version: OpenVPN 2.7.6 x\r\nManagement Version: 6\r\nEND\r\n');
    expect((await version).lines).toHaveLength(2);
    expect(client.daemonVersion.release).toBe('2.7.6');
    expect(stray).toEqual([]);
  });
});

describe('notifications', () => {
  test('what came before anybody listened is kept, for all who start together', async () => {
    const { client, daemon } = await pair({}, `${GREETING}>HOLD:Waiting for hold release:0\r\n>PK_SIGN:AAAA,ECDSA\r\n`);
    daemon.say('>STATE:1,CONNECTING,,,,,,\r\n');
    const held: unknown[] = [];
    const all: unknown[] = [];
    client.on('HOLD', (notification) => held.push(notification.waitSeconds));
    client.on('*', (notification, lines) => all.push([notification.type, ...lines]));
    const stream = client.notifications();
    const types = [];
    for (let index = 0; index < 4; index += 1) types.push(((await stream.next()).value as Notification).type);
    expect(types).toEqual(['INFO', 'HOLD', 'PK_SIGN', 'STATE']);
    expect(held).toEqual([0]);
    expect(all).toContainEqual(['PK_SIGN', '>PK_SIGN:AAAA,ECDSA']);
  });

  test('iterating ends when the daemon closes, after what came before', async () => {
    const { client, daemon } = await pair();
    daemon.say('>FATAL:bye\r\n>LOG:1,I,unfini');
    daemon.socket.end();
    await client.closed;
    const types: string[] = [];
    for await (const { type } of client) types.push(type);
    expect(types).toEqual(['INFO', 'FATAL', 'TRUNCATED']);
    expect((await client.closed).by).toBe('daemon');
  });

  test('a slow reader holds the daemon back, but not the reply that it awaits', async () => {
    const { client, daemon } = await pair({ highWaterMark: 10 });
    const stream = client.notifications();
    for (let index = 0; index < 200; index += 1) daemon.say(`>BYTECOUNT:${index},0\r\n`);
    const asked = client.raw('pid');
    await daemon.hear('pid\n');
    daemon.say('SUCCESS: pid=7\r\n');
    expect((await asked).text).toBe('pid=7');
    const seen: number[] = [];
    for await (const notification of stream) {
      if (notification.type === 'BYTECOUNT') seen.push(notification.bytesIn);
      if (seen.length === 200) break;
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => index));
  });

  test('next: the next of a type, given up by signal or with the connection', async () => {
    const { client, daemon } = await pair();
    const next = client.next('HOLD');
    daemon.say('>HOLD:Waiting for hold release:3\r\n');
    expect((await next).waitSeconds).toBe(3);
    await expect(client.next('HOLD', { signal: AbortSignal.abort() })).rejects.toEqual(coded('ERR_ABORTED'));
    await expect(client.next('HOLD', { timeout: 1 })).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
    const never = client.next('HOLD');
    daemon.socket.end();
    await expect(never).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    await expect(client.next('HOLD')).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });

  test('a request that the daemon cut is noticed at once and answered with an empty block', async () => {
    const { client, daemon } = await pair();
    const cut = client.next('TRUNCATED');
    daemon.say('>PK_SIGN:'.padEnd(10_239, 'A'));
    expect((await cut).of).toBe('PK_SIGN');
    const answered = client.pkSig(null);
    await daemon.hear('pk-sig\nEND\n');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    await answered;
  });

  test('a listener that throws is not the connection’s end', async () => {
    const { client, daemon } = await pair();
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    const others = process.rawListeners('uncaughtException').filter((each) => each.name !== 'bound onceWrapper');
    for (const other of others) process.removeListener('uncaughtException', other as () => void);
    const held = client.next('HOLD');
    client.on('HOLD', () => {
      throw new Error('the listener’s own');
    });
    daemon.say('>HOLD:x\r\n');
    await held;
    expect(await thrown).toMatchObject({ message: 'the listener’s own' });
    for (const other of others) process.on('uncaughtException', other as () => void);
  });
});
