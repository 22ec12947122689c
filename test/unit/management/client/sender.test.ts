import { expect, test } from 'vitest';
import { coded, setUp } from '../pair.ts';

const { pair } = setUp();

test('arguments that no daemon would read', async () => {
  const { client, daemon } = await pair();
  const refused = coded('ERR_MANAGEMENT_ARGUMENT');
  for (const call of [
    client.password('Auth', 'a\nb'),
    client.username('Auth', 'x'.repeat(257)),
    client.bytecount(-1),
    client.bytecount(1.5),
    client.logHistory(0),
    client.clientAuth(0, 0, ['END']),
    client.clientDeny(0, 0, 'a\0b'),
  ]) {
    await expect(call).rejects.toEqual(refused);
  }
  expect(daemon.chunks).toEqual([]);
});

test('numbers go up to the greatest that the daemon reads', async () => {
  const { client, daemon } = await pair();
  for (const seconds of [0, 0x7f_ff_ff_ff]) {
    const called = client.bytecount(seconds);
    expect(await daemon.hear('\n')).toBe(`bytecount ${seconds}\n`);
    daemon.say('SUCCESS: bytecount interval changed\r\n');
    await called;
  }
  await expect(client.bytecount(0x80_00_00_00)).rejects.toEqual(coded('ERR_MANAGEMENT_ARGUMENT'));
});
