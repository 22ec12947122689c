import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultSetup } from './setup/fault.ts';
import { spySetup } from './setup/softhsm.ts';
import type { TokenBed } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';
import { CKA } from './support/numbers.ts';

const DIGEST = Buffer.alloc(32, 7);
const PSS = 'RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest';

/** The functions that pkcs11-spy saw called so far. */
async function calls(bed: TokenBed): Promise<string[]> {
  const text = await readFile(bed.bench.path('spy.log'), 'utf8');
  return [...text.matchAll(/^\d+: (C_\w+)$/gm)].map(([, name = '']) => name);
}

/** What was called since it was asked last. */
function callsSince(bed: TokenBed): () => Promise<string[]> {
  let before = 0;
  return async () => {
    const all = await calls(bed);
    const since = all.slice(before);
    before = all.length;
    return since;
  };
}

/** Puts so many certificates and public keys on the SoftHSM token: copies of what it has of another key. */
async function addObjects(bed: TokenBed, count: number): Promise<void> {
  const tokens = bed.bench.path('tokens');
  const [folder = ''] = await readdir(tokens);
  const files: string[] = [];
  for (const name of await readdir(join(tokens, folder))) {
    if (!/^[0-9a-f-]{36}\.object$/.test(name)) continue;
    const file = join(tokens, folder, name);
    // labels of private objects are encrypted
    if ((await readFile(file)).includes('p384')) files.push(file);
  }
  expect(files).toHaveLength(2);
  for (let index = 0; index < count; index++) {
    const uuid = `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;
    await copyFile(files[index % files.length] ?? '', join(tokens, folder, `${uuid}.object`));
  }
}

// lists and attributes take two calls each: for their length, and for them
const LISTS = ['C_GetSlotList', 'C_GetSlotList'];
const ATTRIBUTES = ['C_GetAttributeValue', 'C_GetAttributeValue'];
/** The second C_FindObjects says that there are no more. */
const SEARCH = ['C_FindObjectsInit', 'C_FindObjects', 'C_FindObjects', 'C_FindObjectsFinal'];
/** For one object of several that would do as well, and a search that finds none. */
const SHORT_SEARCH = ['C_FindObjectsInit', 'C_FindObjects', 'C_FindObjectsFinal'];
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
    ['rsa2048', PSS, RSA, 0],
    ['p256', 'ECDSA', EC, 0],
    ['rsa2048', PSS, RSA, 3_000],
  ] as const)(
    '%s: as few as it can be opened and signed with, among few objects and many',
    async (name, algorithm, key, objects) => {
      await withBed(spySetup, async (bed) => {
        await addObjects(bed, objects);
        const since = callsSince(bed);
        await using agent = await AgentKey.open(bed, bed.key(name));
        expect(await since()).toEqual([...LOGIN, ...key]);

        const sign = (): Promise<unknown> => agent.sign(algorithm, DIGEST);
        await sign();
        expect(await since()).toEqual(['C_SignInit', 'C_Sign']);
        await sign();
        // behind it, when nobody waits: a session in which the next one is begun
        await expect.poll(() => calls(bed).then((all) => all.at(-1))).toBe('C_SignInit');
        const ahead = ['C_GetSlotInfo', 'C_GetTokenInfo', 'C_OpenSession', 'C_SignInit'];
        expect(await since()).toEqual(['C_SignInit', 'C_Sign', ...ahead]);
        await sign();
        await expect.poll(() => calls(bed).then((all) => all.at(-1))).toBe('C_SignInit');
        expect(await since()).toEqual(['C_Sign', 'C_SignInit']);

        // a daemon asks for the certificate: it is looked for, its issuer is, and whether subjects can be looked for at all
        expect(await agent.readCertificates()).toHaveLength(1);
        expect(await since()).toEqual([...CERTIFICATE, ...SHORT_SEARCH, ...SHORT_SEARCH]);
        await sign();
        await expect.poll(() => calls(bed).then((all) => all.at(-1))).toBe('C_SignInit');
        expect(await since()).toEqual(['C_Sign', 'C_SignInit']);
      });
    },
  );
});

describe.skipIf(faultSetup.unavailable() !== undefined)('attributes that a module does not know', () => {
  test('are found out in halves, and asked for by themselves from then on', async () => {
    await withBed(faultSetup, async (bed) => {
      // as most modules do not
      await bed.fault('C_GetAttributeValue', { hide: [CKA.ALLOWED_MECHANISMS] });
      const reads = async (): Promise<string[]> =>
        (await bed.calls('C_GetAttributeValue')).map((call) => (call.endsWith(' 0x0') ? 'told' : 'refused'));
      await using agent = await AgentKey.open(bed, bed.key('rsa2048'));
      const first = await reads();
      const [read, refused] = [['told', 'told'], ['refused']];
      // five, three, two, one, one; modulus; certificate
      expect(first).toEqual([...refused, ...read, ...refused, ...read, ...refused, ...read, ...read]);
      await using second = await AgentKey.open(bed, bed.key('rsa2048'), { beside: agent });
      expect((await reads()).slice(first.length)).toEqual([...read, ...refused, ...read, ...read]);
      expect(second.events).toEqual([]);
    });
  });
});
