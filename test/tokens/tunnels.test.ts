import { describe, expect, test } from 'vitest';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { p11KitClientSetup, softHsmSetup, startP11KitServer } from './setup/softhsm.ts';
import { startSwtpm, tpm2Setup } from './setup/tpm2.ts';
import { killAll, withBed } from './support/beds.ts';
import { QUICK, TokenTunnel } from './support/tunnel.ts';

/** How often a module host is killed; each time under two handshakes. */
const KILLS = Number(process.env['HOST_KILLS'] ?? 10);

describe.skipIf(softHsmSetup.unavailable() !== undefined).concurrent('a module host', () => {
  test(`killed ${KILLS} times under ${2 * KILLS} handshakes: none is lost`, { timeout: 900_000 }, async () => {
    await withBed(softHsmSetup, async (bed) => {
      const serverArgs = ['--reneg-sec', '1'];
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'), { serverArgs, proto: 'udp' });
      await tunnel.client.connected();
      for (let round = 0; round < KILLS; round++) {
        process.kill(tunnel.host, 'SIGKILL');
        await tunnel.pksigd.message('signed', tunnel.pksigd.messages('signed').length + 2);
      }
      expect(tunnel.pksigd.messages('failed')).toEqual([]);
      expect(tunnel.connections, 'it never had to connect anew').toBe(1);
      expect(tunnel.pksigd.messages('module host started').length).toBe(KILLS + 1);
    });
  });

  test(`killed ${KILLS} times around a request: none is lost`, { timeout: 900_000 }, async () => {
    await withBed(softHsmSetup, async (bed) => {
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'), QUICK);
      await tunnel.client.connected();
      for (let round = 2; round < KILLS + 2; round++) {
        tunnel.restart();
        await tunnel.client.logged(/VERIFY OK: depth=0/, round);
        process.kill(tunnel.host, 'SIGKILL');
        await tunnel.client.connected(round);
        // for the request, or for the next look at the token if that was signed already
        await tunnel.pksigd.message('module host started', round);
      }
      expect(tunnel.pksigd.messages('failed')).toEqual([]);
      expect(tunnel.lost).toBe(0);
    });
  });
});

describe.skipIf(p11KitClientSetup.unavailable() !== undefined).concurrent("p11-kit's server", () => {
  test('killed and started again, twice: up again', async () => {
    await withBed(p11KitClientSetup, async (bed) => {
      let server = bed.daemon;
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
      for (let round = 1; round <= 2; round++) {
        await tunnel.client.connected(round);
        await killAll(server);
        await tunnel.pksigd.message('the token is away', round);
        tunnel.restart();
        server = await startP11KitServer(bed.bench);
      }
      await tunnel.client.connected(3);
    });
  });
});

describe.skipIf(tpm2Setup.unavailable() !== undefined).concurrent('a TPM', () => {
  test('reset and started again: up again', async () => {
    await withBed(tpm2Setup, async (bed) => {
      const [, address = '', port = ''] =
        /host=([\d.]+),port=(\d+)/.exec(bed.environment['TPM2_PKCS11_TCTI'] ?? '') ?? [];
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
      await tunnel.client.connected();
      // once: a TPM takes each loss of power for a wrong PIN, and locks after three
      await killAll(bed.daemon);
      tunnel.restart();
      await startSwtpm(bed.bench, { address, port: Number(port) });
      await tunnel.client.connected(2);
    });
  });
});

describe.skipIf(faultSetup.unavailable() !== undefined).concurrent('a module that fails under a tunnel', () => {
  const withFault = (use: (bed: FaultBed) => Promise<void>): Promise<void> => withBed(faultSetup, use);

  test('a hang: the daemon gets its answer at the deadline, and the next handshake connects', async () => {
    await withFault(async (bed) => {
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
      await tunnel.client.connected();
      await bed.fault('C_Sign', { hang: true, times: 1 });
      tunnel.restart();
      expect(await tunnel.pksigd.message('failed')).toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
      await tunnel.client.connected(2);
      expect(tunnel.lost).toBeGreaterThan(0);
    });
  });

  test('a slow signature: a person is told to touch the token', async () => {
    await withFault(async (bed) => {
      await bed.fault('C_Sign', { delay: 3_500, times: 1 });
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
      await tunnel.client.connected();
      expect(tunnel.pksigd.log.map(({ msg }) => msg)).toContain('still signing: touch your token if it wants that');
    });
  });

  test('a host that grows is replaced, and nobody notices', async () => {
    await withFault(async (bed) => {
      // on a busy machine growing takes its time, and a host that is late ends for that: the next one grows, too
      await bed.fault('C_Sign', { grow: 600, times: 3 });
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'), { args: ['--deadline', '60'] });
      await tunnel.client.connected();
      await tunnel.pksigd.until('end of the host', () =>
        tunnel.pksigd.messages('module host ended').find(({ reason }) => String(reason).includes('grew')),
      );
      tunnel.restart();
      await tunnel.client.connected(2);
      expect(tunnel.pksigd.messages('failed')).toEqual([]);
      expect(tunnel.pksigd.messages('the token is away')).toEqual([]);
    });
  });
});
