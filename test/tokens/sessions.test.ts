import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MAIN } from '../support/pksigd.ts';
import { faultSetup } from './setup/fault.ts';
import { softHsmSetup } from './setup/softhsm.ts';
import { recipeKey, run, SO_PIN, type BedKey, type TokenBed } from './setup/token-bed.ts';
import { AgentKey } from './support/agent.ts';
import { withBed } from './support/beds.ts';
import { CKR } from './support/numbers.ts';

const DIGEST = Buffer.alloc(32, 7);
/** Milliseconds between looks at a token. */
const WATCH = 50;

/** A second token in the bed's SoftHSM, and its folder. */
async function addToken(bed: TokenBed): Promise<{ key: BedKey; folder: string }> {
  const folder = bed.bench.path('tokens');
  const before = await readdir(folder);
  const tool = (...args: string[]): Promise<string> => run('softhsm2-util', args, { env: bed.environment });
  const pin = ['--pin', bed.pin ?? ''];
  await tool('--init-token', '--free', '--label', 'second', ...pin, '--so-pin', SO_PIN);
  const key = ['--import', bed.bench.recipe('p384.pem'), '--label', 'p384', '--id', '0a'];
  await tool(...key, '--token', 'second', ...pin);
  const [added = ''] = (await readdir(folder)).filter((name) => !before.includes(name));
  return { key: await recipeKey(bed.bench, 'p384', 'token=second;object=p384'), folder: join(folder, added) };
}

describe.skipIf(softHsmSetup.unavailable() !== undefined)('two tokens of one module', () => {
  test('one goes and comes back: the other one signs on, and so does it in the end', async () => {
    await withBed(softHsmSetup, async (bed) => {
      const { key, folder } = await addToken(bed);
      await using first = await AgentKey.open(bed, bed.key('p256'), { watchInterval: WATCH });
      await using second = await AgentKey.open(bed, key, { beside: first, watchInterval: WATCH });
      const types = (): string[] => second.events.map(({ type }) => type).filter((type) => type !== 'recovering');
      await rename(folder, bed.bench.path('away'));
      // SoftHSM goes on listing it: only a signature notices
      await expect(second.sign('ECDSA', DIGEST)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_TOKEN_/) });
      await expect.poll(types, { timeout: 120_000 }).toEqual(['lost']);
      await first.sign('ECDSA', DIGEST);
      await rename(bed.bench.path('away'), folder);
      await expect.poll(types, { timeout: 120_000 }).toEqual(['lost', 'found']);
      await second.sign('ECDSA', DIGEST);
      await first.sign('ECDSA', DIGEST);
      expect(first.events.filter(({ type }) => type === 'lost')).toEqual([]);
    });
  });
});

describe.skipIf(faultSetup.unavailable() !== undefined)('two keys of one token', () => {
  const types = (agent: AgentKey): string[] => agent.events.map(({ type }) => type);

  test('each hears of the token, at the shortest interval, until it is disposed of', async () => {
    await withBed(faultSetup, async (bed) => {
      const lost: string[] = [];
      await using first = await AgentKey.open(bed, bed.key('p256'));
      const second = await AgentKey.open(bed, bed.key('rsa2048'), { beside: first, watchInterval: WATCH });
      first.signer.availability?.onLost(() => lost.push('first'));
      const undo = first.signer.availability?.onLost(() => lost.push('undone'));
      second.signer.availability?.onLost(() => lost.push('second'));
      undo?.();
      // the second one's watch sees it, though the first one opened the session
      await bed.fault('C_GetTokenInfo', { rv: CKR.TOKEN_NOT_PRESENT });
      await expect.poll(() => [types(first), types(second)]).toEqual([['lost'], ['lost']]);
      await bed.heal();
      await expect.poll(() => [types(first).at(-1), types(second).at(-1)]).toEqual(['found', 'found']);
      expect(lost).toEqual(['first', 'second']);

      await second[Symbol.asyncDispose]();
      const heard = second.events.length;
      await bed.fault('C_GetTokenInfo', { rv: CKR.TOKEN_NOT_PRESENT });
      await bed.fault('C_OpenSession', { rv: CKR.TOKEN_NOT_PRESENT });
      await bed.fault('C_Sign', { rv: CKR.SESSION_HANDLE_INVALID });
      await expect(first.sign('ECDSA', DIGEST)).rejects.toThrow();
      await expect.poll(() => lost).toEqual(['first', 'second', 'first']);
      expect(second.events).toHaveLength(heard);
    });
  });

  test('with two PIN sources they are refused, whose second would never be asked', async () => {
    await withBed(softHsmSetup, async (bed) => {
      await using first = await AgentKey.open(bed, bed.key('p256'), { pinSource: '/one' });
      const open = AgentKey.open(bed, bed.key('rsa2048'), { beside: first, pinSource: '/two' });
      await expect(open).rejects.toMatchObject({
        code: 'ERR_USAGE',
        message: expect.stringMatching(/two PIN sources for token 'pksigd': .*object=p256 and .*object=rsa2048$/),
      });
      await using third = await AgentKey.open(bed, bed.key('rsa2048'), { beside: first, pinSource: '/one' });
      await third.sign('RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest', DIGEST);
    });
  });

  test('who opened the session first may leave it', async () => {
    await withBed(faultSetup, async (bed) => {
      const first = await AgentKey.open(bed, bed.key('p256'));
      // its module hosts outlive it
      await using second = await AgentKey.open(bed, bed.key('p384'), { beside: first });
      await first.signer[Symbol.asyncDispose]();
      await bed.fault('C_Sign', { rv: CKR.DEVICE_ERROR, times: 2 });
      await second.sign('ECDSA', DIGEST);
      expect(types(first)).toEqual([]);
      expect(types(second)).toEqual(['recovering', 'recovering']);
    });
  });

  test('copies with two PIN sources: the command says which, and tries no PIN', async () => {
    await withBed(faultSetup, async (bed) => {
      const uri = (name: 'p256' | 'rsa2048', source: string): string =>
        `pkcs11:${bed.key(name).uri}?module-path=${bed.modulePath}&pin-source=${source}`;
      const args = (second: string): string[] => [
        ...[MAIN, 'sign', '--key', uri('p256', bed.pinFile), '--key', uri('p256', second)],
        ...['--algorithm', 'ECDSA', '--state-directory', bed.bench.path('state')],
      ];
      const sign = (second: string): Promise<string> =>
        run(process.execPath, args(second), { env: bed.moduleEnvironment, input: DIGEST.toString('base64') });
      await expect(sign('/nowhere/pin')).rejects.toThrow("two PIN sources for token 'pksigd'");
      // one source, said in two ways
      await sign(`file:${bed.pinFile}`);
    });
  });
});
