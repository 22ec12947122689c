import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { gnomeKeyringSetup } from './setup/gnome-keyring.ts';
import { p11KitClientSetup, spySetup, startP11KitServer } from './setup/softhsm.ts';
import { startSwtpm, tpm2Setup } from './setup/tpm2.ts';
import { AgentKey } from './support/agent.ts';
import { killAll, withBed } from './support/beds.ts';

const DIGEST = Buffer.alloc(32, 7);

describe.skipIf(p11KitClientSetup.unavailable() !== undefined)("p11-kit's server", () => {
  test('killed and started again: it signs again', async () => {
    await withBed(p11KitClientSetup, async (bed) => {
      let server = bed.daemon;
      await using agent = await AgentKey.open(bed, bed.key('p256'));
      for (let round = 0; round < 3; round++) {
        await agent.sign('ECDSA', DIGEST);
        await killAll(server);
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_TOKEN_/) });
        server = await startP11KitServer(bed.bench);
        await agent.sign('ECDSA', DIGEST);
      }
    });
  });
});

describe.skipIf(tpm2Setup.unavailable() !== undefined)('a TPM', () => {
  test('reset and started again: it signs again', async () => {
    await withBed(tpm2Setup, async (bed) => {
      let swtpm = bed.daemon;
      const [, address = '', port = ''] =
        /host=([\d.]+),port=(\d+)/.exec(bed.environment['TPM2_PKCS11_TCTI'] ?? '') ?? [];
      await using agent = await AgentKey.open(bed, bed.key('p256'));
      // once: a TPM takes each loss of power for a wrong PIN, and locks after three
      {
        await agent.sign('ECDSA', DIGEST);
        await killAll(swtpm);
        await expect(agent.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_/) });
        swtpm = (await startSwtpm(bed.bench, { address, port: Number(port) })).process;
        await agent.sign('ECDSA', DIGEST);
      }
    });
  });

  test('module hosts that end in good order leave nothing in it', async () => {
    await withBed(tpm2Setup, async (bed) => {
      // without a resource manager it has room for three: what a killed host leaves stays
      for (let round = 0; round < 6; round++) {
        await using agent = await AgentKey.open(bed, bed.key('p256'));
        await agent.sign('ECDSA', DIGEST);
      }
    });
  });
});

describe.skipIf(gnomeKeyringSetup.unavailable() !== undefined)('gnome-keyring', () => {
  test('keys that need no PIN are opened without one', async () => {
    await withBed(gnomeKeyringSetup, async (bed) => {
      expect(bed.pin).toBeUndefined(); // asking for one would throw
      await using agent = await AgentKey.open(bed, bed.key('p256'));
      await agent.sign('ECDSA', DIGEST);
      expect(agent.events, 'nobody is sent to a keypad').toEqual([]);
    });
  });
});

describe.skipIf(spySetup.unavailable() !== undefined)('the calls, as pkcs11-spy sees them', () => {
  test('one login, one search, and two calls a signature', async () => {
    await withBed(spySetup, async (bed) => {
      {
        await using agent = await AgentKey.open(bed, bed.key('p256'));
        for (let round = 0; round < 3; round++) await agent.sign('ECDSA', DIGEST);
      }
      const log = readFileSync(bed.bench.path('spy.log'), 'utf8');
      const calls = [...log.matchAll(/^\d+: (C_\w+)$/gm)].map(([, name]) => name);
      const count = (name: string): number => calls.filter((call) => call === name).length;
      expect(calls.slice(0, 2)).toEqual(['C_GetFunctionList', 'C_Initialize']);
      expect(calls.filter((call) => /^C_(Login|SignInit|Sign)$/.test(call ?? ''))).toEqual([
        'C_Login',
        ...Array.from({ length: 3 }, () => ['C_SignInit', 'C_Sign']).flat(),
        // made ahead, for a fourth, in a session of its own
        'C_SignInit',
      ]);
      expect(count('C_OpenSession')).toBe(2);
      expect(count('C_CloseSession')).toBe(2);
      expect(count('C_FindObjectsFinal')).toBe(count('C_FindObjectsInit'));
    });
  });
});
