import { describe, expect, test } from 'vitest';
import { openScSetup, ykcs11Setup, type PivBed } from './setup/piv.ts';
import { run } from './setup/token-bed.ts';
import { withBed } from './support/beds.ts';
import { QUICK, TokenTunnel, type TunnelOptions } from './support/tunnel.ts';

const AWAY = 'the token is away';
const BACK = 'the token is back';
const RELEASED = 'hold released';
/** How often a card is pulled. */
const PULLS = Number(process.env['CARD_PULLS'] ?? 2);

const start = (bed: PivBed, options: TunnelOptions): Promise<TokenTunnel> =>
  TokenTunnel.start(bed, bed.slot('9a'), options);

for (const setup of [openScSetup, ykcs11Setup]) {
  const cardTest = (title: string, use: (bed: PivBed) => Promise<void>): void => {
    test.skipIf(setup.unavailable() !== undefined)(title, { timeout: 900_000 }, () => withBed(setup, use));
  };

  describe.concurrent(`a tunnel whose key is on a card, by ${setup.name}`, () => {
    cardTest('pulled and put back between handshakes: held meanwhile, then up again', async (bed) => {
      await using tunnel = await start(bed, QUICK);
      await tunnel.client.connected();
      for (let pull = 1; pull <= PULLS; pull++) {
        await bed.remove();
        await tunnel.pksigd.message(AWAY, pull);
        tunnel.restart();
        await tunnel.pksigd.message('the daemon is held', pull + 1);
        await bed.insert();
        await tunnel.client.connected(pull + 1);
      }
      const pulls = Array.from({ length: PULLS }, () => [AWAY, BACK, RELEASED]);
      expect(tunnel.said(AWAY, BACK, RELEASED)).toEqual([RELEASED, ...pulls.flat()]);
      expect(tunnel.pksigd.messages('failed')).toEqual([]);
      expect(tunnel.lost).toBe(0);
    });

    cardTest('pulled in the middle of a handshake: up again when it is back', async (bed) => {
      await using tunnel = await start(bed, {});
      await tunnel.client.connected();
      for (let pull = 1; pull <= PULLS; pull++) {
        const { card } = bed;
        card.kill('SIGUSR2'); // goes away with the next signature
        tunnel.restart();
        await card.exited;
        await bed.remove(); // the reader notices
        await tunnel.pksigd.message(AWAY, pull);
        await bed.insert();
        await tunnel.client.connected(pull + 1);
      }
      expect(tunnel.said(AWAY, BACK)).toEqual(Array.from({ length: PULLS }, () => [AWAY, BACK]).flat());
    });

    cardTest('pcscd killed and started again: up again', async (bed) => {
      await using tunnel = await start(bed, QUICK);
      await tunnel.client.connected();
      bed.pcscd.kill('SIGKILL');
      await Promise.all([bed.pcscd.exited, bed.card.exited]);
      await tunnel.pksigd.message(AWAY);
      tunnel.restart();
      await tunnel.pksigd.message('the daemon is held', 2);
      await bed.startPcscd();
      await bed.insert();
      await tunnel.client.connected(2);
      expect(tunnel.said(AWAY, BACK)).toEqual([AWAY, BACK]);
    });

    cardTest('--on-token-removal restart: SIGUSR1, and held until the card is back', async (bed) => {
      await using tunnel = await start(bed, { ...QUICK, args: ['--on-token-removal', 'restart'] });
      await tunnel.client.connected();
      await bed.remove();
      await tunnel.client.logged(/SIGUSR1\[hard,.*\] received/);
      await tunnel.pksigd.message('the daemon is held', 2);
      await bed.insert();
      await tunnel.client.connected(2);
      expect(tunnel.said(AWAY, BACK, RELEASED)).toEqual([RELEASED, AWAY, BACK, RELEASED]);
    });

    cardTest('--on-token-removal disconnect: SIGTERM, and pksigd runs on', async (bed) => {
      await using tunnel = await start(bed, { ...QUICK, args: ['--on-token-removal', 'disconnect'] });
      await tunnel.client.connected();
      await bed.remove();
      expect(await tunnel.client.exited).toBe(0);
      expect(tunnel.client.count(/SIGTERM\[hard,.*\] received/)).toBe(1);
      expect(tunnel.pksigd.ended).toBe(false);
    });

    cardTest('--wait-for-token: a card that comes later', async (bed) => {
      await bed.remove();
      await using tunnel = await start(bed, { ...QUICK, args: ['--wait-for-token'] });
      await tunnel.pksigd.message('waiting for the token');
      await tunnel.pksigd.message('the daemon is held');
      await bed.insert();
      await tunnel.client.connected();
      const order = ['waiting for the token', 'key ready', RELEASED];
      expect(tunnel.said(...order)).toEqual(order);
    });

    cardTest('ten starts with a wrong PIN before a daemon that waits: one try', async (bed) => {
      const pinFile = await bed.bench.write('wrong.pin', '999999\n');
      const keys = [TokenTunnel.uri(bed, bed.slot('9a')).replace(bed.pinFile, pinFile)];
      await using tunnel = await start(bed, { keys });
      expect(await tunnel.pksigd.exited).toBe(4);
      for (let start = 1; start < 10; start++) {
        expect(await TokenTunnel.pksigd(bed, tunnel.management, keys).exited).toBe(4);
      }
      expect(await bed.tries()).toBe(2);
      const slots = await run('pkcs11-tool', ['--module', bed.modulePath, '--list-slots'], { env: bed.environment });
      expect(slots).toContain('PIN initialized');
      expect(slots).not.toMatch(/final user PIN try|user PIN locked/);
      expect(tunnel.client.ended, 'the daemon waits').toBe(false);
      // the right one still opens the tunnel, and gives the tries back
      const pksigd = TokenTunnel.pksigd(bed, tunnel.management, [TokenTunnel.uri(bed, bed.slot('9a'))]);
      await tunnel.client.connected();
      await pksigd.stop();
      expect(await bed.tries()).toBe(3);
    });
  });
}
