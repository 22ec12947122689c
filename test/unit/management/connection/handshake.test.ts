import { AgentError } from '../../../../src/errors.ts';
import { describe, expect, test } from 'vitest';
import type { Notification } from '../../../../src/management/index.ts';
import { Handshake, type HandshakeCommands } from '../../../../src/management/connection/handshake.ts';
import type { ManagementOptions } from '../../../../src/management/connection/options.ts';
import type { AwaitedReply } from '../../../../src/management/connection/reply-matcher.ts';
import { Secret } from '../../../../src/secret.ts';
import { coded, greeting, setUp, soon } from '../pair.ts';

const { pair } = setUp();

describe('step by step', () => {
  /** A handshake, what it does to its connection, and the replies that it awaits. */
  function begun(options: ManagementOptions): { handshake: Handshake; did: unknown[]; awaited: AwaitedReply[] } {
    const did: unknown[] = [];
    const awaited: AwaitedReply[] = [];
    const commands: HandshakeCommands = {
      write: (bytes, written) => {
        did.push(bytes.toString());
        written?.();
      },
      expect: (reply) => awaited.push(reply),
    };
    const handshake = new Handshake('the daemon', options, commands, { fail: (error) => did.push(error) });
    handshake.begin();
    return { handshake, did, awaited };
  }

  test('without a password: the version at once', async () => {
    const { handshake, did, awaited } = begun({ clientVersion: 3 });
    expect(did).toEqual(['version 3\n']);
    handshake.takeNotification('>HOLD:before the greeting');
    expect(handshake.daemon).toBeUndefined();
    handshake.takeNotification(greeting(5).trim());
    expect(await soon(handshake.greeted())).toBeUndefined();
    expect(handshake.daemon?.management).toBe(5);
    expect([did.length, awaited]).toEqual([1, []]);
  });

  test('its acknowledgement is awaited of a daemon that has one, which may tell what it is', () => {
    const { handshake, awaited } = begun({ clientVersion: 4 });
    expect(awaited).toEqual([]);
    handshake.takeNotification(greeting(6).trim());
    expect(awaited.map(({ says }) => [says.test('Management client version set to 4'), says.test('pid=1')])).toEqual([
      [true, false],
    ]);
    const lines = ['OpenVPN Version: OpenVPN 2.7.6 x86_64'];
    for (const { done } of awaited) done({ text: undefined, lines, raw: lines, error: undefined }, lines);
    expect(handshake.daemon?.release).toBe('2.7.6');
  });

  test('with a password: nothing before the prompt, the version behind it, and one try only', () => {
    const { handshake, did } = begun({ clientVersion: 3, password: new Secret('pw') });
    expect(did).toEqual([]);
    handshake.answerPrompt();
    expect(did).toEqual(['pw\n', 'version 3\n']);
    handshake.takeLine('SUCCESS: password is correct');
    handshake.answerPrompt();
    expect(did[2]).toEqual(coded('ERR_MANAGEMENT_PASSWORD', 'refused'));
  });

  test.each([
    [
      'a prompt without a password',
      (each: Handshake) => {
        each.answerPrompt();
      },
      'ERR_MANAGEMENT_PASSWORD',
      'asks for',
      'none is configured',
    ],
    [
      'a refusal in words',
      (each: Handshake) => {
        each.takeLine('ERROR: bad password');
      },
      'ERR_MANAGEMENT_PASSWORD',
      'refused',
      'first line of the password file',
    ],
    [
      'a refusal in more words',
      (each: Handshake) => {
        each.takeLine('ERROR: bad password, two tries left');
      },
      'ERR_MANAGEMENT_PASSWORD',
      'refused',
      'first line of the password file',
    ],
    [
      'something else',
      (each: Handshake) => {
        each.takeLine('220 smtp');
      },
      'ERR_MANAGEMENT_PROTOCOL',
      "doesn't speak",
      'it said "220 smtp"',
    ],
  ])('%s', (_, happens, code, text, hint) => {
    const { handshake, did } = begun({});
    happens(handshake);
    expect(did).toEqual([coded(code, text)]);
    expect(did).toMatchObject([{ hint: expect.stringContaining(hint) as string }]);
  });

  test('of a long line that no daemon says, the beginning is shown', () => {
    for (const [length, shown] of [
      [60, 'x'.repeat(60)],
      [61, `${'x'.repeat(60)}…`],
    ] as const) {
      const { handshake, did } = begun({});
      handshake.takeLine('x'.repeat(length));
      expect(did).toMatchObject([{ code: 'ERR_MANAGEMENT_PROTOCOL', hint: `it said "${shown}"` }]);
    }
  });

  test('a reply to `version` tells the release, and nothing before the greeting does', () => {
    const { handshake } = begun({});
    const lines = ['OpenVPN Version: OpenVPN 2.6.14 x86_64', 'Management Version: 5'];
    const reply = { text: undefined, lines, raw: lines, error: undefined };
    handshake.takeReply(reply);
    expect(handshake.daemon).toBeUndefined();
    handshake.takeNotification(greeting(5).trim());
    handshake.takeReply(reply);
    expect(handshake.daemon).toEqual({ management: 5, title: 'OpenVPN 2.6.14 x86_64', release: '2.6.14' });
    handshake.announceAs(4);
    expect(handshake.announced).toBe(4);
  });

  test('the password that was written is zeroed, and not before', () => {
    const written: [Buffer, (() => void) | undefined][] = [];
    const commands: HandshakeCommands = {
      write: (bytes, done) => written.push([bytes, done]),
      expect: () => undefined,
    };
    const password = new Secret('pw');
    const handshake = new Handshake('the daemon', { password }, commands, { fail: () => undefined });
    handshake.begin();
    handshake.answerPrompt();
    const [[bytes, done] = []] = written;
    expect(String(bytes)).toBe('pw\n');
    done?.();
    expect(bytes).toEqual(Buffer.alloc(3));
    // the caller's own is left to the caller
    expect(String(password.bytes)).toBe('pw');
  });

  test('what says nothing ends nothing, and of a release only OpenVPN’s own title tells', () => {
    const { handshake, did } = begun({});
    for (const line of ['', 'SUCCESS: password is correct']) handshake.takeLine(line);
    expect(did).toEqual([]);
    handshake.takeNotification(greeting(12).trim());
    expect(handshake.daemon?.management).toBe(12);
    for (const [line, title, release] of [
      ['OpenVPN Version: OpenVPN git:master/0123 x86_64', 'OpenVPN git:master/0123 x86_64', undefined],
      ['OpenVPN Version: my OpenVPN 2.6.14', 'my OpenVPN 2.6.14', undefined],
      ['OpenVPN Version: OpenVPN 2.7_rc1 x86_64', 'OpenVPN 2.7_rc1 x86_64', '2.7_rc1'],
      ['the OpenVPN Version: OpenVPN 2.5.0', 'OpenVPN 2.7_rc1 x86_64', '2.7_rc1'],
    ]) {
      handshake.takeReply({ text: undefined, lines: [line ?? ''], raw: [], error: undefined });
      expect(handshake.daemon).toEqual({ management: 12, title, release });
    }
    handshake.takeReply({ text: 'pid=1', lines: [], raw: [], error: undefined });
    expect(handshake.daemon?.release).toBe('2.7_rc1');
  });

  test('all who wait for the greeting are told, and who asks later', async () => {
    const { handshake } = begun({});
    const both = [handshake.greeted(), handshake.greeted()];
    handshake.takeNotification(`x${greeting(5).trim()}`);
    expect(handshake.daemon).toBeUndefined();
    handshake.takeNotification(greeting(5).trim());
    expect(await soon(Promise.all(both))).toEqual([undefined, undefined]);
    handshake.end(new AgentError('ERR_MANAGEMENT_CLOSED', 'closed'));
    expect(await soon(handshake.greeted())).toBeUndefined();
    const failed = begun({}).handshake;
    const waiting = [failed.greeted(), failed.greeted()];
    failed.end(new AgentError('ERR_MANAGEMENT_CLOSED', 'closed'));
    for (const each of [...waiting, failed.greeted()]) {
      await expect(soon(each)).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    }
  });

  test('the connection’s end before the greeting', async () => {
    const { handshake } = begun({});
    handshake.end(new AgentError('ERR_MANAGEMENT_CLOSED', 'closed'));
    await expect(soon(handshake.greeted())).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
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
