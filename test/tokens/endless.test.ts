import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { run } from './setup/token-bed.ts';
import { CKR } from './support/numbers.ts';

describe.skipIf(faultSetup.unavailable() !== undefined)('a module that means no harm', () => {
  let bed: FaultBed;
  const pksigd = (...args: string[]): Promise<string> =>
    run(process.execPath, [MAIN, ...args], {
      env: { ...bed.moduleEnvironment, XDG_STATE_HOME: bed.bench.path('state') },
      input: Buffer.alloc(32, 7).toString('base64'),
    });
  const uri = (path: string): string => `pkcs11:${path}?module-path=${bed.modulePath}&pin-source=${bed.pinFile}`;

  beforeEach(async () => {
    bed = await faultSetup.start();
  });
  afterEach(async () => {
    await bed.stop();
  });

  test.each([
    [{ endless: true }, 'never ends its list of objects'],
    [{ counted: true }, 'lists more than 10000 objects'],
  ])('never says that it has no more objects: %j', async (rule, said) => {
    await bed.fault('C_FindObjects', rule);
    for (const command of [
      ['keys', uri('token=pksigd')],
      ['sign', '--key', uri('token=pksigd;object=p256'), '--algorithm', 'ECDSA'],
    ]) {
      await expect(pksigd(...command)).rejects.toThrow(`the PKCS#11 module ${bed.modulePath} ${said}`);
    }
    // no recovery step: another host would say the same
    expect(await bed.calls('C_Login')).toHaveLength(2);
  });

  test('shows its token at the third look only: it is waited for', async () => {
    const commands = [
      ['sign', '--key', uri('token=pksigd;object=p256'), '--algorithm', 'ECDSA'],
      ['keys', uri('token=pksigd;object=p256')],
      ['keys', '--module', bed.modulePath],
      ['check', '--key', uri('token=pksigd;object=p256')],
    ];
    for (const command of commands) {
      await bed.fault('C_GetTokenInfo', { rv: CKR.TOKEN_NOT_PRESENT, times: 2 });
      expect(await pksigd(...command)).not.toBe('');
    }
  });

  test('shows its token to those only who initialize it anew', async () => {
    const sessions = (await bed.calls('C_Initialize')).length;
    // SoftHSM reads its folder at C_Initialize: what comes later is not seen without another one
    await bed.fault('C_GetTokenInfo', { rv: CKR.TOKEN_NOT_PRESENT, times: 2 });
    await pksigd('sign', '--key', uri('token=pksigd;object=p256'), '--algorithm', 'ECDSA');
    expect((await bed.calls('C_Initialize')).length).toBeGreaterThan(sessions + 1);
  });

  test('has 400 keys of one label and no CKA_ID: all are listed', async () => {
    const make = `
      const { PKCS11 } = require('pkcs11js');
      const module = new PKCS11();
      module.load(process.env.FAULT_MODULE);
      module.C_Initialize();
      const slot = module.C_GetSlotList(true)[0];
      const session = module.C_OpenSession(slot, 6);
      module.C_Login(session, 1, process.env.TEST_PIN);
      const label = Buffer.from('same');
      for (let index = 0; index < 400; index++) {
        module.C_GenerateKeyPair(session, { mechanism: 0x1040 },
          [{ type: 3, value: label }, { type: 1, value: true }, { type: 0x180, value: Buffer.from('06082a8648ce3d030107', 'hex') }],
          [{ type: 3, value: label }, { type: 1, value: true }, { type: 0x108, value: true }, { type: 2, value: true }, { type: 0x103, value: true }]);
      }
      module.C_Finalize();`;
    const env = { ...bed.moduleEnvironment, TEST_PIN: bed.pin ?? '' };
    await run(process.execPath, ['-e', make], { env, cwd: process.cwd() });
    const listed = JSON.parse(await pksigd('keys', '--json', uri('token=pksigd;object=same'))) as {
      modules: { tokens: { keys: unknown[] }[] }[];
    };
    expect(listed.modules[0]?.tokens[0]?.keys).toHaveLength(400);
  });
});
