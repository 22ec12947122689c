import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { Child } from '../support/child.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { openScSetup, ykcs11Setup, type PivBed } from './setup/piv.ts';
import { p11KitClientSetup, softHsmSetup, startP11KitServer } from './setup/softhsm.ts';
import type { TokenBed, TokenSetup } from './setup/token-bed.ts';
import { startSwtpm, tpm2Setup } from './setup/tpm2.ts';
import { TokenTunnel } from './support/tunnel.ts';

/** How often a module host is killed; each time under two handshakes. */
const KILLS = Number(process.env['HOST_KILLS'] ?? 4);
const GAVE_UP = /SIGUSR1\[soft,(tls-error|connection-reset)\]/;

async function withBed<Bed extends TokenBed>(
  setup: Omit<TokenSetup, 'start'> & { readonly start: () => Promise<Bed> },
  use: (bed: Bed) => Promise<void>,
): Promise<void> {
  const bed = await setup.start();
  onTestFailed(() => {
    console.error(bed.bench.transcript);
  });
  try {
    await use(bed);
  } finally {
    await bed.stop();
  }
}

/** Kills a daemon and the processes that it started, which outlive it. */
async function kill(child: Child | undefined): Promise<void> {
  if (!child) throw new Error('nothing runs');
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ').filter(Boolean);
  child.kill('SIGKILL');
  for (const pid of children) process.kill(Number(pid), 'SIGKILL');
  await child.exited;
}

describe.each([openScSetup, ykcs11Setup])('a tunnel whose key is on a card, by $name', (setup) => {
  let bed: PivBed;
  beforeAll(async () => {
    if (setup.unavailable() === undefined) bed = await setup.start();
  });
  afterAll(async () => {
    await bed.stop();
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
      await tunnel.client.logged(/process restarting/, round);
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

describe.skipIf(softHsmSetup.unavailable() !== undefined)('a module host', () => {
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
});

describe.skipIf(p11KitClientSetup.unavailable() !== undefined)("p11-kit's server", () => {
  test('killed and started again, three times: up again', async () => {
    await withBed(p11KitClientSetup, async (bed) => {
      let server = bed.daemon;
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
      for (let round = 1; round <= 3; round++) {
        await tunnel.client.connected(round);
        await kill(server);
        await tunnel.pksigd.message('the token is away', round);
        tunnel.restart();
        server = await startP11KitServer(bed.bench);
      }
      await tunnel.client.connected(4);
    });
  });
});

describe.skipIf(tpm2Setup.unavailable() !== undefined)('a TPM', () => {
  test('reset and started again: up again', async () => {
    await withBed(tpm2Setup, async (bed) => {
      const [, address = '', port = ''] =
        /host=([\d.]+),port=(\d+)/.exec(bed.environment['TPM2_PKCS11_TCTI'] ?? '') ?? [];
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
      await tunnel.client.connected();
      // once: a TPM takes each loss of power for a wrong PIN, and locks after three
      await kill(bed.daemon);
      tunnel.restart();
      await startSwtpm(bed.bench, { address, port: Number(port) });
      await tunnel.client.connected(2);
    });
  });
});

describe.skipIf(faultSetup.unavailable() !== undefined)('a module that fails under a tunnel', () => {
  const withFault = (use: (bed: FaultBed) => Promise<void>): Promise<void> => withBed(faultSetup, use);

  test('a hang: the daemon gets its answer at the deadline, and the next handshake connects', async () => {
    await withFault(async (bed) => {
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'), { args: ['--deadline', '1'] });
      await tunnel.client.connected();
      await bed.fault('C_Sign', { hang: true, times: 1 });
      tunnel.restart();
      expect(await tunnel.pksigd.message('failed')).toMatchObject({ code: 'ERR_MODULE_TIMEOUT' });
      await tunnel.client.logged(GAVE_UP);
      await tunnel.client.connected(2);
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
      await bed.fault('C_Sign', { grow: 600, times: 1 });
      await using tunnel = await TokenTunnel.start(bed, bed.key('p256'));
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

  test('a key in two places: no handshake is lost while one hangs or fails, and the first signs again later', async () => {
    await withFault(async (bed) => {
      const key = bed.key('p256');
      // the same token, once through the shim and once without it
      const keys = [TokenTunnel.uri(bed, key), TokenTunnel.uri(bed, key, bed.environment['FAULT_MODULE'])];
      await using tunnel = await TokenTunnel.start(bed, key, { keys, args: ['--deadline', '2'] });
      await tunnel.client.connected();
      for (const [round, rule] of [{ hang: true }, { crash: true }, { rv: 0x30 }].entries()) {
        await bed.fault('C_Sign', rule);
        tunnel.restart();
        await tunnel.client.connected(round + 2);
        await bed.heal();
      }
      expect(tunnel.pksigd.messages('failed')).toEqual([]);
      expect(tunnel.pksigd.messages('a copy of the key failed').length).toBeGreaterThan(0);
      expect(tunnel.connections).toBe(4);
      for (let round = 5; tunnel.pksigd.messages('a copy of the key works again').length === 0; round++) {
        tunnel.restart();
        await tunnel.client.connected(round);
      }
    });
  });

  test('two different keys are no copies', async () => {
    await withFault(async (bed) => {
      const keys = [TokenTunnel.uri(bed, bed.key('p256')), TokenTunnel.uri(bed, bed.key('p384'))];
      const args = ['--management', bed.bench.path('nobody'), 'unix', '--management-client'];
      const pksigd = TokenTunnel.pksigd(bed, args, keys);
      expect(await pksigd.exited).toBe(2);
      expect(pksigd.transcript).toContain('is another key than');
    });
  });
});
