import { describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { softHsmSetup } from './setup/softhsm.ts';
import { run, type TokenBed } from './setup/token-bed.ts';

const PAIRS = 130;

/** Makes key pairs, all in one process: pkcs11-tool would take a minute. The PIN comes on standard input. */
const MAKE_PAIRS = `
  import { readFileSync } from 'node:fs';
  import pkcs11js from 'pkcs11js';
  const [module, pairs] = process.argv.slice(1);
  const token = new pkcs11js.PKCS11();
  token.load(module);
  token.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK });
  const slot = token.C_GetSlotList(true).find((each) => token.C_GetTokenInfo(each).label.trim() === 'pksigd');
  const session = token.C_OpenSession(slot, pkcs11js.CKF_RW_SESSION | pkcs11js.CKF_SERIAL_SESSION);
  token.C_Login(session, pkcs11js.CKU_USER, readFileSync(0, 'utf8').trim());
  for (let pair = 0; pair < Number(pairs); pair++) {
    const common = [
      { type: pkcs11js.CKA_TOKEN, value: true },
      { type: pkcs11js.CKA_LABEL, value: 'many-' + pair },
      { type: pkcs11js.CKA_ID, value: Buffer.from('many-' + pair) },
    ];
    const curve = { type: pkcs11js.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') };
    token.C_GenerateKeyPair(
      session,
      { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN },
      [...common, curve, { type: pkcs11js.CKA_VERIFY, value: true }],
      [...common, { type: pkcs11js.CKA_SIGN, value: true }],
    );
  }
  token.C_Finalize();
`;

describe.skipIf(softHsmSetup.unavailable() !== undefined)('a token with more keys than one search gives', () => {
  async function withKeys(use: (bed: TokenBed) => Promise<void>): Promise<void> {
    const bed = await softHsmSetup.start();
    try {
      const args = ['--input-type=module', '-e', MAKE_PAIRS, bed.modulePath, `${PAIRS}`];
      await run(process.execPath, args, { env: bed.moduleEnvironment, input: bed.pin ?? '' });
      await use(bed);
    } finally {
      await bed.stop();
    }
  }

  test('shows them all', async () => {
    await withKeys(async (bed) => {
      const args = [MAIN, 'keys', '--json', '--module', bed.modulePath, '--pin-source', `file:${bed.pinFile}`];
      const listed = JSON.parse(await run(process.execPath, args, { env: bed.moduleEnvironment })) as {
        modules: { tokens: { keys: { label: string }[] }[] }[];
      };
      const labels = listed.modules.flatMap(({ tokens }) => tokens.flatMap(({ keys }) => keys.map((key) => key.label)));
      expect(labels.filter((label) => label.startsWith('many-'))).toHaveLength(PAIRS);
    });
  });
});

describe.skipIf(softHsmSetup.unavailable() !== undefined)("a URI's attributes of slot and module", () => {
  test.each([
    ['library-manufacturer=SoftHSM;library-description=Implementation%20of%20PKCS11', 1],
    ['slot-manufacturer=SoftHSM%20project', 1],
    ['library-manufacturer=SoftHSM;library-version=255.255', 0],
    ['slot-description=no%20such%20slot', 0],
  ])('%s', async (attributes, count) => {
    const bed = await softHsmSetup.start();
    try {
      const args = [MAIN, 'keys', `pkcs11:token=pksigd;${attributes}`, '--json', '--module', bed.modulePath];
      const listing = run(process.execPath, args, { env: bed.moduleEnvironment });
      if (count === 0) await expect(listing).rejects.toThrow();
      else expect(JSON.parse(await listing)).toMatchObject({ modules: [{ tokens: [{ label: 'pksigd' }] }] });
    } finally {
      await bed.stop();
    }
  });
});
