import { mkdir } from 'node:fs/promises';
import { expect } from 'vitest';
import { test } from '../support/bench.ts';
import { FakeListener, GREETING } from '../support/fake-daemon.ts';

/** In pksigd's process pauses last for ever, or as good as: what is found is not found by trying again. */
const NO_PAUSE_ENDS = `
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (call, pause, ...more) => setTimeout(call, pause > 20 ? 2 ** 31 - 1 : pause, ...more);
`;

test('a daemon that comes after the agent is connected to at once, each time, and said to be awaited once', async ({
  bench,
}) => {
  const path = bench.path('run/openvpn/management');
  const pksigd = await bench.pksigd(['run', '--management', path, 'unix', '--key', bench.key('p256', 'file')], {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(NO_PAUSE_ENDS)}` },
  });
  await pksigd.message('waiting for the daemon');
  await mkdir(bench.path('run/openvpn'), { recursive: true });
  for (let times = 1; times <= 2; times += 1) {
    const listener = await FakeListener.appear(path);
    (await listener.next()).say(GREETING);
    await pksigd.message('connected to the daemon', times);
    if (times === 1) expect(pksigd.messages('waiting for the daemon')).toHaveLength(1);
    await listener.stop();
    await pksigd.message('disconnected from the daemon', times);
  }
  expect(await pksigd.stop()).toBe(0);
});
