import { describe, expect, test } from 'vitest';
import { faultSetup } from './setup/fault.ts';
import { p11KitClientSetup, softHsmSetup, startP11KitServer } from './setup/softhsm.ts';
import { certificateFor, restartSwtpm, tpm2Setup } from './setup/tpm2.ts';
import { isMissing, kill, withBed } from './support/bed.ts';
import { keyUri, TokenTunnel } from './support/tunnel.ts';

const AWAY = 'the token is away';
const BACK = 'the token is back';
/** Handshakes under which module hosts are killed, half as many; 200 by hand. */
const HANDSHAKES = Number(process.env['HANDSHAKES'] ?? 20);

describe.skipIf(isMissing(softHsmSetup)).concurrent('a tunnel whose module host is killed', () => {
  test(`${HANDSHAKES / 2} times under ${HANDSHAKES} handshakes: none is lost`, async () => {
    await withBed(softHsmSetup, async (bed) => {
      const tunnel = await TokenTunnel.open(bed);
      await tunnel.up();
      for (let handshake = 1; handshake <= HANDSHAKES; handshake++) {
        // by turns before a handshake, not at all, and shortly before the request
        if (handshake % 4 === 1) process.kill(tunnel.hostPid, 'SIGKILL');
        tunnel.restart();
        if (handshake % 4 === 3) {
          await tunnel.client.logged(/VERIFY OK: depth=0/, handshake + 1);
          process.kill(tunnel.hostPid, 'SIGKILL');
        }
        await tunnel.up();
      }
      const { pksigd } = tunnel;
      expect(pksigd.messages('signed')).toHaveLength(HANDSHAKES + 1);
      expect(pksigd.messages('failed')).toEqual([]);
      expect(tunnel.lost).toBe(0);
      const ends = pksigd.messages('module host ended').map(({ reason }) => reason);
      expect(ends).toEqual(Array.from({ length: HANDSHAKES / 2 }, () => 'was killed by SIGKILL'));
    });
  });
});

describe.skipIf(isMissing(p11KitClientSetup)).concurrent("a tunnel with a token behind p11-kit's server", () => {
  test('that is killed and started again, three times: it comes up again', async () => {
    await withBed(p11KitClientSetup, async (bed) => {
      let server = bed.daemon;
      const tunnel = await TokenTunnel.open(bed);
      await tunnel.up();
      for (let round = 1; round <= 3; round++) {
        await kill(server);
        await tunnel.pksigd.message(AWAY, round);
        server = await startP11KitServer(bed.bench);
        await tunnel.again();
      }
      expect(tunnel.said(AWAY, BACK)).toEqual([AWAY, BACK, AWAY, BACK, AWAY, BACK]);
      expect(tunnel.lost).toBe(0);
    });
  });
});

describe.skipIf(isMissing(tpm2Setup)).concurrent('a tunnel with a TPM', () => {
  test('that is reset and started again: it comes up again', async () => {
    await withBed(tpm2Setup, async (bed) => {
      const key = bed.key('p256');
      const cert = await certificateFor(bed.bench, key.name, key.publicKey);
      const options = { keys: [keyUri(bed, key)], certificate: { hint: 'the key' }, args: ['--cert', cert] };
      const tunnel = await TokenTunnel.open(bed, options);
      await tunnel.up();
      // once: a TPM takes each loss of power for a wrong PIN, and locks after three
      await kill(bed.daemon);
      await restartSwtpm(bed);
      await tunnel.again();
      // the module says that the token is there whatever becomes of the TPM: the signature shows that it is not
      await tunnel.pksigd.message('the token failed: trying to recover');
      expect(tunnel.lost).toBe(0);
    });
  });
});

describe.skipIf(isMissing(faultSetup)).concurrent('a tunnel with a module', () => {
  test('that waits for a touch: the log says so, and the handshake goes on', async () => {
    await withBed(faultSetup, async (bed) => {
      await bed.fault('C_Sign', { delay: 3_500, times: 1 });
      const tunnel = await TokenTunnel.open(bed);
      await tunnel.up();
      const touch = 'still signing: touch your token if it wants that';
      expect(tunnel.said(touch, 'signed')).toEqual([touch, 'signed']);
      expect(tunnel.lost).toBe(0);
    });
  });

  test('that grows beyond 512 MiB: its host is replaced between handshakes', async () => {
    await withBed(faultSetup, async (bed) => {
      await bed.fault('C_Sign', { grow: 600, times: 1 });
      const tunnel = await TokenTunnel.open(bed);
      await tunnel.up();
      const ended = await tunnel.pksigd.message('module host ended');
      expect(ended['reason']).toMatch(/^was replaced: it grew to \d{9} bytes$/);
      await tunnel.again();
      expect(tunnel.said(AWAY, 'failed')).toEqual([]);
      expect(tunnel.lost).toBe(0);
    });
  });
});
