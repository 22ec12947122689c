import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { openScSetup, ykcs11Setup, type PivBed } from './setup/piv.ts';
import { TokenTunnel } from './support/tunnel.ts';

describe.each([openScSetup, ykcs11Setup])('a tunnel whose key is on a card, by $name', (setup) => {
  let bed: PivBed;
  beforeAll(async () => {
    if (setup.unavailable() === undefined) bed = await setup.start();
  });
  afterAll(async () => {
    if (setup.unavailable() === undefined) await bed.stop();
  });
  beforeEach(({ skip }) => {
    const reason = setup.unavailable();
    skip(reason !== undefined, reason);
    onTestFailed(() => {
      console.error(bed.bench.transcript);
    });
  });
  beforeEach(async () => {
    if (bed.pcscd.ended) await bed.startPcscd();
    if (bed.card.ended) await bed.insert();
  });

  test('pulled and put back between handshakes: held meanwhile, then up again', async () => {
    await using tunnel = await TokenTunnel.start(bed, bed.slot('9a'));
    for (let round = 1; round <= 2; round++) {
      await tunnel.client.connected(round);
      await bed.remove();
      await tunnel.pksigd.message('the token is away', round);
      tunnel.restart();
      await tunnel.pksigd.message('the daemon is held', round + 1);
      await bed.insert();
      expect(tunnel.pksigd.messages('hold released')).toHaveLength(round);
      await tunnel.pksigd.message('the token is back', round);
    }
    await tunnel.client.connected(3);
    expect(tunnel.pksigd.messages('failed')).toEqual([]);
  });

  test('pulled in the middle of a handshake: up again when it is back', async () => {
    await using tunnel = await TokenTunnel.start(bed, bed.slot('9a'));
    await tunnel.client.connected();
    const { card } = bed;
    card.kill('SIGUSR2'); // goes away with the next signature
    tunnel.restart();
    await card.exited;
    await bed.remove(); // the reader notices
    await bed.insert();
    await tunnel.client.connected(2);
  });

  test('pcscd killed and started again: up again', async () => {
    await using tunnel = await TokenTunnel.start(bed, bed.slot('9a'));
    await tunnel.client.connected();
    bed.pcscd.kill('SIGKILL');
    await Promise.all([bed.pcscd.exited, bed.card.exited]);
    tunnel.restart();
    await tunnel.pksigd.message('the token is away');
    await bed.startPcscd();
    await bed.insert();
    await tunnel.client.connected(2);
  });

  test.each([
    ['restart', /SIGUSR1\[hard,\] received|SIGUSR1\[hard/],
    ['disconnect', /SIGTERM\[hard/],
  ] as const)('--on-token-removal %s: the daemon gets its signal', async (action, signal) => {
    await using tunnel = await TokenTunnel.start(bed, bed.slot('9a'), { args: ['--on-token-removal', action] });
    await tunnel.client.connected();
    await bed.remove();
    await tunnel.client.logged(signal);
    await bed.insert();
    if (action === 'restart') await tunnel.client.connected(2);
    else await tunnel.client.exited;
  });

  test('--wait-for-token: a card that comes later', async () => {
    await bed.remove();
    await using tunnel = await TokenTunnel.start(bed, bed.slot('9a'), { args: ['--wait-for-token'] });
    await tunnel.pksigd.message('waiting for the token');
    await tunnel.client.logged(/Need hold release/);
    await bed.insert();
    await tunnel.client.connected();
  });

  test('ten starts with a wrong PIN before a daemon that waits: one try', async () => {
    const before = await bed.tries();
    const pin = await bed.bench.write('wrong.pin', '999999\n');
    const key = `pkcs11:${bed.slot('9a').uri}?module-path=${bed.modulePath}&pin-source=file:${pin}`;
    for (let start = 0; start < 10; start++) {
      const args = ['--management', bed.bench.path('nobody'), 'unix', '--management-client'];
      const pksigd = TokenTunnel.pksigd(bed, args, [key]);
      expect(await pksigd.exited).toBe(4);
    }
    expect(await bed.tries()).toBe(before - 1);
    // the right one still opens the tunnel, and gives the tries back
    await using tunnel = await TokenTunnel.start(bed, bed.slot('9a'));
    await tunnel.client.connected();
    expect(await bed.tries()).toBe(before);
  });
});
