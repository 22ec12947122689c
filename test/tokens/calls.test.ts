import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { spySetup } from './setup/softhsm.ts';
import type { TokenBed } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';

/** The functions that pkcs11-spy saw called so far. */
async function calls(bed: TokenBed): Promise<string[]> {
  const text = await readFile(bed.bench.path('spy.log'), 'utf8');
  return [...text.matchAll(/^\d+: (C_\w+)$/gm)].map(([, name = '']) => name);
}

// lists and attributes take two calls each: for their length, and for them
const LISTS = ['C_GetSlotList', 'C_GetSlotList'];
const ATTRIBUTES = ['C_GetAttributeValue', 'C_GetAttributeValue'];
/** The second C_FindObjects says that there are no more. */
const SEARCH = ['C_FindObjectsInit', 'C_FindObjects', 'C_FindObjects', 'C_FindObjectsFinal'];
const LOGIN = [
  ...['C_GetFunctionList', 'C_Initialize', ...LISTS],
  // SoftHSM's second slot is empty
  ...['C_GetTokenInfo', 'C_GetTokenInfo', 'C_GetMechanismList', 'C_GetMechanismList'],
  ...['C_OpenSession', 'C_Login'],
];
const CERTIFICATE = [...SEARCH, ...ATTRIBUTES];
/** What it may do and of what kind it is; its modulus; its certificate. */
const RSA = [...SEARCH, ...ATTRIBUTES, ...ATTRIBUTES, ...CERTIFICATE];
/** The point is in the object of the public key. */
const EC = [...SEARCH, ...ATTRIBUTES, ...SEARCH, ...ATTRIBUTES, ...CERTIFICATE];

// a network HSM may take 200 ms a call
describe.skipIf(spySetup.unavailable() !== undefined)('calls into a module', () => {
  test.each([
    ['rsa2048', 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', RSA],
    ['p256', 'ECDSA', EC],
  ] as const)('%s: as few as it can be opened and signed with, in one session', async (name, algorithm, key) => {
    await withBed(spySetup, async (bed) => {
      await using agent = await AgentKey.open(bed, bed.key(name));
      const opened = await calls(bed);
      expect(opened).toEqual([...LOGIN, ...key]);
      await agent.sign(algorithm, Buffer.alloc(32, 7));
      expect((await calls(bed)).slice(opened.length)).toEqual(['C_SignInit', 'C_Sign']);
    });
  });
});
