import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeysDocument, KeyEntry, TokenEntry } from '../../src/cli/keys-document.ts';
import { CKF } from '../../src/pkcs11/constants.ts';
import { Pksigd } from '../support/pksigd.ts';
import { faultSetup, type FaultBed } from './setup/fault.ts';
import { gnomeKeyringSetup } from './setup/gnome-keyring.ts';
import { nssSetup } from './setup/nss.ts';
import { openScSetup } from './setup/piv.ts';
import type { TokenBed, TokenSetup } from './setup/token-bed.ts';
import { tpm2Setup } from './setup/tpm2.ts';

/** Runs the built command with the bed's module. */
async function pksigd(bed: TokenBed, args: readonly string[], input?: string): Promise<Pksigd> {
  const initArgs = bed.initArgs === undefined ? [] : ['--module-init-args', bed.initArgs];
  const options = { env: { ...bed.environment }, ...(input !== undefined && { input }) };
  const child = bed.bench.adopt(
    new Pksigd(bed.bench.folder, [...args, ...initArgs, '--log-level', 'trace'], undefined, options),
  );
  await child.exited;
  return child;
}

async function tokens(bed: TokenBed, ...args: string[]): Promise<readonly TokenEntry[]> {
  const child = await pksigd(bed, ['keys', '--module', bed.modulePath, '--json', ...args]);
  expect(await child.exited, child.transcript).toBe(0);
  const { modules } = JSON.parse(child.stdout.join('\n')) as KeysDocument;
  return modules.flatMap((module) => module.tokens);
}

async function keys(bed: TokenBed, ...args: string[]): Promise<KeyEntry[]> {
  return (await tokens(bed, ...args)).flatMap((token) => token.keys);
}

const kindsOf = (bed: TokenBed): string[] =>
  bed.keys.map(({ name }) => name.replace(/^rsa/, 'RSA-').replace(/^p/, 'P-').toUpperCase());

interface Expected {
  readonly setup: TokenSetup;
  /** What of a URI names the token that has the keys. */
  readonly filter: string;
  /** Ways that are in the table of an RSA key. */
  readonly rsaWays: readonly string[];
}

const BEDS: readonly Expected[] = [
  {
    setup: tpm2Setup,
    filter: 'token=tpm',
    rsaWays: ['CKM_RSA_PKCS', 'EMSA-PSS + CKM_RSA_X_509', 'CKM_RSA_X_509'],
  },
  {
    setup: nssSetup,
    filter: 'token=NSS%20Certificate%20DB',
    rsaWays: ['CKM_RSA_PKCS', 'CKM_RSA_PKCS_PSS', 'CKM_RSA_X_509'],
  },
  {
    setup: openScSetup,
    filter: '',
    rsaWays: ['CKM_RSA_PKCS', 'CKM_RSA_PKCS_PSS', 'CKM_RSA_X_509'],
  },
  {
    setup: gnomeKeyringSetup,
    filter: 'token=SSH%20Keys',
    rsaWays: ['CKM_RSA_PKCS', 'EMSA-PSS + CKM_RSA_X_509', 'CKM_RSA_X_509'],
  },
];

for (const { setup, filter, rsaWays } of BEDS) {
  describe.skipIf(setup.unavailable() !== undefined)(`pksigd keys: ${setup.name}`, () => {
    let bed: TokenBed;
    beforeAll(async () => {
      bed = await setup.start();
    });
    afterAll(async () => {
      await bed.stop();
    });

    test('what everybody may see', async () => {
      const found = await keys(bed, `pkcs11:${filter}`);
      expect(found.map(({ kind }) => kind).sort()).toEqual(kindsOf(bed).sort());
    });

    test('every key, by a URI that signs', async () => {
      // gnome-keyring says that it has a keypad: whatever the source, nobody is asked
      const source = ['--pin-source', bed.pin === undefined ? 'prompt' : bed.pinFile];
      const found = (await keys(bed, `pkcs11:${filter}`, ...source)).filter((key) => key.privateKey === 'present');
      expect(found.map(({ kind }) => kind).sort()).toEqual(kindsOf(bed).sort());
      const rsa = found.find(({ kind }) => kind === 'RSA-2048');
      expect(rsa?.signs.flatMap(({ ways }) => ways.map(({ way }) => way))).toEqual(rsaWays);
      const digest = Buffer.alloc(32, 7).toString('base64');
      for (const { uri } of found.filter(({ kind }) => kind === 'RSA-2048' || kind === 'P-256')) {
        const signed = await pksigd(bed, ['sign', '--key', uri, ...source], digest);
        expect(await signed.exited, signed.transcript).toBe(0);
      }
      if (bed.pin !== undefined) expect(bed.bench.transcript.includes(bed.pin)).toBe(false);
    });

    if (setup !== openScSetup) return;
    test('a key that wants the PIN with each signature says so', async () => {
      const found = await keys(bed, '--pin-source', bed.pinFile);
      expect(found.map(({ alwaysAuthenticate }) => alwaysAuthenticate)).toEqual([false, true, false, false]);
      expect(found.map(({ certificates }) => certificates[0]?.subject)).toEqual(
        ['9a', '9c', '9d', '9e'].map((slot) => `CN=piv ${slot}`),
      );
    });
  });
}

describe.skipIf(faultSetup.unavailable() !== undefined)('pksigd keys: a module with troubles', () => {
  let bed: FaultBed;
  beforeAll(async () => {
    bed = await faultSetup.start();
  });
  afterAll(async () => {
    await bed.stop();
  });

  const states: [string, number, Partial<TokenEntry>][] = [
    ['a locked PIN', CKF.USER_PIN_LOCKED, { pin: 'locked' }],
    ['one try left', CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_COUNT_LOW, { pin: 'one try left' }],
    ['few tries left', CKF.USER_PIN_COUNT_LOW, { pin: 'few tries left' }],
    ['a keypad', CKF.PROTECTED_AUTHENTICATION_PATH, { keypad: true }],
  ];
  test.for(states)('%s, and nobody logs in', async ([, setFlags, expected]) => {
    await bed.fault('C_GetTokenInfo', { setFlags });
    expect(await tokens(bed)).toMatchObject([{ label: 'pksigd', login: 'needed', ...expected }]);
    expect(await bed.calls('C_Login')).toEqual([]);
    await bed.heal();
  });

  test('the last try is left alone', async () => {
    await bed.fault('C_GetTokenInfo', { setFlags: CKF.USER_PIN_FINAL_TRY });
    const child = await pksigd(bed, ['keys', '--module', bed.modulePath, '--pin-source', bed.pinFile]);
    expect(await child.exited).toBe(4);
    expect(child.stderr).toContainEqual(expect.stringMatching(/^pksigd: .*one try.*--use-final-pin-try/));
    expect(await bed.calls('C_Login')).toEqual([]);
    await bed.heal();
  });

  test('a login needs one call', async () => {
    await tokens(bed, '--pin-source', bed.pinFile);
    expect(await bed.calls('C_Login')).toHaveLength(1);
  });

  test.for(['hang', 'crash'] as const)('one that does %s hides no other', async (trouble) => {
    await bed.fault('C_GetSlotList', { [trouble]: true });
    const modules = [bed.modulePath, bed.environment['FAULT_MODULE'] ?? ''].flatMap((path) => ['--module', path]);
    const child = await pksigd(bed, ['keys', ...modules, '--deadline', '10', '--json']);
    await bed.heal();
    expect(await child.exited, child.transcript).toBe(0);
    const document = JSON.parse(child.stdout.join('\n')) as KeysDocument;
    const code = trouble === 'hang' ? 'ERR_MODULE_TIMEOUT' : 'ERR_MODULE_DIED';
    expect(document.modules).toMatchObject([{ error: { code } }, { tokens: [{ label: 'pksigd' }] }]);
    expect(child.stderr).toContainEqual(expect.stringMatching(/^pksigd: .*fault\.so/));
  });

  test('a token that fails hides no other', async () => {
    await bed.fault('C_OpenSession', { rv: 0x30 });
    const child = await pksigd(bed, ['keys', '--module', bed.modulePath]);
    await bed.heal();
    expect(await child.exited, child.transcript).toBe(0);
    expect(child.stdout.join('\n')).toContain('CKR_DEVICE_ERROR');
  });

  test('the PIN is nowhere', async () => {
    expect(await readFile(bed.pinFile, 'utf8')).toContain(bed.pin);
    expect(bed.bench.transcript.includes(bed.pin ?? '')).toBe(false);
  });
});
