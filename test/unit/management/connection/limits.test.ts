import { describe, expect, test } from 'vitest';
import { coded, setUp } from '../pair.ts';

const { pair } = setUp();

const MEBIBYTE = 1024 * 1024;
/** Far more lines than fit, for a reader that only counts their characters. */
const EMPTY_LINES = '\r\n'.repeat(MEBIBYTE);

describe('what a daemon sends is counted as it is held', () => {
  test.each([
    ['a line', 'pid', ''],
    ['a block', 'status', 'TITLE\r\n'],
    ['a verdict', 'push-update-broad x', ''],
    ['lines', 'test 2000000', ''],
  ])('empty lines in a reply that never ends end the connection: %s', async (_, command, begin) => {
    const { client, daemon } = await pair({ maxHeld: MEBIBYTE });
    const asked = client.raw(command, { timeout: 0 });
    await daemon.hear('\n');
    daemon.say(begin + EMPTY_LINES);
    await expect(asked).rejects.toEqual(coded('ERR_MANAGEMENT_LIMIT', 'a reply takes more than'));
    expect((await client.closed).by).toBe('error');
  });

  test('notifications that nobody reads while a reply is awaited', async () => {
    const { client, daemon } = await pair({ maxHeld: MEBIBYTE });
    const stream = client.notifications();
    const asked = client.raw('pid', { timeout: 0 });
    await daemon.hear('pid\n');
    daemon.say('>\r\n'.repeat(MEBIBYTE / 64));
    await expect(asked).rejects.toEqual(coded('ERR_MANAGEMENT_LIMIT', 'wait for their reader'));
    await stream.return?.();
  });

  test('notifications that nobody reads hold the daemon back by their bytes too', async () => {
    const { client, daemon } = await pair({ maxHeld: MEBIBYTE });
    const stream = client.notifications();
    const sent = 2000;
    for (let index = 0; index < sent; index += 1) daemon.say(`>ECHO:${index},${'x'.repeat(5000)}\r\n`);
    let seen = 0;
    for await (const { type } of stream) {
      if (type === 'ECHO') seen += 1;
      if (seen === sent) break;
    }
    expect(client.daemonVersion.management).toBe(5);
  });
});

describe('what a daemon does not take', () => {
  test('commands that it never answers end the connection', async () => {
    const { client, daemon } = await pair();
    const given = Array.from({ length: 1100 }, () => AbortSignal.timeout(0));
    const outcomes = given.map((signal) => client.raw('pid', { signal }).catch((error: unknown) => error));
    await daemon.gone();
    expect((await client.closed).error).toEqual(coded('ERR_MANAGEMENT_LIMIT', 'does not take or answer'));
    await Promise.all(outcomes);
  });

  test('answers that it does not read end the connection, and are not held', async () => {
    const { client, daemon } = await pair();
    daemon.socket.pause();
    const signature = Buffer.alloc(5000);
    let answers = 0;
    const end = { over: false };
    void client.closed.then(() => (end.over = true));
    while (!end.over && answers < 100_000) {
      answers += 200;
      const some = Array.from({ length: 200 }, () => client.pkSig(signature, { timeout: 1 }));
      await Promise.allSettled(some);
    }
    expect((await client.closed).error).toEqual(coded('ERR_MANAGEMENT_LIMIT'));
    expect(answers).toBeLessThan(100_000);
  });
});
