import { describe, expect, test } from 'vitest';
import { faultSetup } from './setup/fault.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';

const DIGEST = Buffer.alloc(32, 7);
/** Milliseconds that a network HSM may take for a call. */
const SLOW = 200;

// the shim has no C_WaitForSlotEvent
describe.skipIf(faultSetup.unavailable() !== undefined)('a network HSM', () => {
  test('that searches slowly: few searches, none for a signature', async () => {
    await withBed(faultSetup, async (bed) => {
      for (const name of ['C_FindObjectsInit', 'C_FindObjects']) await bed.fault(name, { delay: SLOW });
      const searches = async (): Promise<number> =>
        (await bed.calls('C_FindObjects')).length + (await bed.calls('C_FindObjectsInit')).length;
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'));
      expect(await searches()).toBe(6);
      for (let index = 0; index < 3; index++)
        await agent.sign('RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', DIGEST);
      expect(await searches()).toBe(6);
    });
  });

  test('that has one session: a key, its certificate by a URI, signatures, and the certificate anew', async () => {
    await withBed(faultSetup, async (bed) => {
      await bed.fault('C_OpenSession', { sessions: 1 });
      const certificate = `pkcs11:${bed.key('rsa2048').uri}?module-path=${bed.modulePath}`;
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'), { certificate });
      for (let index = 0; index < 3; index++)
        await agent.sign('RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', DIGEST);
      expect(await agent.readCertificates()).toHaveLength(1);
      // a second key of the token, in the same session
      await using second = await AgentKey.open(bed, bed.key('p256'), { beside: agent });
      await second.sign('ECDSA', DIGEST);
      expect(await second.readCertificates()).toHaveLength(1);
      expect(await bed.calls('C_Login')).toHaveLength(1);
      expect([...agent.events, ...second.events]).toEqual([]);
    });
  });

  test('that has one session is checked, with a certificate by a URI', async () => {
    await withBed(faultSetup, async (bed) => {
      await bed.fault('C_OpenSession', { sessions: 1 });
      const key = `pkcs11:${bed.key('rsa2048').uri}?module-path=${bed.modulePath}`;
      const secret = ['--pin-source', `file:${bed.pinFile}`];
      for (const login of [[], ['--login']]) {
        const args = ['check', '--key', key, '--key', key, '--cert', key, ...secret, ...login];
        const pksigd = await bed.bench.pksigd(args, { env: { ...bed.environment } });
        expect(await pksigd.exited, pksigd.transcript).toBe(0);
        expect(pksigd.stdout).not.toContainEqual(expect.stringMatching(/SESSION_COUNT|^fail/));
      }
    });
  });
});
