import { describe, expect, test } from 'vitest';
import { openScSetup, ykcs11Setup, type PivBed } from './setup/piv.ts';
import { run } from './setup/token-bed.ts';
import { isMissing, withBed } from './support/bed.ts';
import { keyUri, TokenTunnel, type TunnelOptions } from './support/tunnel.ts';

const AWAY = 'the token is away';
const BACK = 'the token is back';
const RELEASED = 'hold released';
/** How often a card is pulled; more by hand. */
const ROUNDS = Number(process.env['CARD_ROUNDS'] ?? 2);
const STARTS = 10;

const open = (bed: PivBed, options: TunnelOptions = {}): Promise<TokenTunnel> =>
  TokenTunnel.open(bed, { keys: [keyUri(bed, bed.slot('9a'))], certificate: { file: 'rsa2048' }, ...options });

for (const setup of [openScSetup, ykcs11Setup]) {
  describe.skipIf(isMissing(setup)).concurrent(`a tunnel with a card by ${setup.name}`, () => {
    test('pulled and put back between handshakes: the daemon is held as long as it is away', async () => {
      await withBed(setup, async (bed) => {
        const tunnel = await open(bed);
        await tunnel.up();
        for (let round = 1; round <= ROUNDS; round++) {
          await bed.remove();
          await tunnel.pksigd.message(AWAY, round);
          tunnel.restart();
          await tunnel.held(round + 1);
          await bed.insert();
          await tunnel.up();
        }
        const rounds = Array.from({ length: ROUNDS }, () => [AWAY, BACK, RELEASED]);
        expect(tunnel.said(AWAY, BACK, RELEASED)).toEqual([RELEASED, ...rounds.flat()]);
        expect(tunnel.lost).toBe(0);
      });
    });

    test('pulled in the middle of a handshake: the tunnel comes up when it is back', async () => {
      await withBed(setup, async (bed) => {
        const tunnel = await open(bed, { fails: true });
        await tunnel.up();
        for (let round = 1; round <= ROUNDS; round++) {
          bed.card.kill('SIGUSR2');
          tunnel.restart();
          await tunnel.pksigd.message('failed', round);
          await bed.remove(); // the reader has to notice before another can come
          await tunnel.pksigd.message(AWAY, round);
          await bed.insert();
          await tunnel.up();
        }
        expect(tunnel.said(AWAY, BACK)).toEqual(Array.from({ length: ROUNDS }, () => [AWAY, BACK]).flat());
      });
    });

    test('pcscd killed and started again: the tunnel comes up again', async () => {
      await withBed(setup, async (bed) => {
        const tunnel = await open(bed);
        await tunnel.up();
        bed.pcscd.kill('SIGKILL');
        await Promise.all([bed.pcscd.exited, bed.card.exited]);
        await tunnel.pksigd.message(AWAY);
        await bed.startPcscd();
        await bed.insert();
        await tunnel.again();
        expect(tunnel.said(AWAY, BACK)).toEqual([AWAY, BACK]);
        expect(tunnel.lost).toBe(0);
      });
    });

    test(`a wrong PIN in ${STARTS} starts against a waiting daemon: one try`, async () => {
      await withBed(setup, async (bed) => {
        const tunnel = await open(bed, { pinFile: await bed.bench.write('wrong.pin', '999999\n') });
        for (let start = 0; start < STARTS; start++) {
          expect(await tunnel.pksigd.exited).toBe(4);
          if (start < STARTS - 1) tunnel.start();
        }
        expect(await bed.tries()).toBe(2);
        const slots = await run('pkcs11-tool', ['--module', bed.modulePath, '--list-slots'], { env: bed.environment });
        expect(slots).toContain('PIN initialized');
        expect(slots).not.toMatch(/final user PIN try|user PIN locked/);
        expect(tunnel.client.ended, 'the daemon waits').toBe(false);
        tunnel.start(bed.pinFile);
        await tunnel.up();
        expect(await bed.tries()).toBe(3);
      });
    });

    test('--wait-for-token: put in when pksigd runs, it connects', async () => {
      await withBed(setup, async (bed) => {
        await bed.remove();
        const tunnel = await open(bed, { args: ['--wait-for-token'] });
        await tunnel.pksigd.message('waiting for the token');
        await tunnel.held(1);
        await bed.insert();
        await tunnel.up();
        expect(tunnel.said('waiting for the token', 'key ready', RELEASED)).toEqual([
          'waiting for the token',
          'key ready',
          RELEASED,
        ]);
      });
    });
  });
}

describe.skipIf(isMissing(openScSetup)).concurrent('--on-token-removal', () => {
  test('restart: SIGUSR1, and the daemon is held until the card is back', async () => {
    await withBed(openScSetup, async (bed) => {
      const tunnel = await open(bed, { args: ['--on-token-removal', 'restart'] });
      await tunnel.up();
      await bed.remove();
      await tunnel.client.logged(/SIGUSR1\[hard,.*\] received, process restarting/);
      await tunnel.held(2);
      await bed.insert();
      await tunnel.up();
      expect(tunnel.said(AWAY, BACK, RELEASED)).toEqual([RELEASED, AWAY, BACK, RELEASED]);
    });
  });

  test('disconnect: SIGTERM, and the daemon is gone', async () => {
    await withBed(openScSetup, async (bed) => {
      const tunnel = await open(bed, { args: ['--on-token-removal', 'disconnect'] });
      await tunnel.up();
      await bed.remove();
      expect(await tunnel.client.exited).toBe(0);
      expect(tunnel.client.count(/SIGTERM\[hard,.*\] received, process exiting/)).toBe(1);
      expect(tunnel.pksigd.ended).toBe(false);
    });
  });
});
