import { describe, expect, test } from 'vitest';
import type { Notification } from '../../../../src/management/index.ts';
import { coded, greeting, setUp } from '../pair.ts';

const { pair } = setUp();

describe('commands', () => {
  test('one at a time, each with its reply, notifications in between', async () => {
    const { client, daemon } = await pair();
    const [release, pid, status] = [client.holdRelease(), client.raw('pid'), client.raw('status 2')];
    expect(await daemon.hear('\n')).toBe('hold release\n');
    expect(daemon.received).toBe('');
    daemon.say('>LOG:1,D,MANAGEMENT: CMD\r\nSUCCESS: hold release succeeded\r\n');
    await release;
    await daemon.hear('pid\n');
    daemon.say('SUCCESS: pid=42\r\n');
    expect(await pid).toEqual({ text: 'pid=42', lines: [], raw: ['SUCCESS: pid=42'], error: undefined });
    await daemon.hear('status 2\n');
    daemon.say('TITLE,x\r\n>STATE:1,WAIT,,,,,,\r\nTIME,y\r\nEND\r\n');
    expect((await status).lines).toEqual(['TITLE,x', 'TIME,y']);
  });

  test('an error is the daemon’s words', async () => {
    const { client, daemon } = await pair();
    const refused = client.raw('kill nobody');
    await daemon.hear('\n');
    daemon.say("ERROR: common name 'nobody' not found\r\n");
    await expect(refused).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', "common name 'nobody' not found"));
  });

  test('a signature goes ahead of what is queued, in one write', async () => {
    const { client, daemon } = await pair();
    const status = client.raw('status');
    const pid = client.raw('pid');
    await daemon.hear('status\n');
    const signed = client.pkSig(Buffer.alloc(256, 1));
    const block = await daemon.hear('END\n');
    expect(block.split('\n').map((each) => each.length)).toEqual([6, 64, 64, 64, 64, 64, 24, 3, 0]);
    expect(daemon.chunks).toContain(block);
    expect(Buffer.from(block.split('\n').slice(1, -2).join(''), 'base64')).toEqual(Buffer.alloc(256, 1));
    daemon.say('OpenVPN STATISTICS\r\nEND\r\n');
    await status;
    await daemon.hear('pid\n');
    // commands behind END were answered before the block was acknowledged
    daemon.say('SUCCESS: pid=1\r\nSUCCESS: pk-sign command succeeded\r\n');
    expect((await pid).text).toBe('pid=1');
    await signed;
  });

  test.each([
    ['pkSig', 'pk-sign'],
    ['pkSig', 'rsa-sign'],
    ['rsaSig', 'rsa-sign'],
    ['rsaSig', 'rsa-sig'],
  ] as const)('%s, acknowledged as %s', async (method, word) => {
    const { client, daemon } = await pair();
    const signed = client[method](Buffer.alloc(8));
    await daemon.hear('END\n');
    daemon.say(`SUCCESS: ${word} command succeeded\r\n`);
    await signed;
  });

  test.each([
    [
      '2.6 names the commands',
      5,
      (word: string) => `ERROR: unknown command [${word}], enter 'help' for more options\r\n`,
    ],
    ['2.5 does not', 3, () => "ERROR: unknown command, enter 'help' for more options\r\n"],
  ])('a signature that nobody asked for: its lines are taken for commands; %s', async (_, version, unknown) => {
    const { client, daemon } = await pair({}, greeting(version));
    const stray: Notification[] = [];
    client.on('STRAY', (notification) => stray.push(notification));
    const signature = Buffer.alloc(96, 7);
    const signed = client.pkSig(signature);
    const pid = client.raw('pid');
    const words = (await daemon.hear('pid\n')).split('\n').slice(1, -2);
    daemon.say(
      `ERROR: The pk-sig command is not currently available\r\n${words.map(unknown).join('')}SUCCESS: pid=3\r\n`,
    );
    await expect(signed).rejects.toEqual(coded('ERR_MANAGEMENT_COMMAND', 'not currently available'));
    expect((await pid).text).toBe('pid=3');
    expect(stray).toEqual([]);
  });

  test('nothing follows a line that all but fills the daemon’s buffer, until it was answered', async () => {
    const { client, daemon } = await pair();
    const line = `echo ${'x'.repeat(900)}`;
    const long = client.raw(line, { shape: { parts: [{ kind: 'line' }] } });
    const signed = client.pkSig(null);
    expect(await daemon.hear('\n')).toBe(`${line}\n`);
    expect(daemon.received).toBe('');
    daemon.say('SUCCESS: ok\r\n');
    await long;
    expect(await daemon.hear('END\n')).toBe('pk-sig\nEND\n');
    daemon.say('SUCCESS: pk-sign command succeeded\r\n');
    await signed;
  });

  test.each([
    ['a line end', 'pid\nsignal SIGTERM', undefined],
    ['NUL', 'pid\0', undefined],
    ['too long a line', 'x'.repeat(1024), undefined],
    ['a line END in a block', 'client-auth 0 0', ['push "route 10.0.0.0 255.0.0.0"', 'END', 'signal SIGTERM']],
    ['a line end in a block', 'client-auth 0 0', ['a\nEND']],
  ])('refused before it is sent: %s', async (_, line, body) => {
    const { client, daemon } = await pair();
    await expect(client.raw(line, body === undefined ? {} : { body })).rejects.toEqual(
      coded('ERR_MANAGEMENT_ARGUMENT'),
    );
    expect(daemon.chunks).toEqual([]);
  });

  test('given up while queued: never sent; while awaited: its reply is nobody else’s', async () => {
    const { client, daemon } = await pair();
    const stop = new AbortController();
    const first = client.raw('pid', { signal: stop.signal });
    const second = client.raw('verb 4', { signal: stop.signal });
    await daemon.hear('pid\n');
    stop.abort();
    await expect(first).rejects.toEqual(coded('ERR_ABORTED'));
    await expect(second).rejects.toEqual(coded('ERR_ABORTED'));
    const third = client.raw('hold');
    expect(await daemon.hear('\n')).toBe('hold\n');
    daemon.say('SUCCESS: pid=9\r\nSUCCESS: hold=1\r\n');
    expect((await third).text).toBe('hold=1');
    // and one that never answers doesn't take the next one's reply
    await expect(client.raw('pid', { timeout: 1 })).rejects.toEqual(coded('ERR_MANAGEMENT_TIMEOUT'));
    const fourth = client.raw('mute');
    await daemon.hear('mute\n');
    daemon.say('SUCCESS: mute=0\r\n');
    expect((await fourth).text).toBe('mute=0');
  });

  test('given up in the turn in which its reply came: that is whole', async () => {
    const { client, daemon } = await pair();
    const stop = new AbortController();
    const asked = client.exchange('status', {
      signal: stop.signal,
      onReply: () => {
        queueMicrotask(() => {
          stop.abort();
        });
      },
    });
    await daemon.hear('status\n');
    daemon.say('OpenVPN STATISTICS\r\nEND\r\n');
    expect((await asked).raw).toEqual(['OpenVPN STATISTICS', 'END']);
  });

  test('replies in two parts, without any, of counted lines, in a notification’s form', async () => {
    const { client, daemon } = await pair();
    const log = client.raw('log on all');
    await daemon.hear('\n');
    daemon.say('SUCCESS: real-time log notification set to ON\r\n1,I,a\r\n>LOG:2,I,b\r\n2,D,b\r\nEND\r\n');
    expect(await log).toMatchObject({ text: 'real-time log notification set to ON', lines: ['1,I,a', '2,D,b'] });
    const wrong = client.exchange('log wrong all');
    await daemon.hear('\n');
    daemon.say("ERROR: log parameter must be 'on' or 'off' or some number n or 'all'\r\n1,I,a\r\nEND\r\n");
    expect(await wrong).toMatchObject({ error: expect.stringContaining('must be') as string, lines: ['1,I,a'] });
    expect((await client.raw('version 3')).raw).toEqual([]);
    const lines = client.raw('test 2');
    await daemon.hear('test 2\n');
    daemon.say('[0] x\r\n[1] x\r\n');
    expect((await lines).lines).toEqual(['[0] x', '[1] x']);
    const count = client.raw('pkcs11-id-count');
    await daemon.hear('\n');
    daemon.say('>PKCS11ID-COUNT:5\r\n');
    expect((await count).raw).toEqual(['>PKCS11ID-COUNT:5']);
  });

  test('the connection’s end fails what waits, and exit waits for it', async () => {
    const { client, daemon } = await pair();
    const exit = client.raw('exit');
    const behind = client.raw('pid');
    await daemon.hear('exit\n');
    daemon.socket.end();
    await exit;
    await expect(behind).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    await expect(client.pkSig(null)).rejects.toEqual(coded('ERR_MANAGEMENT_CLOSED'));
  });

  test('close lets go out what was written', async () => {
    const { client, daemon } = await pair();
    const signed = client.pkSig(Buffer.alloc(64)).catch((error: unknown) => error);
    await client.close();
    await client.close();
    expect(await daemon.hear('END\n')).toMatch(/^pk-sig\n/);
    expect(await signed).toEqual(coded('ERR_MANAGEMENT_CLOSED'));
    expect(await client.closed).toEqual({ by: 'client', error: undefined });
  });
});
