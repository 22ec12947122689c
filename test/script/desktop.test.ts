import { describe, expect } from 'vitest';
import { missing } from '../tokens/setup/token-bed.ts';
import { test } from '../support/bench.ts';
import { NotificationService } from '../support/notification-service.ts';

const unavailable = missing([], ['notify-send', 'dbus-daemon']);

describe.skipIf(unavailable !== undefined)('--notify desktop', () => {
  test('shows by notify-send, on the bus of the session, what is wanted of a person', async ({ bench }) => {
    const bus = bench.path('bus');
    const desktop = await NotificationService.start(bus);
    bench.onEnd(() => desktop.stop());
    const key = bench.key('p256', 'SoftHSM').replace('token=pksigd', 'token=%3Cb%3E');
    const management = ['--management', bench.path('m.sock'), 'unix'];
    const args = ['run', ...management, '--key', key, '--wait-for-token', '--notify', 'desktop'];
    const pksigd = await bench.pksigd(args, { env: { DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus}` } });
    await expect
      .poll(() => desktop.shown)
      .toEqual([
        {
          ...{ application: 'pksigd', icon: 'dialog-password', summary: 'Put in the token' },
          body: expect.stringContaining("no token '&lt;b&gt;'"),
        },
      ]);
    expect(await pksigd.stop()).toBe(0);
    expect(pksigd.transcript).not.toContain("'notify'");
  });

  test('says at the start, and once, that there is no bus', async ({ bench }) => {
    const key = bench.key('p256', 'SoftHSM').replace('token=pksigd', 'token=away');
    const management = ['--management', bench.path('m.sock'), 'unix'];
    const args = ['run', ...management, '--key', key, '--wait-for-token', '--notify', 'desktop'];
    const env = { DBUS_SESSION_BUS_ADDRESS: '', XDG_RUNTIME_DIR: bench.folder };
    const pksigd = await bench.pksigd(args, { env });
    await pksigd.logged(/nobody can be told by 'notify'.*libnotify-bin/);
    await pksigd.message('waiting for the token', 2);
    expect(pksigd.transcript.match(/nobody can be told/g)).toHaveLength(1);
    expect(await pksigd.stop()).toBe(0);
  });
});
