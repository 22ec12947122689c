import { describe, expect, test } from 'vitest';
import type { ManagementConnection } from '../../../../src/management/connection/connection.ts';
import type { Notification } from '../../../../src/management/index.ts';
import { heldNotification } from '../../../../src/management/wire/held-bytes.ts';
import { Secret } from '../../../../src/secret.ts';
import { coded, greeting, setUp, soon } from '../pair.ts';
import { connected } from './connected.ts';

const { pair } = setUp();

const NOTE = '>BYTECOUNT:1,2\r\n';
const typesOf = (connection: ManagementConnection): string[] => {
  const types: string[] = [];
  connection.on('*', ({ type }) => types.push(type));
  return types;
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a daemon whose notifications nobody reads', () => {
  test('is held back beyond so many, and heard again when they are read', async () => {
    const { connection, socket, say } = connected({ highWaterMark: 2 });
    const stream = connection.notifications();
    await turn();
    say(NOTE);
    expect(socket.isPaused()).toBe(false);
    say(NOTE);
    expect(socket.isPaused()).toBe(true);
    await stream.next();
    expect(socket.isPaused()).toBe(false);
  });

  test('is held back beyond an eighth of the bytes that may wait', async () => {
    const line = `>ECHO:1,${'x'.repeat(4_000)}`;
    const { connection, socket, say } = connected({ maxHeld: 8 * heldNotification([line]) });
    const stream = connection.notifications();
    await soon(stream.next());
    say(`${line}\r\n`);
    expect(socket.isPaused()).toBe(false);
    say(`${line}\r\n`);
    expect(socket.isPaused()).toBe(true);
    await stream.next();
    expect(socket.isPaused()).toBe(false);
  });

  test('is heard while a reply is awaited, which may stand behind them', async () => {
    const { connection, socket, written, say } = connected({ highWaterMark: 1 });
    connection.notifications();
    await turn();
    say(NOTE);
    expect(socket.isPaused()).toBe(true);
    const asked = connection.exchange('pid');
    expect(String(written)).toBe('pid\n');
    expect(socket.isPaused()).toBe(false);
    say(NOTE);
    expect(socket.isPaused()).toBe(false);
    say('SUCCESS: pid=1\r\n');
    expect((await asked).text).toBe('pid=1');
    expect(socket.isPaused()).toBe(true);
  });

  test('is heard until it has greeted us', () => {
    const { socket, say } = connected({ highWaterMark: 0 }, '');
    say(NOTE + NOTE);
    expect(socket.isPaused()).toBe(false);
    say(greeting(5));
    expect(socket.isPaused()).toBe(true);
  });

  test('is given up beyond the bytes that may wait, and not before', async () => {
    const { connection, socket, say } = connected({ maxHeld: 9 * heldNotification([NOTE.trim()]) });
    const stream = connection.notifications();
    await soon(stream.next());
    say(NOTE.repeat(9));
    expect(socket.destroyed).toBe(false);
    say(NOTE);
    expect(socket.destroyed).toBe(true);
  });

  test.each([
    ['so many', { maxQueued: 2 }, [NOTE], [NOTE]],
    [
      'so many bytes',
      { maxHeld: 4_000, highWaterMark: 9 },
      [`>ECHO:1,${'x'.repeat(1_000)}\r\n`],
      [NOTE, NOTE, NOTE, NOTE],
    ],
  ])('is given up beyond %s', async (_, options, some, more) => {
    const { connection, socket, say } = connected(options);
    const stream = connection.notifications();
    for (const each of some) say(each);
    await turn();
    expect(socket.destroyed).toBe(false);
    for (const each of more) say(each);
    expect(await connection.closed).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_LIMIT') });
    const read = async (): Promise<void> => {
      for (;;) if ((await stream.next()).done === true) return;
    };
    await expect(read()).rejects.toEqual(coded('ERR_MANAGEMENT_LIMIT'));
  });
});

describe('before the greeting', () => {
  test('a daemon that takes nothing does not get the version behind the password, either', async () => {
    const { connection, socket, written, say } = connected({ password: new Secret('pw'), clientVersion: 3 }, '');
    Object.defineProperty(socket, 'writableLength', { value: 1024 * 1024 + 1 });
    say('ENTER PASSWORD:');
    expect(written).toEqual([]);
    expect(await connection.closed).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_LIMIT') });
  });

  test('what is said counts for nothing, but notifications are kept', async () => {
    const { connection, say } = connected({}, '');
    expect(connection.daemonVersion).toEqual({ management: 0, title: undefined, release: undefined });
    say(`>HOLD:Waiting for hold release:0\r\n${greeting(12)}`);
    await connection.greeted();
    expect(connection.daemonVersion.management).toBe(12);
    const types = typesOf(connection);
    await turn();
    expect(types).toEqual(['HOLD', 'INFO']);
  });

  test('so many bytes are no daemon’s', async () => {
    const { connection, socket, say } = connected({}, '');
    const read = (bytesRead: number): void => {
      Object.defineProperty(socket, 'bytesRead', { value: bytesRead, configurable: true });
      say('\r\n');
    };
    read(65_536);
    expect(socket.destroyed).toBe(false);
    read(65_537);
    expect(await connection.closed).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_PROTOCOL') });
    const greeted = connected();
    Object.defineProperty(greeted.socket, 'bytesRead', { value: 1_000_000 });
    greeted.say(NOTE);
    expect(greeted.socket.destroyed).toBe(false);
  });

  test('whoever is no daemon is not listened to any more', async () => {
    const { connection, say } = connected({}, '');
    const types = typesOf(connection);
    say(`220 smtp\r\n${greeting(5)}${NOTE}`);
    await expect(connection.greeted()).rejects.toEqual(coded('ERR_MANAGEMENT_PROTOCOL'));
    expect(connection.daemonVersion.management).toBe(0);
    await turn();
    expect(types).toEqual([]);
  });

  test('the end of a half line is told to nobody', async () => {
    const { connection, socket, say } = connected({}, '');
    say('>INFO:OpenVPN');
    socket.destroy();
    const types = typesOf(connection);
    expect(await connection.closed).toEqual({ by: 'daemon', error: undefined });
    await turn();
    expect(types).toEqual([]);
  });
});

describe('a line that the daemon cut', () => {
  test.each([
    ['2.5', 3, 8_191],
    ['2.6', 5, 10_239],
    ['what may come', 4, 10_239],
  ])('is known by its length: %s', async (_, version, length) => {
    const { connection, say } = connected({}, greeting(version));
    const types = typesOf(connection);
    await turn();
    say('>PK_SIGN:'.padEnd(length - 1, 'A'));
    expect(types).toEqual(['INFO']);
    say('A');
    expect(types).toEqual(['INFO', 'TRUNCATED']);
  });

  test('and what the end of the connection cut is told as that', async () => {
    for (const [line, expected] of [
      ['>PK_SIGN:QUJD', { type: 'TRUNCATED', of: 'PK_SIGN', line: 'PK_SIGN:QUJD' }],
      ['SUCCESS: pid=1', { type: 'STRAY', line: 'SUCCESS: pid=1' }],
      ['>CLIENT:CONNECT,0,0\r\n>CLIENT:ENV,a=b\r\n', { type: 'TRUNCATED', of: 'CLIENT', line: 'CLIENT:CONNECT,0,0' }],
    ] as const) {
      const { connection, socket, say } = connected();
      const heard: Notification[] = [];
      connection.on('*', (notification) => heard.push(notification));
      say(line);
      socket.destroy();
      await connection.closed;
      await turn();
      expect(heard.slice(1)).toEqual([expected]);
    }
  });

  test('a line that nobody asked for is told as it came', async () => {
    const { connection, say } = connected();
    const heard: unknown[] = [];
    connection.on('STRAY', ({ line }, lines, bytes) => heard.push(line, lines, bytes));
    say('na\xc3\xafve\r\n');
    await turn();
    expect(heard).toEqual(['naïve', ['naïve'], ['na\xc3\xafve']]);
  });
});

describe('what a daemon does not take', () => {
  test('ends the connection where more waits than may, and no secret is left of it', async () => {
    const { connection, socket, written } = connected();
    const wait = (bytes: number): void => {
      Object.defineProperty(socket, 'writableLength', { value: bytes, configurable: true });
    };
    const submit = (bytes: Buffer): Promise<unknown> =>
      connection
        .submit({ name: 'password', bytes, secret: true, shape: { parts: [] }, says: /^/ })
        .catch((error: unknown) => error);
    wait(1024 * 1024);
    await submit(Buffer.from('one'));
    expect(written).toHaveLength(1);
    wait(1024 * 1024 + 1);
    const secret = Buffer.from('secret');
    await submit(secret);
    expect(written).toHaveLength(1);
    expect(secret.every((byte) => byte === 0)).toBe(true);
    expect(await connection.closed).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_LIMIT') });
  });

  test('nor answers: so many replies may be due', async () => {
    const { connection, socket, written } = connected();
    const ask = (): void => {
      const giveUp = new AbortController();
      connection.exchange('pid', { signal: giveUp.signal }).catch(() => undefined);
      giveUp.abort();
    };
    for (let due = 0; due <= 1_024; due += 1) {
      ask();
      await Promise.resolve();
    }
    expect([written.length, socket.destroyed]).toEqual([1_025, false]);
    ask();
    expect(await connection.closed).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_LIMIT') });
    expect(written).toHaveLength(1_025);
  });
});

describe('a command', () => {
  test('has as long as the client was told, where it names no time of its own', async () => {
    const { client } = await pair({ commandTimeout: 1 });
    await expect(client.exchange('pid')).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
    await expect(client.exchange('pid')).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
  });

  test('that announces a version is remembered, one that asks for it is not', async () => {
    const { connection, say } = connected();
    await connection.exchange('version 3');
    expect(connection.announcedVersion).toBe(3);
    const asked = connection.exchange('version');
    say('OpenVPN Version: OpenVPN 2.6.14 x\r\nManagement Version: 5\r\nEND\r\n');
    await asked;
    expect(connection.announcedVersion).toBe(3);
    const told = { management: 5, title: 'OpenVPN 2.6.14 x', release: '2.6.14' };
    expect(connection.daemonVersion).toEqual(told);
    // a daemon greets once
    say(greeting(6));
    expect(connection.daemonVersion).toEqual(told);
    const other = connection.exchange('echo 5');
    say('END\r\n');
    await other;
    expect(connection.announcedVersion).toBe(3);
  });

  test('that can not be read as words is named by its line', async () => {
    const giveUp = new AbortController();
    const asked = connected().connection.exchange('pid "open', { signal: giveUp.signal });
    giveUp.abort();
    await expect(soon(asked)).rejects.toEqual(coded('ERR_ABORTED', 'the pid "open command'));
  });

  test('whose reply takes more memory than it may ends the connection', async () => {
    const { connection, say } = connected({ maxHeld: 4_000 });
    const asked = connection.exchange('status');
    say(`TITLE\r\n${'x'.repeat(4_000)}\r\n`);
    await expect(soon(asked)).rejects.toEqual(coded('ERR_MANAGEMENT_LIMIT'));
    expect(await soon(connection.closed)).toEqual({ by: 'error', error: coded('ERR_MANAGEMENT_LIMIT') });
  });

  test('whose reply is passed on by faulty code is no fault of the daemon', () => {
    const { connection, socket, say } = connected();
    const onReply = (): void => {
      throw new TypeError('a fault of ours');
    };
    void connection.exchange('pid', { onReply });
    expect(() => {
      say('SUCCESS: pid=1\r\n');
    }).toThrow('a fault of ours');
    expect(socket.destroyed).toBe(false);
  });

  test('with a block has a shorter line', async () => {
    const { connection, written } = connected();
    const line = `client-auth 0 0 ${'x'.repeat(753)}`;
    await expect(connection.exchange(line, { body: [] })).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT'));
    expect(written).toEqual([]);
    void connection.exchange(line).catch(() => undefined);
    expect(String(written[0])).toBe(`${line}\n`);
  });

  test('and its block go out in the bytes that were asked for', () => {
    const { connection, written } = connected();
    const options = { body: ['x\xff'], encoding: 'latin1' } as const;
    void connection.exchange('client-auth 0 0', options).catch(() => undefined);
    expect(written[0]?.toString('latin1')).toBe('client-auth 0 0\nx\xff\nEND\n');
  });

  test('whose block is refused has each line of that answered, whatever bytes it has', async () => {
    const { connection, say } = connected();
    const types = typesOf(connection);
    const body = ['\xc3\xa4 x'];
    const refused = connection.exchange('client-auth 0 0', { body, encoding: 'latin1' });
    say('ERROR: cannot parse CID\r\n');
    expect((await refused).error).toBe('cannot parse CID');
    say('ERROR: unknown command [\xc3\xa4], enter\r\nERROR: unknown command [END], enter\r\n');
    await turn();
    expect(types).toEqual(['INFO']);
  });
});
